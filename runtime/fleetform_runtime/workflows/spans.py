"""Spans of runs and steps: one trace for a run, whichever processes execute it, with those of its agents in it."""

import re
import secrets as chance
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from fleetform_runtime.secrets import Secrets
from fleetform_runtime.workflows.settings import WorkflowSettings

_HEADER = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


class Ended(Protocol):
    """A span that may fail."""

    def failed(self, why: str) -> None:
        """Note why, by a word of a closed set."""


class FlowSpans(Protocol):
    """Where spans are started."""

    def run(self, name: str, parent: str) -> AbstractContextManager[Ended]:
        """Start the span of a run that is executed, from the header that it was asked for with."""

    def step(self, step: str, agent: str, attempt: int) -> AbstractContextManager[Ended]:
        """Start the span of one attempt at a step."""

    async def close(self) -> None:
        """Export the remaining spans."""


class _Nothing:
    def failed(self, why: str) -> None:
        pass


_NOTHING: AbstractContextManager[Ended] = nullcontext(_Nothing())


class NoSpans:
    """Traces nothing; what the agents trace is in one trace all the same."""

    def run(self, name: str, parent: str) -> AbstractContextManager[Ended]:
        """Return a span that does nothing."""
        del name, parent
        return _NOTHING

    def step(self, step: str, agent: str, attempt: int) -> AbstractContextManager[Ended]:
        """Return a span that does nothing."""
        del step, agent, attempt
        return _NOTHING

    async def close(self) -> None:
        """Nothing to export."""


def taken(header: str) -> str:
    """Return the W3C header of the trace that a request belongs to, a new one if it says none."""
    found = _HEADER.fullmatch(header)
    return header if found and int(found[1], 16) and int(found[2], 16) else drawn()


def drawn() -> str:
    """Return the W3C header of a new trace, for runs that nobody's trace asks for."""
    return f"00-{chance.token_hex(16)}-{chance.token_hex(8)}-01"


def build(settings: WorkflowSettings, secrets: Secrets) -> FlowSpans:
    """Return the spans of a workflow; OpenTelemetry is imported only if they are exported."""
    tracing = settings.observability.tracing
    if not tracing.enabled or not tracing.sample_rate:
        return NoSpans()
    from fleetform_runtime.telemetry.otlp import CLIENT, INTERNAL, Exporting, context_of  # noqa: PLC0415

    class OtlpSpans(Exporting):
        """Starts spans with the names of OpenTelemetry's semantic conventions."""

        @contextmanager
        def run(self, name: str, parent: str) -> Iterator[Any]:
            fixed = {
                "gen_ai.operation.name": "invoke_workflow",
                "gen_ai.workflow.name": settings.workflow.name,
                "fleetform.workflow.run": name,
                "langfuse.trace.name": settings.workflow.name,
            }
            title = f"invoke_workflow {settings.workflow.name}"
            with self.span(title, INTERNAL, fixed, context_of(parent)) as span:
                yield span

        @contextmanager
        def step(self, step: str, agent: str, attempt: int) -> Iterator[Any]:
            fixed = {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": agent,
                "fleetform.workflow.step": step,
                "fleetform.workflow.attempt": attempt,
            }
            with self.span(f"step {step}", CLIENT, fixed) as span:
                yield span

    identity = settings.workflow
    return OtlpSpans(tracing, identity.name, identity.namespace, secrets)
