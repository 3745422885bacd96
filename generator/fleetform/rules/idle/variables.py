"""Environment variables of agents on the generic runtime, which is configured by agent.json instead."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from fleetform import kinds
from fleetform.contract import VARIABLES
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.references import Uses
from fleetform.rules.idle.fields import Field

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec
    from fleetform.rules import AgentUses

WHEN = {"tracing": "with tracing on", "bedrock": "for Bedrock models"}


def fields(fleet: Fleet, uses: AgentUses) -> Iterator[Field]:
    """Yield the variables that nothing in an agent's main container reads."""
    for agent in fleet.of(kinds.AGENT):
        generic = agent.spec.container is None
        active = _active(agent, uses[agent.key])
        triggers = {*_of_triggers(agent)}
        if agent.spec.env_from:
            why = (
                ""
                if not generic or len(active) > 1
                else "the generic runtime reads no such variables"
            )
            yield Field(agent, ("spec", "envFrom"), why, _hint())
        for number, variable in enumerate(agent.spec.env):
            readers = _readers(variable.name)
            used = not generic or bool(active & readers) or variable.name in triggers
            why = "" if used else _why(readers)
            path = ("spec", "env", number, "name")
            yield Field(agent, path, why, _hint(), "warning", variable.name)


def _active(agent: Resolved[AgentSpec], uses: Uses) -> set[str]:
    """Return the features in use for which variables are read."""
    bedrock = any(model.provider == "bedrock" for model in uses.every_model)
    tracing = agent.spec.observability.tracing.enabled
    return {"always", *(["tracing"] if tracing else []), *(["bedrock"] if bedrock else [])}


def _of_triggers(agent: Resolved[AgentSpec]) -> Iterator[str]:
    """Yield the variables of the container that KEDA reads for its triggers."""
    keda = agent.spec.scaling.keda
    for trigger in keda.triggers if keda is not None else ():
        for name, value in trigger.metadata.items():
            if name.endswith("FromEnv"):
                yield value


def _readers(name: str) -> set[str]:
    """Return when the runtime reads a variable; empty if it never does."""
    return {when for form, found in VARIABLES.items() if fnmatchcase(name, form) for when in found}


def _why(readers: set[str]) -> str:
    if not readers:
        return "the generic runtime does not read this variable"
    return (
        f"the generic runtime only reads it {' and '.join(WHEN[word] for word in sorted(readers))}"
    )


def _hint() -> str:
    always = [name for name, when in VARIABLES.items() if "always" in when]
    return (
        f"remove it, or use a field of the spec; it reads {', '.join(always)}, "
        "with tracing OTEL_*, with Bedrock AWS_*"
    )
