"""Agents that take a share of another one's traffic: who they are, and how much they get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleetform.resolve import Fleet, Resolved

WEIGHT = 10
"""Percent of the requests, unless the spec says how many."""


def stable_of(fleet: Fleet, agent: Resolved[Any]) -> Resolved[Any] | None:
    """Return the agent that another one is a canary of, None if it is of none, or of one that is not there."""
    name = getattr(agent.spec, "canary_of", None)
    found = fleet.specs.get("Agent", {}).get((agent.namespace, name)) if name else None
    return None if found is None or found is agent or found.spec.canary_of else found


def canaries_of(fleet: Fleet, agent: Resolved[Any]) -> Iterator[tuple[Resolved[Any], int]]:
    """Yield the canaries of an agent and their weights, by name."""
    for key in fleet.canaries.get(agent.key, ()) if agent.kind == "Agent" else ():
        other = fleet.specs["Agent"][key]
        if stable_of(fleet, other) is agent:
            yield other, weight(other)


def weight(agent: Resolved[Any]) -> int:
    """Return the percent of the requests that a canary gets."""
    given = agent.spec.weight
    return WEIGHT if given is None else int(given)


def known_as(fleet: Fleet, agent: Resolved[Any]) -> Resolved[Any]:
    """Return the agent whose name and address a canary has for callers and in its store: the other one's."""
    return stable_of(fleet, agent) or agent
