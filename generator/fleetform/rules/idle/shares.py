"""Namespaces that a document is shared with, and that have no use for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import kinds
from fleetform.resolve import Fleet
from fleetform.resolve.sharing import SHAREABLE
from fleetform.rules.idle.documents import configs_of
from fleetform.rules.idle.fields import Field, given

if TYPE_CHECKING:
    from fleetform.rules import AgentUses


def fields(fleet: Fleet, uses: AgentUses) -> Iterator[Field]:
    """Yield the namespaces in `shareWith`, with a reason for those without an agent that uses the document."""
    used = _used(fleet, uses)
    for kind in SHAREABLE:
        for resolved in fleet.of(kind):
            if not resolved.namespace:
                why, hint = (
                    "a document without a namespace is for all",
                    "remove it, or set `metadata.namespace`",
                )
                yield from given(resolved, ("spec",), ("shareWith",), why, hint)
                continue
            for number, space in enumerate(resolved.spec.share_with):
                known = (id(resolved), space) in used and space != resolved.namespace
                why = "" if known else f"no agent of the namespace `{space}` needs it to use this"
                hint = "nothing to do, unless the name is misspelt"
                path = ("spec", "shareWith", number)
                yield Field(resolved, path, why, hint, "note", f"shareWith: {space}")


def _used(fleet: Fleet, uses: AgentUses) -> set[tuple[int, str]]:
    """Return documents, each with a namespace that has an agent which refers to it."""
    found: set[tuple[int, str]] = set()
    for agent in fleet.of(kinds.AGENT):
        use = uses[agent.key]
        named = [item for _, item in (*use.tools, *use.servers)]
        named += [use.store] if use.store is not None else []
        named += configs_of(fleet, agent, use)
        found |= {(id(item), agent.namespace) for item in named}
    return found
