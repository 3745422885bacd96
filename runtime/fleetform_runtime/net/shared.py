"""Work that everybody needs at the same time is done once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Lets all who ask while it is being done wait for the same work, and share its failure.

    In a queue, each waiter would try again what has just failed for the one before.
    """

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self._task: asyncio.Task[T] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the work is being done."""
        return self._task is not None and not self._task.done()

    def start(self) -> "asyncio.Task[T]":
        """Begin the work, unless it is being done; it goes on if nobody waits for it."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._do())
            self._task.add_done_callback(_looked_at)
        return self._task

    async def result(self) -> T:
        """Return what the work returns, or raise what it raises."""
        return await asyncio.shield(self.start())

    def stop(self) -> None:
        """Give up work that is being done."""
        if self._task is not None:
            self._task.cancel()

    async def _do(self) -> T:
        return await self._work()


def _looked_at(task: "asyncio.Task[object]") -> None:
    """Take the exception out of a task that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
