"""How long the requests of an agent on the generic runtime may wait, and for what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetform.models.agent import Limits
    from fleetform.resolve.references import Uses


def longest(limits: Limits) -> int:
    """Return how many seconds a request may take: its turn, after a queue that is longer than the default."""
    return limits.turn_timeout_seconds + (limits.queue_timeout_seconds or 0)


def asks_people(uses: Uses) -> bool:
    """Whether a call of some tool waits for a person, who approves it or answers it."""
    return any(_asking(uses))


def _asking(uses: Uses) -> Iterator[bool]:
    yield from (tool.spec.type == "human" for _, tool in uses.tools)
    for use, other in (*uses.tools, *uses.servers):
        asks = use.requires_approval
        yield bool(other.spec.requires_approval if asks is None else asks)
    for use in (*uses.inline_servers, *(use for use, _ in uses.agents)):
        yield bool(use.requires_approval)
