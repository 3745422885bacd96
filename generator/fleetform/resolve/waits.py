"""How long the requests of an agent on the generic runtime may wait, and for what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetform.models.agent import Limits, ToolUse
    from fleetform.resolve.references import Uses


def longest(limits: Limits) -> int:
    """Return how many seconds a request may take: its turn, after a queue that is longer than the default."""
    return limits.turn_timeout_seconds + (limits.queue_timeout_seconds or 0)


def asks_people(uses: Uses) -> bool:
    """Whether a call of some tool waits for a person, who approves it or answers it."""
    return any(True for _ in asking(uses))


def needs_approval(uses: Uses) -> bool:
    """Whether a call of some tool waits for an approval: not for an answer."""
    people = {id(use) for use, tool in uses.tools if tool.spec.type == "human"}
    return any(id(use) not in people for use in asking(uses))


def asking(uses: Uses) -> Iterator[ToolUse]:
    """Yield the tools whose calls wait for a person."""
    for use, other in (*uses.tools, *uses.servers):
        wanted = use.requires_approval
        asks = other.spec.requires_approval if wanted is None else wanted
        if asks or (other.kind == "Tool" and other.spec.type == "human"):
            yield use
    for use in (*uses.inline_servers, *(use for use, _ in uses.agents)):
        if use.requires_approval:
            yield use
