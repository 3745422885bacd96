"""Cycles among agents that use each other as tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform.problems import Problem
from fleetform.resolve import Fleet
from fleetform.resolve.catalog import Key

if TYPE_CHECKING:
    from fleetform.rules import AgentUses


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield each cycle once, at the agent whose name sorts first."""
    edges = {key: [other.key for _, other in found.agents] for key, found in uses.items()}
    for circle in _circles(edges):
        agent = fleet.specs["Agent"][circle[0]]
        trail = " → ".join(name for _, name in (*circle, circle[0]))
        number = next(
            (
                n
                for n, use in enumerate(agent.spec.tools)
                if any(
                    use is tool and other.key == circle[1 % len(circle)]
                    for tool, other in uses[circle[0]].agents
                )
            ),
            0,
        )
        yield agent.problem(
            ("spec", "tools", number, "name"),
            "agent-cycle",
            f"agents use each other in a cycle: {trail}",
            hint="break the cycle: a run would never end",
        )


def _circles(edges: dict[Key, list[Key]]) -> list[list[Key]]:
    """Return one cycle per strongly connected component, without recursion, starting at its lowest key."""
    found: list[list[Key]] = []
    done: set[Key] = set()
    for start in sorted(edges):
        if start in done:
            continue
        trail: list[Key] = []
        on_trail: dict[Key, int] = {}
        stack: list[tuple[Key, Iterator[Key]]] = [(start, iter(sorted(edges[start])))]
        trail.append(start)
        on_trail[start] = 0
        while stack:
            node, rest = stack[-1]
            step = next(rest, None)
            if step is None:
                stack.pop()
                done.add(node)
                del on_trail[trail.pop()]
            elif step in on_trail:
                circle = trail[on_trail[step] :]
                least = circle.index(min(circle))
                found.append([*circle[least:], *circle[:least]])
            elif step not in done and step in edges:
                on_trail[step] = len(trail)
                trail.append(step)
                stack.append((step, iter(sorted(edges[step]))))
    return found
