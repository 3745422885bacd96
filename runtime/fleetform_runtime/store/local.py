"""What a store of one process needs: leases that nobody else wants, a table of its runs, and what it remembers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fleetform_runtime.store import Event, Memory, Pause, Remembered, Run, drawn
from fleetform_runtime.store.parts import MOST_TASKS

if TYPE_CHECKING:
    from fleetform_runtime.store.parts import Surroundings

MOST_RUNS = 10_000
MOST_PAUSES = 10_000
"""Runs that are listed as waiting; older ones can be decided on nevertheless."""
MOST_RUN_BYTES = 16 * 1024 * 1024
MOST_MEMORIES = 20_000
"""Memories of all users that a process holds, about 2 KiB each; users that were idle longest are forgotten."""


class LocalBackend:
    """A place that no other replica shares."""

    type = "in-memory"
    shared = False

    async def open(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to close."""

    async def ping(self) -> None:
        """Always available."""

    async def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Take what nobody else wants."""
        return True

    async def is_held(self, name: str) -> bool:
        """Know of no other process."""
        return False


class LocalRuns:
    """The newest runs of one process; their events are in the runs' own logs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._runs: OrderedDict[str, tuple[float, Run]] = OrderedDict()
        self._bytes = 0

    async def put(self, run: Run, events: Sequence[Event], seconds: float) -> None:
        """Store a run."""
        self.keep(run, seconds)

    async def claim(self, run: Run, seconds: float) -> bool:
        """Store a run unless there is one of this name."""
        if self.find(run.id) is not None:
            return False
        self.keep(run, seconds)
        return True

    async def get(self, run: str) -> Run | None:
        """Return a run that has not expired."""
        return self.find(run)

    async def events(self, run: str, after: int) -> list[Event]:
        """Events are in the run's own log."""
        return []

    async def ask_cancel(self, run: str, seconds: float) -> None:
        """No other replica executes runs."""

    async def is_cancel_asked(self, run: str) -> bool:
        """No other replica could ask."""
        return False

    async def of(self, user: str) -> list[Run]:
        """Return the runs of a user."""
        return [run for _, run in self._runs.values() if run.user == user]

    async def tasks(self, user: str) -> list[Run]:
        """Return the user's tasks that have not expired, those that changed last first."""
        now = self._clock()
        found = [
            run
            for expires, run in self._runs.values()
            if run.user == user and run.is_task and expires > now
        ]
        return sorted(found, key=lambda run: (run.touched, run.id), reverse=True)[:MOST_TASKS]

    async def remove(self, run: str) -> None:
        """Forget a run."""
        self._drop(run)

    async def expire(self) -> int:
        """Forget what has expired."""
        now = self._clock()
        gone = [name for name, (expires, _) in self._runs.items() if expires <= now]
        for name in gone:
            self._drop(name)
        return len(gone)

    def keep(self, run: Run, seconds: float) -> None:
        """Store a run; the oldest is evicted if needed."""
        self._drop(run.id)
        self._runs[run.id] = (self._clock() + seconds, run)
        self._bytes += _size(run)
        while len(self._runs) > MOST_RUNS or self._bytes > MOST_RUN_BYTES:
            self._drop(next(iter(self._runs)))

    def find(self, run: str) -> Run | None:
        """Return a run that has not expired."""
        expires, held = self._runs.get(run, (0.0, None))
        return held if expires > self._clock() else None

    def _drop(self, run: str) -> None:
        _, held = self._runs.pop(run, (0.0, None))
        if held is not None:
            self._bytes -= _size(held)


class LocalPauses:
    """The runs of one process that wait for people."""

    def __init__(self) -> None:
        self._pauses: dict[str, Pause] = {}

    async def put(self, pause: Pause) -> None:
        """Add a run."""
        self._pauses[pause.run] = pause
        while len(self._pauses) > MOST_PAUSES:
            await self.remove(next(iter(self._pauses)))

    async def remove(self, run: str) -> None:
        """Remove a run."""
        self._pauses.pop(run, None)

    async def page(self, start: int, count: int) -> list[Pause]:
        """Return runs, those that wait longest first."""
        found = sorted(self._pauses.values(), key=lambda pause: (pause.since, pause.run))
        return found[start : start + count]


class LocalMemories:
    """What one process remembers of its users."""

    def __init__(self, around: Surroundings) -> None:
        self._clock = around.clock
        self._seconds = around.memory_seconds or 0.0
        self._owners: OrderedDict[str, dict[str, Memory]] = OrderedDict()
        self._marks: dict[str, str] = {}

    async def load(self, owner: str) -> Remembered:
        """Return all that is remembered of a user."""
        return Remembered(self._mark(owner), list(self._current(owner).values()))

    async def write(
        self, owner: str, mark: str, changed: Sequence[Memory], removed: Collection[str] = ()
    ) -> bool:
        """Add, replace and remove memories, unless some were deleted since."""
        if mark != self._mark(owner):
            return False
        self._keep(owner, written(self._current(owner), changed, removed))
        return True

    async def touch(self, owner: str, ids: Collection[str]) -> None:
        """Note that memories were used."""
        self._keep(owner, touched(self._current(owner), ids, self._clock()))

    async def remove(self, owner: str, ids: Collection[str] | None = None) -> int:
        """Delete memories."""
        self._marks[owner] = drawn()
        held = self._current(owner)
        self._keep(owner, without(held, ids))
        return len(held) - len(self._owners.get(owner, ()))

    async def expire(self) -> int:
        """Forget what was not used for long."""
        before = self._count()
        for owner in list(self._owners):
            self._keep(owner, self._current(owner), used=False)
        return before - self._count()

    def _mark(self, owner: str) -> str:
        return self._marks.get(owner, "")

    def _current(self, owner: str) -> dict[str, Memory]:
        return current(self._owners.get(owner, {}).values(), self._clock() - self._seconds)

    def _keep(self, owner: str, held: dict[str, Memory], *, used: bool = True) -> None:
        if not held:
            self._owners.pop(owner, None)
            return
        self._owners[owner] = held
        if used:
            self._owners.move_to_end(owner)
        while len(self._owners) > 1 and self._count() > MOST_MEMORIES:
            self._owners.popitem(last=False)

    def _count(self) -> int:
        return sum(map(len, self._owners.values()))


def current(memories: Collection[Memory], oldest: float) -> dict[str, Memory]:
    """Return the memories that were used since a time, by their identifiers."""
    return {memory.id: memory for memory in memories if memory.used > oldest}


def written(
    held: dict[str, Memory], changed: Sequence[Memory], removed: Collection[str]
) -> dict[str, Memory]:
    """Return memories after adding or replacing some, and removing others."""
    return without(held | {memory.id: memory for memory in changed}, removed)


def touched(held: dict[str, Memory], ids: Collection[str], now: float) -> dict[str, Memory]:
    """Return memories after the use of some."""
    return held | {
        name: replace(held[name], used=now, hits=held[name].hits + 1)
        for name in ids
        if name in held
    }


def without(held: dict[str, Memory], ids: Collection[str] | None) -> dict[str, Memory]:
    """Return memories without some, or none of them."""
    return {} if ids is None else {name: one for name, one in held.items() if name not in ids}


def _size(run: Run) -> int:
    """Return the approximate size of a run: its answer, and the results of its tools."""
    calls = run.result.get("tool_calls", ())
    return 1000 + len(run.result.get("output", "")) + sum(len(call["content"]) for call in calls)
