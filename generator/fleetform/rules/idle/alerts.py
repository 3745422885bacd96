"""Thresholds of alerts that no alert compares for the workload."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.problems import Severity
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.hosts import is_deployed
from fleetform.resolve.switches import OF_ALL, can_promise, is_watched
from fleetform.rules.idle.fields import Field, given, others
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec
    from fleetform.resolve.references import Uses
    from fleetform.rules import AgentUses

BASE: TreePath = ("spec", "observability", "alertThresholds")


def fields(fleet: Fleet, uses: AgentUses) -> Iterator[Field]:
    """Yield thresholds of alerts that do not exist, or that cannot fire for the workload."""
    there = "prometheus-operator" in fleet.environment.capabilities
    for kind in (kinds.AGENT, kinds.MCP_SERVER):
        for item in filter(is_deployed, fleet.of(kind)):
            names = others(item, BASE)
            if not names:
                continue
            if not there:
                why = "the environment has no `prometheus-operator`, so there are no alerts"
                hint = "nothing to do, unless the operator is there: then add the capability"
                yield from given(item, BASE, names, why, hint, "note")
                continue
            yield from given(item, BASE, (OF_ALL,), "", "")
            rest = [name for name in names if name != OF_ALL]
            yield from _of_the_runtime(item, rest)
    for agent in fleet.of(kinds.AGENT):
        yield from given(agent, ("spec",), ("slo",), *_unheard(agent, there=there))
        if there and others(agent, BASE) and is_watched(agent):
            for name, (what, hint) in _without(agent, uses[agent.key]).items():
                why = f"the alert cannot fire, since {what}" if what else ""
                yield from given(agent, BASE, (name,), why, hint)


def _unheard(agent: Resolved[AgentSpec], *, there: bool) -> tuple[str, str, Severity]:
    """Return why nothing compares an agent's objectives, empty if something does, what to do, and how bad it is."""
    if not there:
        what = "the environment has no `prometheus-operator`, so there are no alerts"
        return what, "nothing to do, unless the operator is there: then add the capability", "note"
    if agent.spec.container is not None:
        what = "objectives need metrics of the generic runtime; this agent runs its own image"
        return what, "remove it: alerts about its pods are there without it", "warning"
    if not is_watched(agent):
        return (
            "the metrics are not scraped",
            "set `metrics.enabled` to true, or remove it",
            "warning",
        )
    if not can_promise(agent):
        what = f"requests to a canary are counted as those of `{agent.spec.canary_of}`"
        return what, "set it there", "warning"
    return "", "", "warning"


def _of_the_runtime(item: Resolved[Any], names: list[str]) -> Iterator[Field]:
    """Yield thresholds of alerts that need metrics which the workload does not export."""
    why, hint = "", "remove it"
    if item.kind == "MCPServer":
        why = f"of the alerts only that of `{OF_ALL}` is about MCP servers"
    elif item.spec.container is not None:
        why = "the alert needs metrics of the generic runtime; this agent runs its own image"
    elif not is_watched(item):
        why, hint = "the metrics are not scraped", "set `metrics.enabled` to true, or remove it"
    if why:
        yield from given(item, BASE, names, why, hint)
    else:
        yield from given(item, BASE, ("errorRatio", "latencyRatio", "rateLimitedRatio"), "", "")


def _without(agent: Resolved[AgentSpec], uses: Uses) -> dict[str, tuple[str, str]]:
    """Return by threshold why nothing of the agent can reach it, empty if something can, and what to do."""
    spec = agent.spec
    repeats = any(model.retries != 0 for model in uses.every_model)
    return {
        "fallbackRatio": (
            "" if spec.fallbacks else "the agent has no `fallbacks`",
            "name `fallbacks`, or remove it",
        ),
        "retryRatio": (
            "" if repeats else "its models' `retries` are 0",
            "set `retries` of the model, or remove it",
        ),
        "toolErrorRatio": (
            "" if spec.tools else "the agent has no `tools`",
            "name `tools`, or remove it",
        ),
    }
