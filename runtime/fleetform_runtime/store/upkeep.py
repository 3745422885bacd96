"""What a store needs while nobody asks for anything: expired records are deleted, by one replica for all."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from fleetform_runtime.store import StoreError, UnsuitableStoreError
from fleetform_runtime.store.parts import Store
from fleetform_runtime.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

SWEEP_SECONDS = 60.0
QUIET_SECONDS = 60.0
OPEN_SECONDS = 2.0
"""Seconds that the start waits for the store."""
REOPEN_SECONDS = 2.0


class Upkeep:
    """Opens a store, however long that takes, and keeps it free of what has expired."""

    def __init__(
        self, store: Store, replica: str, expire: Callable[[], Awaitable[Any]] | None = None
    ) -> None:
        """Take what else is to be closed when its time is over, by one replica for all."""
        self._expire = expire
        self._store = store
        self._replica = replica
        self._unsuitable = ""
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Connect; a store that does not answer yet is tried again in the background.

        Raises:
            UnsuitableStoreError: the store is of a kind that is not supported.
        """
        opening = asyncio.create_task(self._open())
        self._tasks = [opening, asyncio.create_task(self._sweep())]
        await asyncio.wait([opening], timeout=OPEN_SECONDS)
        if self._unsuitable:
            raise UnsuitableStoreError(self._unsuitable)

    async def close(self) -> None:
        """Disconnect."""
        for task in self._tasks:
            task.cancel()
        await self._store.backend.close()

    async def _sweep(self) -> None:
        await sweep(self._store, self._replica, expire=self._expire)

    async def _open(self) -> None:
        while True:
            try:
                await self._store.backend.open()
            except UnsuitableStoreError as error:
                log.error("the conversation store is not supported: %s", error)  # noqa: TRY400
                self._unsuitable = str(error)
                return
            except StoreError as error:
                log.warning("the conversation store does not answer: %s", error)
                await asyncio.sleep(REOPEN_SECONDS)
            else:
                return


async def sweep(
    store: Store,
    replica: str,
    seconds: float = SWEEP_SECONDS,
    expire: Callable[[], Awaitable[Any]] | None = None,
) -> None:
    """Delete what has expired, again and again, as long as no other replica does."""
    while True:
        await asyncio.sleep(seconds * random.uniform(0.75, 1.25))  # noqa: S311
        try:
            if await store.backend.hold("sweep", replica, 3 * seconds):
                await store.conversations.expire()
                await store.runs.expire()
                await store.memories.expire()
                if expire is not None:
                    await expire()
        except StoreError as error:
            log.warning("what has expired was not deleted: %s", error)
        except Exception:
            log.exception("what has expired was not deleted")  # the next time may go better


class Removals:
    """Counts sessions that were deleted unasked, and says when a limit that can be raised is the reason."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._told = float("-inf")

    def __call__(self, reason: str, count: int) -> None:
        """Count; a warning a minute is enough."""
        if count:
            self._metrics.count("agent_sessions_removed_total", reason, by=count)
        field = {"bytes": "maxBytes", "sessions": "maxSessions"}.get(reason)
        if count and field and self._clock() - self._told >= QUIET_SECONDS:
            self._told = self._clock()
            log.warning("memory.%s is reached: sessions that were idle longest are deleted", field)
