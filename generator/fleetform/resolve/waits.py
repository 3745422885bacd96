"""How long the requests of an agent on the generic runtime may wait, and for what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from fleetform.resolve.memories import long_term

if TYPE_CHECKING:
    from fleetform.models.agent import Limits, ToolUse
    from fleetform.resolve.references import Uses

    Known = Mapping[tuple[str, str], Uses]
    """What each agent uses."""


def longest(limits: Limits) -> int:
    """Return how many seconds a request may take: its turn, after a queue that is longer than the default."""
    return limits.turn_timeout_seconds + (limits.queue_timeout_seconds or 0)


def asks_people(uses: Uses, known: Known) -> bool:
    """Whether a call of some tool waits for a person, who approves it or answers it."""
    return _memories_ask(uses) or any(True for one in _reached(uses, known) for _ in asking(one))


def needs_approval(uses: Uses, known: Known) -> bool:
    """Whether a call of some tool waits for an approval: not for an answer."""
    if _memories_ask(uses):
        return True
    reached = [*_reached(uses, known)]
    people = {id(use) for one in reached for use, tool in one.tools if tool.spec.type == "human"}
    return any(id(use) not in people for one in reached for use in asking(one))


def _memories_ask(uses: Uses) -> bool:
    """Whether people approve what is remembered; an agent that is called by another one remembers nothing then."""
    found = long_term(uses)
    return found is not None and found.requires_approval


def _reached(uses: Uses, known: Known) -> Iterator[Uses]:
    """Yield what an agent uses, and what the agents use that it calls: what they wait for reaches its people."""
    seen: set[int] = set()
    left = [uses]
    while left:
        one = left.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            left += [known[other.key] for _, other in one.agents if other.spec.container is None]


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
