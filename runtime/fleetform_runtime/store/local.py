"""What a store of one process needs: leases that nobody else wants, and a table of its runs."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from fleetform_runtime.store import Event, Pause, Run

MOST_RUNS = 10_000
MOST_PAUSES = 10_000
"""Runs that are listed as waiting; older ones can be decided on nevertheless."""
MOST_RUN_BYTES = 16 * 1024 * 1024


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


def _size(run: Run) -> int:
    """Return the approximate size of a run: its answer, and the results of its tools."""
    calls = run.result.get("tool_calls", ())
    return 1000 + len(run.result.get("output", "")) + sum(len(call["content"]) for call in calls)
