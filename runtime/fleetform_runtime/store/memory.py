"""Sessions in the process's memory: bounded, and lost with it."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fleetform_runtime.sections.memory import InMemory, MemoryPolicy
from fleetform_runtime.store import ConflictError, Event, Run, Session, rewritten, stepped

MOST_RUNS = 10_000
MOST_RUN_BYTES = 64 * 1024 * 1024
MOST_BYTES = 256 * 1024 * 1024
"""Maximum size of all messages; beyond it the oldest sessions are evicted."""


@dataclass(slots=True)
class _Kept:
    session: Session
    rows: list[bytes] = field(default_factory=list)


class RunTable:
    """The newest runs of one process; their events are in the runs' own logs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._runs: OrderedDict[str, tuple[float, Run]] = OrderedDict()
        self._bytes = 0

    def put(self, run: Run, seconds: float) -> None:
        """Store a run; the oldest is evicted if needed."""
        if run.id in self._runs:
            self._bytes -= _size(self._runs.pop(run.id)[1])
        self._runs[run.id] = (self._clock() + seconds, run)
        self._bytes += _size(run)
        while len(self._runs) > MOST_RUNS or self._bytes > MOST_RUN_BYTES:
            _, (_, oldest) = self._runs.popitem(last=False)
            self._bytes -= _size(oldest)

    def get(self, run: str) -> Run | None:
        """Return a run that has not expired."""
        expires, held = self._runs.get(run, (0.0, None))
        return held if expires > self._clock() else None


def _size(run: Run) -> int:
    """Return the approximate size of a run: its answer, and the results of its tools."""
    calls = run.result.get("tool_calls", ())
    return 1000 + len(run.result.get("output", "")) + sum(len(call["content"]) for call in calls)


class MemoryStore:
    """Stores sessions in dictionaries, most recently used last."""

    backend = "in-memory"
    shared = False

    def __init__(self, settings: InMemory, clock: Callable[[], float] = time.time) -> None:
        self._policy: MemoryPolicy = settings.policy
        self._most = settings.max_sessions
        self._clock = clock
        self._sessions: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._users: dict[str, OrderedDict[str, None]] = {}
        self._runs = RunTable(clock)
        self._bytes = 0

    async def open(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to close."""

    async def ping(self) -> None:
        """Always available."""

    async def load(self, user: str, session: str, limit: int) -> tuple[Session, list[bytes]] | None:
        """Return a session and its newest rows."""
        kept = self._find(user, session)
        if kept is None:
            return None
        return kept.session, list(kept.rows if limit < 0 else kept.rows[-limit:] if limit else ())

    async def page(self, user: str, session: str, start: int, count: int) -> list[bytes]:
        """Return rows from a position on."""
        kept = self._find(user, session)
        return kept.rows[start : start + count] if kept else []

    async def create(self, session: Session) -> Session:
        """Store a new session."""
        if self._find(session.user, session.id) is not None:
            raise ConflictError
        return self._keep(_Kept(stepped(session, None, 0, self._clock())))

    async def append(
        self, session: Session, rows: Sequence[bytes], expected: int | None = None
    ) -> Session:
        """Add rows."""
        kept = self._find(session.user, session.id)
        if expected is not None and (kept is None or kept.session.revision != expected):
            raise ConflictError
        kept = kept or _Kept(session)
        stored = kept.session if kept.session.revision else None
        kept.session = stepped(session, stored, len(rows), self._clock())
        kept.rows.extend(rows)
        self._bytes += sum(map(len, rows))
        return self._keep(kept)

    async def sessions(self, user: str, start: int, count: int) -> tuple[list[Session], int]:
        """Return the user's sessions, most recently used first."""
        names = list(reversed(self._users.get(user, ())))
        found = [kept.session for name in names if (kept := self._find(user, name))]
        return found[start : start + count], len(found)

    async def update(self, session: Session, expected: int | None = None) -> Session:
        """Rewrite title, model and pending."""
        kept = self._find(session.user, session.id)
        if kept is None or (expected is not None and kept.session.revision != expected):
            raise ConflictError
        kept.session = rewritten(session, kept.session)
        return kept.session

    async def delete(self, user: str, session: str) -> bool:
        """Delete a session."""
        return self._drop(user, session)

    async def put_run(self, run: Run, events: Sequence[Event], seconds: float) -> None:
        """Store a run."""
        self._runs.put(run, seconds)

    async def get_run(self, run: str) -> Run | None:
        """Return a run."""
        return self._runs.get(run)

    async def get_events(self, run: str, after: int) -> list[Event]:
        """Events are in the run's own log."""
        return []

    async def ask_cancel(self, run: str, seconds: float) -> None:
        """No other replica executes runs."""

    async def is_cancel_asked(self, run: str) -> bool:
        """No other replica could ask."""
        return False

    def _find(self, user: str, session: str) -> _Kept | None:
        kept = self._sessions.get((user, session))
        if kept is None:
            return None
        if kept.session.updated + self._policy.session_ttl_seconds <= self._clock():
            self._drop(user, session)
            return None
        return kept

    def _keep(self, kept: _Kept) -> Session:
        session = kept.session
        self._sessions[session.user, session.id] = kept
        self._sessions.move_to_end((session.user, session.id))
        mine = self._users.setdefault(session.user, OrderedDict())
        mine[session.id] = None
        mine.move_to_end(session.id)
        while len(mine) > self._policy.max_sessions_per_user:
            self._drop(session.user, next(iter(mine)))
        while len(self._sessions) > self._most or (
            self._bytes > MOST_BYTES and len(self._sessions) > 1
        ):
            self._drop(*next(iter(self._sessions)))
        return session

    def _drop(self, user: str, session: str) -> bool:
        mine = self._users.get(user)
        if mine is not None:
            mine.pop(session, None)
            if not mine:
                del self._users[user]
        kept = self._sessions.pop((user, session), None)
        if kept is not None:
            self._bytes -= sum(map(len, kept.rows))
        return kept is not None
