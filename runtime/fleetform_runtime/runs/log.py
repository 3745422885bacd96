"""The events of a run: numbered, kept for a while, followed by any number of readers."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import orjson

from fleetform_runtime.store import Event

MOST_BYTES = 4 * 1024 * 1024
LAST = frozenset(("done", "error"))
"""The final event of a run is one of these."""


class FellBehindError(Exception):
    """A reader wants events that are no longer kept."""


class RunLog:
    """Collects events; the oldest are dropped if there are too many."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._next = 1
        self._waiting: set[asyncio.Future[None]] = set()
        self.closed = False

    @property
    def last_id(self) -> int:
        """Return the number of the newest event, 0 if there is none."""
        return self._next - 1

    @property
    def first_id(self) -> int:
        """Return the number of the oldest event that is kept."""
        return self._events[0].id if self._events else self._next

    @property
    def size(self) -> int:
        """Return the size in bytes of the kept events."""
        return self._bytes

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        """Add an event; a final one ends the log."""
        if self.closed:
            return
        event = Event(self._next, kind, orjson.dumps(data))
        self._next += 1
        self._events.append(event)
        self._bytes += len(event.data)
        while self._bytes > MOST_BYTES and len(self._events) > 1:
            self._bytes -= len(self._events.popleft().data)
        self.closed = kind in LAST
        self._wake()

    def after(self, number: int) -> list[Event]:
        """Return the kept events after one."""
        if number >= self.last_id:
            return []
        skip = max(0, number - self.first_id + 1)
        return list(self._events)[skip:] if skip else list(self._events)

    async def follow(self, after: int = 0, idle: float | None = None) -> AsyncIterator[list[Event]]:
        """Yield new events, all that have arrived at once, until the final event.

        If nothing happens for `idle` seconds, yields an empty list.

        Raises:
            FellBehindError: the reader is so slow that it would miss some.
        """
        while True:
            if after + 1 < self.first_id:
                raise FellBehindError
            fresh = self.after(after)
            if fresh:
                after = fresh[-1].id
                yield fresh
            elif self.closed:
                return
            elif not await self._changed(idle):
                yield []

    async def _changed(self, idle: float | None) -> bool:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            async with asyncio.timeout(idle):
                await waiter
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(waiter)
        return True

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()
