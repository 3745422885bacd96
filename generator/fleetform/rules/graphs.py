"""Cycles: agents that use each other as tools, steps that wait for each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, TypeVar

from fleetform import kinds
from fleetform.problems import Problem
from fleetform.resolve import Fleet

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

Node = TypeVar("Node", bound=Any)


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield each cycle once, at the agent whose name sorts first."""
    edges = {key: [other.key for _, other in found.agents] for key, found in uses.items()}
    for cycle in cycles(edges):
        first, second = cycle[0], cycle[1 % len(cycle)]
        agent = fleet.specs[kinds.AGENT.name][first]
        use = next(use for use, other in uses[first].agents if other.key == second)
        number = next(n for n, item in enumerate(agent.spec.tools) if item is use)
        trail = " → ".join(name for _, name in (*cycle, first))
        yield agent.problem(
            ("spec", "tools", number, "name"),
            "agent-cycle",
            f"agents use each other in a cycle: {trail}",
            hint="break the cycle: a run would never end",
        )


def cycles(edges: Mapping[Node, Iterable[Node]]) -> Iterator[list[Node]]:
    """Yield cycles that share no node, each in the order of its edges, from its least node."""
    left: dict[Node, list[Node]] = {node: sorted(edges[node]) for node in sorted(edges)}
    while cycle := _cycle(left):
        least = cycle.index(min(cycle))
        yield [*cycle[least:], *cycle[:least]]
        gone = set(cycle)
        left = {
            node: [other for other in others if other not in gone]
            for node, others in left.items()
            if node not in gone
        }


def _cycle(edges: Mapping[Node, Iterable[Node]]) -> list[Node]:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        # Each node is one that the next one leads to, and the first is the last again.
        found: list[Node] = error.args[1][:0:-1]
        return found
    return []
