"""All known runs: active and ended ones of this replica, and those of other replicas."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable

from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.live import LiveRun
from fleetform_runtime.store import Event, Run, Store, StoreError, UnreadableRecordError
from fleetform_runtime.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

KEPT_SECONDS = 3600
"""Seconds for which an ended run stays available."""
MOST_ENDED = 1000
MOST_ENDED_BYTES = 64 * 1024 * 1024
"""Maximum size in bytes of the events of ended runs kept in memory, newest first."""
SHARE_SECONDS = 0.5
"""Seconds between exchanges with other replicas: new events, requests to stop."""
FOLLOW_SECONDS = 0.3


class Registry:
    """Finds runs wherever they are executed."""

    def __init__(
        self, store: Store, metrics: Metrics, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._live: dict[str, LiveRun] = {}
        self._ended: OrderedDict[str, LiveRun] = OrderedDict()
        self._ended_bytes = 0
        self._active: dict[tuple[str, str], int] = {}

    # -- runs of this replica --------------------------------------------------------------------

    @property
    def running(self) -> list[LiveRun]:
        """Return the active runs of this replica."""
        return list(self._live.values())

    def begin(self, run: LiveRun) -> None:
        """Register a run."""
        self._live[run.id] = run
        self._mark(run, 1)

    async def end(self, run: LiveRun, waiting_seconds: float) -> None:
        """Keep an ended run for a while."""
        self._live.pop(run.id, None)
        self._mark(run, -1)
        self._ended[run.id] = run
        self._ended_bytes += run.log.size
        while len(self._ended) > MOST_ENDED or self._ended_bytes > MOST_ENDED_BYTES:
            _, oldest = self._ended.popitem(last=False)
            self._ended_bytes -= oldest.log.size
        seconds = waiting_seconds if run.status == "waiting" else KEPT_SECONDS
        try:
            await asyncio.shield(self.put(run, seconds))
        except StoreError as error:
            log.warning("the run was not stored: %s", error)

    async def put(self, run: LiveRun, seconds: float = KEPT_SECONDS) -> None:
        """Store a run, with its new events for other replicas."""
        events = run.log.after(run.shared) if self._store.shared else []
        if run.status != "running" and run.ended is None:
            run.ended = self._clock()
        await self._store.put_run(run.state(), events, seconds)
        if events:
            run.shared = events[-1].id

    async def share(self, run: LiveRun) -> None:
        """Share an active run with other replicas, and stop it if they ask for it."""
        while True:
            await asyncio.sleep(SHARE_SECONDS)
            try:
                if run.log.last_id > run.shared:
                    await self.put(run)
                if await self._store.is_cancel_asked(run.id):
                    run.stop()
            except StoreError as error:
                log.warning("events were not shared: %s", error)

    def local(self, user: str, run: str) -> LiveRun | None:
        """Return a user's run of this replica."""
        live = self._live.get(run) or self._ended.get(run)
        return live if live is not None and live.user == user else None

    def _mark(self, run: LiveRun, by: int) -> None:
        key = (run.user, run.session)
        count = self._active.get(key, 0) + by
        if count:
            self._active[key] = count
        else:
            self._active.pop(key, None)
        self._metrics.set("agent_active_sessions", len(self._active))

    # -- runs of any replica -----------------------------------------------------------------------

    async def get(self, user: str, run: str) -> Run:
        """Return the state of a user's run.

        Raises:
            HttpProblem: there is no such run.
        """
        live = self.local(user, run)
        if live is not None:
            return live.state()
        try:
            kept = await self._store.get_run(run)
        except UnreadableRecordError as error:
            raise HttpProblem("unreadable", str(error)) from None
        if kept is None or kept.user != user:
            raise HttpProblem(
                "run_not_found", "it never existed, is not yours, or is no longer kept"
            )
        return kept

    async def change(self, run: Run) -> None:
        """Store another state of a run that is not active."""
        await self._store.put_run(run, [], KEPT_SECONDS)
        if (live := self.local(run.user, run.id)) is not None:
            live.status = run.status

    async def ask_cancel(self, user: str, run: str) -> None:
        """Cancel an active run, here or elsewhere."""
        live = self.local(user, run)
        if live is not None:
            live.stop()
        else:
            await self._store.ask_cancel(run, KEPT_SECONDS)

    async def follow(
        self, user: str, run: str, after: int, idle: float | None = None
    ) -> AsyncIterator[list[Event]]:
        """Return the events of a run after one, as they arrive, wherever it is executed.

        Raises:
            HttpProblem: there is no such run, or the events are no longer kept.
        """
        live = self.local(user, run)
        if live is None:
            await self.get(user, run)
            return self._follow_elsewhere(user, run, after, idle)
        if after + 1 < live.log.first_id:
            raise HttpProblem("events_gone", f"the oldest event kept is {live.log.first_id}")
        return live.log.follow(after, idle)

    async def _follow_elsewhere(
        self, user: str, run: str, after: int, idle: float | None
    ) -> AsyncIterator[list[Event]]:
        quiet = 0.0
        while True:
            ended = (await self.get(user, run)).status != "running"
            fresh = await self._store.get_events(run, after)
            if fresh:
                after = fresh[-1].id
                quiet = 0.0
                yield fresh
            if ended:
                return
            await asyncio.sleep(FOLLOW_SECONDS)
            quiet += FOLLOW_SECONDS
            if idle is not None and quiet >= idle:
                quiet = 0.0
                yield []
