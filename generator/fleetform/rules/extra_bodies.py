"""What a model's `extraBody` adds to its requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.contract import RESERVED
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.tree import problem_at

if TYPE_CHECKING:
    from fleetform.rules import AgentUses
    from fleetform.tree import TreePath


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield members of `extraBody` that the runtime sets itself."""
    del uses
    for config in fleet.of(kinds.MODEL_CONFIG):
        yield from _wrong(config, ("spec", "extraBody"), config.spec.extra_body)
    for agent in fleet.of(kinds.AGENT):
        if agent.spec.model is not None:
            path: TreePath = ("spec", "model", "extraBody")
            yield from _wrong(agent, path, agent.spec.model.extra_body)


def _wrong(owner: Resolved[Any], path: TreePath, body: Any) -> Iterator[Problem]:
    for name in body or {}:
        if name in RESERVED:
            yield problem_at(
                owner.tree,
                (*path, name),
                "reserved-member",
                f"`{name}` of a model's request is not `extraBody`'s",
                hint="the runtime sets it, or a field of the model's own does",
            )
