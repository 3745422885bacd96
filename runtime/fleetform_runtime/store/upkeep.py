"""What a store needs while nobody asks for anything: expired records are deleted, by one replica for all."""

import asyncio
import logging
import random
import time
from collections.abc import Callable

from fleetform_runtime.store import StoreError
from fleetform_runtime.store.parts import Store
from fleetform_runtime.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

SWEEP_SECONDS = 60.0
QUIET_SECONDS = 60.0


async def sweep(store: Store, replica: str, seconds: float = SWEEP_SECONDS) -> None:
    """Delete what has expired, again and again, as long as no other replica does."""
    while True:
        await asyncio.sleep(seconds * random.uniform(0.75, 1.25))  # noqa: S311
        try:
            if await store.backend.hold("sweep", replica, 3 * seconds):
                await store.conversations.expire()
                await store.runs.expire()
        except StoreError as error:
            log.warning("what has expired was not deleted: %s", error)


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
