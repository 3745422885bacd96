"""Requests and limits of containers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.problems import Problem
from fleetform.quantity import parse
from fleetform.resolve import Fleet, Resolved
from fleetform.rules.pods import extras, workloads
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.models.workload import Resources
    from fleetform.rules import AgentUses

AMOUNTS = {"cpu": "cpu", "memory": "memory", "ephemeral-storage": "ephemeral_storage"}
"""Fields of requests and limits, and their attributes."""


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield requests above limits."""
    del uses
    for resolved, spec, root in workloads(fleet):
        yield from _resources(resolved, root, spec.resources)
        for path, container in extras(spec, root):
            yield from _resources(resolved, path, container.resources)


def _resources(resolved: Resolved[Any], root: TreePath, given: Resources) -> Iterator[Problem]:
    if not view.given(given):
        return
    for name, attribute in AMOUNTS.items():
        low, high = getattr(given.requests, attribute), getattr(given.limits, attribute)
        if low and high and parse(low) > parse(high):
            yield resolved.problem(
                (*root, "resources", "requests", name),
                "request-above-limit",
                f"the request {low} is greater than the limit {high}",
                hint="lower one or raise the other",
            )
