"""What agents remember of their users: whether, and where that is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform.contract import NO_MEMORY
from fleetform.resolve.references import is_set

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec
    from fleetform.models.memory_store import Embedding, LongTermMemory
    from fleetform.resolve import Resolved
    from fleetform.resolve.references import Uses
    from fleetform.tree import TreePath

TOOLS = ("remember", "forget")
"""Tools that an agent has which remembers its users."""


def long_term(uses: Uses) -> LongTermMemory | None:
    """Return what an agent is to remember its users with; None if it does not."""
    memory = uses.memory
    if memory is None or memory.type == NO_MEMORY:
        return None
    found = memory.policy.long_term_memory
    return found if found is not None and found.enabled else None


def embedding(uses: Uses) -> Embedding | None:
    """Return what memories are compared with by their meaning; None if they are by their words."""
    found = long_term(uses)
    return found.embedding if found else None


def place(agent: Resolved[AgentSpec], uses: Uses, *field: str) -> tuple[Resolved[Any], TreePath]:
    """Return the document that says something of it, and where: the agent's own, else its MemoryStore."""
    own: TreePath = ("spec", "memory", "policy", "longTermMemory", *field)
    if uses.store is None or is_set(agent, own):
        return agent, own
    return uses.store, ("spec", "policy", "longTermMemory", *field)
