"""Requests and limits of containers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import kinds
from fleetform.problems import Problem
from fleetform.quantity import parse
from fleetform.resolve import Fleet, Resolved
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.models.workload import Workload
    from fleetform.rules import AgentUses


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield requests above limits."""
    del uses
    for kind in kinds.CALLABLE:
        for resolved in fleet.of(kind):
            yield from _resources(resolved)


def _resources(resolved: Resolved[Workload]) -> Iterator[Problem]:
    requests, limits = resolved.spec.resources.requests, resolved.spec.resources.limits
    for name in ("cpu", "memory"):
        low, high = getattr(requests, name), getattr(limits, name)
        if low and high and parse(low) > parse(high):
            path: TreePath = ("spec", "resources", "requests", name)
            yield resolved.problem(
                path,
                "request-above-limit",
                f"the request {low} is greater than the limit {high}",
                hint="lower one or raise the other",
            )
