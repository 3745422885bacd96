"""Requests and limits, and the time that a pod has to stop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform.problems import Problem
from fleetform.quantity import parse
from fleetform.resolve import Fleet, Resolved
from fleetform.tree import Path

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

PRE_STOP = 5
"""Seconds between the end of traffic and SIGTERM."""
MARGIN = 5
"""Seconds after the longest turn, for closing what is open."""


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield requests above limits, and grace periods that cut a turn."""
    del uses
    for kind in ("Agent", "MCPServer"):
        for resolved in fleet.of(kind):
            yield from _resources(resolved)
            yield from _grace(resolved)


def _resources(resolved: Resolved) -> Iterator[Problem]:
    requests, limits = resolved.spec.resources.requests, resolved.spec.resources.limits
    for name in ("cpu", "memory"):
        low, high = getattr(requests, name), getattr(limits, name)
        if low and high and parse(low) > parse(high):
            path: Path = ("spec", "resources", "requests", name)
            yield resolved.problem(
                path,
                "request-above-limit",
                f"the request {low} is more than the limit {high}",
                hint="lower the one or raise the other",
            )


def _grace(resolved: Resolved) -> Iterator[Problem]:
    spec = resolved.spec
    given = spec.pod_template.termination_grace_period_seconds
    generic = resolved.kind == "Agent" and spec.container is None
    turn = spec.limits.turn_timeout_seconds if generic else 0
    needed = PRE_STOP + turn + (MARGIN if generic else 1)
    if given is not None and given < needed:
        cut = (
            f"a turn that may take {turn}"
            if generic
            else f"the {PRE_STOP} that it waits for traffic to end"
        )
        yield resolved.problem(
            ("spec", "podTemplate", "terminationGracePeriodSeconds"),
            "grace-too-short",
            f"{given} seconds would cut {cut}",
            hint=f"at least {needed}"
            + (", or lower `limits.turnTimeoutSeconds`" if generic else ""),
        )
