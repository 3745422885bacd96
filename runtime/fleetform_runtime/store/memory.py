"""Conversations in the process's memory: bounded, and lost with it."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from fleetform_runtime.sections.memory import InMemory
from fleetform_runtime.store import (
    ConflictError,
    FullError,
    Session,
    rewritten,
    stepped,
)
from fleetform_runtime.store.local import LocalBackend, LocalMemories, LocalPauses, LocalRuns
from fleetform_runtime.store.parts import Store, Surroundings

ROW_BYTES, SESSION_BYTES = 100, 1_000
"""What a row and a session take besides their text."""


def build(settings: InMemory, around: Surroundings) -> Store:
    """Return a store that is as empty as each new process's."""
    conversations = MemoryConversations(settings, around)
    runs, memories = LocalRuns(around.clock), LocalMemories(around)
    return Store(LocalBackend(), conversations, runs, LocalPauses(), memories)


@dataclass(slots=True)
class _Kept:
    session: Session
    rows: list[bytes] = field(default_factory=list)
    row_bytes: int = 0

    @property
    def bytes(self) -> int:
        """Return about what it takes."""
        return _size(self.session) + self.row_bytes


class MemoryConversations:
    """Keeps conversations in dictionaries, most recently used last."""

    def __init__(self, settings: InMemory, around: Surroundings) -> None:
        self._policy = settings.policy
        self._most = settings.max_sessions
        self._most_bytes = settings.max_bytes
        self._clock = around.clock
        self._removed = around.removed
        self._sessions: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._users: dict[str, OrderedDict[str, None]] = {}
        self._bytes = 0

    async def load(self, user: str, session: str, limit: int) -> tuple[Session, list[bytes]] | None:
        """Return a session and its newest rows."""
        kept = self._find(user, session)
        if kept is None:
            return None
        self._sessions.move_to_end((user, session))  # it is in use, whatever becomes of it
        return kept.session, list(kept.rows if limit < 0 else kept.rows[-limit:] if limit else ())

    async def page(self, user: str, session: str, start: int, count: int) -> list[bytes]:
        """Return rows from a position on."""
        kept = self._find(user, session)
        return kept.rows[start : start + count] if kept else []

    async def create(self, session: Session) -> Session:
        """Store a new session."""
        if self._find(session.user, session.id) is not None:
            raise ConflictError
        return self._keep(stepped(session, None, 0, self._clock()), _Kept(session), ())

    async def append(
        self, session: Session, rows: Sequence[bytes], expected: int | None = None
    ) -> Session:
        """Add rows."""
        kept = self._find(session.user, session.id)
        stored = kept.session if kept else None
        if expected is not None and (stored is None or stored.revision != expected):
            raise ConflictError
        made = stepped(session, stored, len(rows), self._clock())
        return self._keep(made, kept or _Kept(session), rows)

    async def recent(self, user: str, start: int, count: int) -> tuple[list[Session], int]:
        """Return the user's sessions, most recently used first."""
        names = list(reversed(self._users.get(user, ())))
        found = [kept.session for name in names if (kept := self._find(user, name))]
        return found[start : start + count], len(found)

    async def update(self, session: Session, expected: int | None = None) -> Session:
        """Rewrite what is no row."""
        kept = self._find(session.user, session.id)
        if kept is None or (expected is not None and kept.session.revision != expected):
            raise ConflictError
        self._bytes -= kept.bytes
        kept.session = rewritten(session, kept.session)
        self._bytes += kept.bytes
        return kept.session

    async def delete(self, user: str, session: str) -> bool:
        """Delete a session."""
        return self._drop(user, session)

    async def clear(self, user: str) -> int:
        """Delete all sessions of a user."""
        return sum([self._drop(user, name) for name in list(self._users.get(user, ()))])

    async def expire(self) -> int:
        """Delete expired sessions that nobody touches."""
        before = len(self._sessions)
        for name in list(self._sessions):
            self._find(*name)
        return before - len(self._sessions)

    def _find(self, user: str, session: str) -> _Kept | None:
        kept = self._sessions.get((user, session))
        if kept is None:
            return None
        if kept.session.updated + self._policy.session_ttl_seconds <= self._clock():
            self._drop(user, session)
            self._removed("expired", 1)
            return None
        return kept

    def _keep(self, session: Session, kept: _Kept, rows: Sequence[bytes]) -> Session:
        """Store a session with further rows; idle ones make room.

        Raises:
            FullError: it would not fit even alone; what is stored of it stays.
        """
        added = sum(len(row) + ROW_BYTES for row in rows)
        if _size(session) + kept.row_bytes + added > self._most_bytes:
            raise FullError("memory.maxBytes")
        self._drop(session.user, session.id)
        kept.session = session
        kept.rows.extend(rows)
        kept.row_bytes += added
        self._sessions[session.user, session.id] = kept
        self._users.setdefault(session.user, OrderedDict())[session.id] = None
        self._bytes += kept.bytes
        self._make_room(session)
        return session

    def _make_room(self, session: Session) -> None:
        mine = self._users[session.user]
        while len(mine) > self._policy.max_sessions_per_user:
            self._drop(session.user, next(iter(mine)))
            self._removed("user", 1)
        while len(self._sessions) > self._most:
            self._drop(*next(iter(self._sessions)))
            self._removed("sessions", 1)
        while self._bytes > self._most_bytes:
            self._drop(*next(iter(self._sessions)))
            self._removed("bytes", 1)

    def _drop(self, user: str, session: str) -> bool:
        mine = self._users.get(user)
        if mine is not None:
            mine.pop(session, None)
            if not mine:
                del self._users[user]
        kept = self._sessions.pop((user, session), None)
        if kept is not None:
            self._bytes -= kept.bytes
        return kept is not None


def _size(session: Session) -> int:
    """Return about what a session takes without its rows."""
    held = len(orjson.dumps(session.pending)) if session.pending else 0
    held += sum(len(row) for turn in session.turns for row in turn["rows"])
    return SESSION_BYTES + len(session.title) + held
