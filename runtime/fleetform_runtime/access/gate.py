"""The limit of concurrent runs in this replica, and the short queue in front of it."""

import asyncio
from collections import deque
from collections.abc import Callable

from fleetform_runtime.access.shares import Shares, once
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.telemetry.metrics import Metrics


class Gate:
    """Admit a fixed number, let a few wait briefly, and refuse the rest at once."""

    def __init__(
        self, most: int, queue: int, seconds: float, metrics: Metrics, share: int | None = None
    ) -> None:
        self._most = most
        self._free = most
        self._shares = Shares(share, "runs", metrics)
        self._queue: deque[asyncio.Future[None]] = deque()
        self._longest = queue
        self._seconds = seconds
        self._metrics = metrics
        metrics.set("agent_run_limit", most)
        self._tell_running()

    async def enter(self, user: str) -> Callable[[], None]:
        """Return a function that releases the place; calling it again has no effect.

        Raises:
            HttpProblem: all places are taken, and the queue is full or too slow; or the user has more
                than a share of them.
        """
        give = self._shares.take(user)
        try:
            if self._free > 0 and not self._queue:
                self._free -= 1
                self._tell_running()
            else:
                await self._wait()
        except BaseException:
            give()
            raise

        def leave() -> None:
            give()
            self._pass_on()

        return once(leave)

    async def _wait(self) -> None:
        if len(self._queue) >= self._longest:
            self._metrics.refused("queue" if self._longest else "concurrency")
            raise HttpProblem("overloaded", "all places and the queue are full", 1)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        self._tell()
        try:
            async with asyncio.timeout(self._seconds):
                await place
        except TimeoutError:
            self._metrics.refused("concurrency")
            raise HttpProblem(
                "overloaded", f"no place became free within {self._seconds:g} s", 1
            ) from None
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._pass_on()
            raise
        finally:
            if place in self._queue:
                self._queue.remove(place)
            self._tell()

    def _pass_on(self) -> None:
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
        self._tell_running()

    def _tell_running(self) -> None:
        self._metrics.set("agent_inflight_runs", self._most - self._free)

    def _tell(self) -> None:
        self._metrics.set("agent_queue_depth", len(self._queue))
