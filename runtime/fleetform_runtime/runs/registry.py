"""All known runs: active and ended ones of this replica, and those of other replicas."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import orjson

from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.live import LiveRun
from fleetform_runtime.runs.log import LAST
from fleetform_runtime.store import Event, Run, StoreError, UnreadableRecordError, drawn
from fleetform_runtime.store.parts import Store
from fleetform_runtime.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

KEPT_SECONDS = 3600
"""Seconds for which an ended run stays available."""
MOST_ENDED = 1000
MOST_ENDED_BYTES = 16 * 1024 * 1024
"""Maximum size in bytes of the events of ended runs kept in memory, newest first."""
SHARE_SECONDS = 0.5
"""Seconds between exchanges with other replicas: new events, requests to stop."""
FOLLOW_SECONDS = 0.3
LEASE_SECONDS = 8.0
"""Seconds after which a replica that says nothing is taken for dead, and its runs for interrupted."""
BEAT_SECONDS = 2.0
INTERRUPTED = "interrupted"


class Registry:
    """Finds runs wherever they are executed."""

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        replica: str,
        clock: Callable[[], float] = time.time,
        *,
        keeps: bool = True,
    ) -> None:
        self.replica = replica
        self._keeps = keeps
        self._runs = store.runs
        self._backend = store.backend
        self._metrics = metrics
        self._clock = clock
        self._live: dict[str, LiveRun] = {}
        self._ending: dict[str, LiveRun] = {}
        """Runs whose end is being stored."""
        self._ended: OrderedDict[str, LiveRun] = OrderedDict()
        """Ended runs, where the store does not have their events."""
        self._ended_bytes = 0
        self._active: dict[tuple[str, str], int] = {}
        self._unstored: dict[str, LiveRun] = {}
        """Ended runs whose end the store has not taken yet."""
        self._beating: float | None = None
        """Since when every beat has reached the store."""
        self._heard: dict[str, float] = {}
        """When another replica was last known to live."""
        self._claimed: dict[str, asyncio.Future[None]] = {}
        """Names of runs that this replica is about to start: each future tells that it has, or why it has not."""
        self._opening: set[str] = set()
        """Runs that are being written into their sessions."""

    # -- runs of this replica --------------------------------------------------------------------

    @property
    def running(self) -> list[LiveRun]:
        """Return the runs of this replica that go on, or whose ends are being stored."""
        return [*self._live.values(), *self._ending.values()]

    async def claim(self, run: Run) -> bool:
        """Take the name of a run that is about to start; return whether nobody had it, on any replica.

        Whoever took it begins the run, or releases the name.
        """
        if run.id in self._claimed or self._known(run.id) is not None:
            return False
        self._claimed[run.id] = asyncio.get_running_loop().create_future()
        marked = replace(run, replica=self.replica, origin=run.origin | {"claim": drawn()})
        try:
            taken = await self._runs.claim(marked, KEPT_SECONDS)
            # A write that was repeated, since its answer was lost, may find what it has written.
            taken = taken or await self._runs.get(run.id) == marked
        except UnreadableRecordError:
            taken = False
        except BaseException:
            self._settle(run.id, None)
            raise
        if not taken:
            self._settle(run.id, None)
        return taken

    async def release(self, run: str, problem: HttpProblem | None) -> None:
        """Give back the name of a run that did not start; who waits for it gets the problem as well."""
        if run not in self._claimed:  # it started
            return
        try:
            await asyncio.shield(self._runs.remove(run))
        except StoreError as error:
            log.warning("the name of a run that did not start stays taken: %s", error)
        finally:
            self._settle(run, problem)

    async def started(self, run: str) -> bool:
        """Wait for a run that this replica is about to start; return whether there was one to wait for.

        Raises:
            HttpProblem: it did not start.
        """
        if (future := self._claimed.get(run)) is None:
            return False
        await asyncio.wait([future])
        if (problem := future.exception()) is not None:
            raise replace(problem) if isinstance(problem, HttpProblem) else problem
        return True

    def _settle(self, run: str, problem: HttpProblem | None) -> None:
        if (future := self._claimed.pop(run, None)) is None:
            return
        if problem is None:
            future.set_result(None)
        else:
            future.set_exception(problem)
            future.exception()  # nobody may be waiting

    @asynccontextmanager
    async def opening(self, run: LiveRun) -> AsyncIterator[None]:
        """Let a run be known as one that goes on while its session learns of it; forget it if that fails."""
        self._opening.add(run.id)
        try:
            yield
        except BaseException:
            if run.id not in self._claimed:  # else whoever claimed the name releases it
                with suppress(StoreError):
                    await asyncio.shield(self._runs.remove(run.id))
            raise
        finally:
            self._opening.discard(run.id)

    def begin(self, run: LiveRun) -> None:
        """Register a run."""
        self._live[run.id] = run
        self._settle(run.id, None)
        self._mark(run, 1)

    async def end(self, run: LiveRun, waiting_seconds: float) -> None:
        """Store an ended run for a while."""
        self._ending[run.id] = self._live.pop(run.id)
        self._mark(run, -1)
        if not self._backend.shared:
            self._keep(run)
        # One that waits has to be found when it is closed because nobody decided in time.
        seconds = KEPT_SECONDS + (waiting_seconds if run.status == "waiting" else 0)
        try:
            await asyncio.shield(self.put(run, seconds))
            await self.point(run, seconds)
        except StoreError as error:
            log.warning("the run was not stored: %s", error)
            if self._backend.shared:
                self._unstored[run.id] = run
        finally:
            del self._ending[run.id]

    def _keep(self, run: LiveRun) -> None:
        """Keep an ended run with its events, if need be instead of the oldest."""
        self._drop(run.id)  # its name may have been another's, which is kept no more
        self._ended[run.id] = run
        self._ended_bytes += run.log.size
        while len(self._ended) > MOST_ENDED or self._ended_bytes > MOST_ENDED_BYTES:
            self._drop(next(iter(self._ended)))

    def _drop(self, run: str) -> None:
        if (ended := self._ended.pop(run, None)) is not None:
            self._ended_bytes -= ended.log.size

    def forget(self, user: str) -> None:
        """Keep nothing of a user's ended runs."""
        for run in [run for run in self._ended.values() if run.user == user]:
            self._drop(run.id)

    async def point(self, run: LiveRun, seconds: float = KEPT_SECONDS) -> None:
        """Let the task that a run is of lead to it, for as long as the run is kept: it is known by its first run."""
        task = run.origin.get("task", run.id)
        if task == run.id:
            return
        first = await self._runs.get(task)
        if first is None:
            return
        origin = first.origin | {"latest": run.id, "updated": self._clock()}
        await self._runs.put(replace(first, origin=origin), [], seconds)
        if (live := self.local(first.user, task)) is not None:
            live.origin = origin

    async def put(self, run: LiveRun, seconds: float = KEPT_SECONDS) -> None:
        """Store a run, with its new events for other replicas."""
        events = run.log.after(run.shared) if self._backend.shared else []
        if run.status != "running" and run.ended is None:
            run.ended = self._clock()
        await self._runs.put(run.state(), events, seconds)
        if events:
            run.shared = events[-1].id

    def sharing(self, run: LiveRun) -> asyncio.Task[None] | None:
        """Share an active run with other replicas, if there are any, until the task is cancelled."""
        return asyncio.create_task(self._share(run)) if self._backend.shared else None

    async def beat(self) -> None:
        """Let the other replicas know that this one lives, as long as it does."""
        while self._backend.shared:
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._backend.hold(lease(self.replica), self.replica, LEASE_SECONDS)
                if self._beating is None:
                    self._beating = time.monotonic()
                await self._store_late()
            except (StoreError, TimeoutError) as error:
                if self._beating is not None:
                    log.warning("the store did not take a sign of life: %s", error)
                self._beating = None
            await asyncio.sleep(BEAT_SECONDS)

    async def _store_late(self) -> None:
        """Store the ends of runs that the store did not take when they came."""
        for run in list(self._unstored.values()):
            await self.put(run)
            self._unstored.pop(run.id, None)

    async def _share(self, run: LiveRun) -> None:
        """Pass events on, and stop the run if another replica asks for it."""
        while True:
            await asyncio.sleep(SHARE_SECONDS)
            try:
                if run.log.last_id > run.shared:
                    await self.put(run)
                if await self._runs.is_cancel_asked(run.id):
                    run.stop()
            except StoreError as error:
                log.warning("events were not shared: %s", error)

    def local(self, user: str, run: str) -> LiveRun | None:
        """Return a user's run of this replica."""
        live = self._known(run) or self._ended.get(run)
        return live if live is not None and live.user == user else None

    def _known(self, run: str) -> LiveRun | None:
        """Return a run of which this replica knows what the store does not: it goes on, or its end is not stored."""
        known = self._live.get(run) or self._ending.get(run) or self._unstored.get(run)
        return known if known is not None or self._keeps else self._ended.get(run)

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
        found = await self.find(run)
        if found is None or found.user != user:
            raise not_found()
        return found

    async def find(self, run: str) -> Run | None:
        """Return the state of a run, whoever it is of.

        Raises:
            HttpProblem: what is stored of it cannot be read.
        """
        if (live := self._known(run)) is not None:
            return live.state()
        kept = await self._stored(run)
        return None if kept is None else await self._current(kept)

    async def is_running(self, run: str) -> bool:
        """Whether a run goes on, on any replica."""
        if run in self._live or run in self._opening or run in self._claimed:
            return True
        if not self._backend.shared:
            return False
        try:
            found = await self.find(run)
        except HttpProblem:
            return False
        return found is not None and found.status == "running"

    async def tasks(self, user: str) -> list[Run]:
        """Return the tasks of a user that changed last, each as `find` does."""
        kept = await self._runs.tasks(user)
        return [found for run in kept if (found := await self._current(run)) is not None]

    async def _current(self, kept: Run) -> Run | None:
        """Return the state of a run by what was read of it."""
        if (live := self._known(kept.id)) is not None:
            return live.state()
        if not await self._is_lost(kept):
            return kept
        again = await self._stored(kept.id)  # it may have ended since it was read
        return _interrupted(again) if again is not None and again.status == "running" else again

    async def _stored(self, run: str) -> Run | None:
        try:
            return await self._runs.get(run)
        except UnreadableRecordError as error:
            raise HttpProblem("unreadable", str(error)) from None

    async def _is_lost(self, run: Run) -> bool:
        """Whether a run will never end, for its replica is dead."""
        if run.status != "running" or run.replica == "":
            return False
        if run.replica == self.replica:
            return self._is_orphan(run.id)
        return not self._backend.shared or await self._is_dead(run.replica)

    async def _is_dead(self, replica: str) -> bool:
        """Whether another replica lives no more, as far as this one can tell."""
        now = time.monotonic()
        # When the store was away nobody could renew a lease: the others have two beats to do so.
        if self._beating is None or now - self._beating < 2 * BEAT_SECONDS:
            return False
        if now - self._heard.get(replica, float("-inf")) < BEAT_SECONDS:
            return False
        if not await self._backend.is_held(lease(replica)):
            return True
        self._heard = {name: at for name, at in self._heard.items() if now - at < BEAT_SECONDS}
        self._heard[replica] = now
        return False

    def _is_orphan(self, run: str) -> bool:
        """Whether a run that goes on here, by what is stored, is not known here."""
        return self._known(run) is None and run not in self._claimed and run not in self._opening

    async def change(self, run: Run) -> None:
        """Store another state of a run that is not active."""
        await self._runs.put(run, [], KEPT_SECONDS)
        if (live := self.local(run.user, run.id)) is not None:
            live.status, live.result = run.status, run.result

    async def ask_cancel(self, user: str, run: str) -> None:
        """Cancel an active run, here or elsewhere."""
        live = self.local(user, run)
        if live is not None:
            live.stop()
        else:
            await self._runs.ask_cancel(run, KEPT_SECONDS)

    async def follow(
        self, user: str, run: str, after: int, idle: float | None = None
    ) -> AsyncIterator[list[Event]]:
        """Return the events of a run after one, as they arrive, wherever it is executed.

        Raises:
            HttpProblem: there is no such run, or the events are no longer kept.
        """
        await self.get(user, run)
        live = self.local(user, run)
        if live is None:
            return self._follow_elsewhere(user, run, after, idle)
        if after + 1 < live.log.first_id:
            raise HttpProblem("events_gone", f"the oldest event kept is {live.log.first_id}")
        return live.log.follow(after, idle)

    async def _follow_elsewhere(
        self, user: str, run: str, after: int, idle: float | None
    ) -> AsyncIterator[list[Event]]:
        quiet = 0.0
        while True:
            state = await self.get(user, run)
            ended = state.status != "running"
            fresh = await self._runs.events(run, after)
            if ended and not (fresh and fresh[-1].type in LAST):
                fresh = [*fresh, *await self._last_of(state, fresh[-1].id if fresh else after)]
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

    async def _last_of(self, run: Run, after: int) -> list[Event]:
        """Return the last event of a run that failed, where it is not kept, unless it is the one that the reader has."""
        error = run.result.get("error")
        if error is None:
            return []
        if after and self._backend.shared:
            newest = await self._runs.events(run.id, after - 1)
            if not newest or newest[-1].type in LAST:
                return []
        data = {
            "code": error["code"],
            "message": error["detail"],
            "retryable": error["retryable"],
            "run_id": run.id,
            "session_id": run.session,
        }
        return [Event(after + 1, "error", orjson.dumps(data))]


def not_found() -> HttpProblem:
    """Return the problem of a run that does not exist for a caller."""
    return HttpProblem("run_not_found", "it never existed, is not yours, or is no longer kept")


def lease(replica: str) -> str:
    """Return the name of the lease that a living replica holds."""
    return f"replica:{replica}"


def _interrupted(run: Run) -> Run:
    """Return what has become of a run whose replica died."""
    problem = HttpProblem(
        INTERRUPTED,
        "the replica that executed the run is gone; what its tools have done stays done",
        run_id=run.id,
    )
    result = {"output": "", "tool_calls": [], "finish_reason": "error", "error": problem.body()}
    return replace(run, status="failed", result=run.result | result)
