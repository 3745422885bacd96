"""Conversations on disk: one JSON Lines file per session, and an index of them.

sessions.jsonl                        one line per change of a session
    sessions/<user>/<session>.jsonl       one line per message

An incomplete line (power cut, full disk) does not count and is cut off before the next one. The index is also held in
memory; its file is written anew when most of it has been replaced, and soon after something was deleted: its lines
hold what was asked in turns that are not over.
"""

import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fleetform_runtime.sections.memory import MemoryPolicy
from fleetform_runtime.store import (
    ConflictError,
    Session,
    UnreadableRecordError,
    read_session,
    rewritten,
    session_json,
    stepped,
)
from fleetform_runtime.store.filesystem import files
from fleetform_runtime.store.filesystem.backend import FilesystemBackend
from fleetform_runtime.store.parts import Surroundings

SPARE_LINES = 1_000
"""Lines that the index may have besides twice those that it needs."""
SPARE_BYTES = 16 * 1024 * 1024
"""Bytes that it may have besides twice those that it had when it was written anew."""


class FilesystemConversations:
    """Keeps conversations below a folder."""

    def __init__(
        self, backend: FilesystemBackend, policy: MemoryPolicy, around: Surroundings
    ) -> None:
        self._backend = backend
        self._policy = policy
        self._clock = around.clock
        self._removed = around.removed
        self._users: dict[str, OrderedDict[str, Session]] = {}
        self._index = backend.root / "sessions.jsonl"
        self._lines = 0
        self._bytes = self._least = 0
        """Its size, and that when it was written anew."""
        self._has_deleted = False
        """Whether something was deleted since."""
        self._writing = threading.Lock()
        backend.on_open(self._open)

    async def load(self, user: str, session: str, limit: int) -> tuple[Session, list[bytes]] | None:
        """Return a session and its newest rows, read from the end of the file."""
        return await self._backend.do(user, lambda: self._load(user, session, limit))

    async def page(self, user: str, session: str, start: int, count: int) -> list[bytes]:
        """Return rows from a position on."""
        return await self._backend.do(user, lambda: self._page(user, session, start, count))

    async def create(self, session: Session) -> Session:
        """Store a new session."""
        return await self._backend.do(session.user, lambda: self._create(session))

    async def append(
        self, session: Session, rows: Sequence[bytes], expected: int | None = None
    ) -> Session:
        """Add rows."""
        return await self._backend.do(session.user, lambda: self._append(session, rows, expected))

    async def recent(self, user: str, start: int, count: int) -> tuple[list[Session], int]:
        """Return the user's sessions, most recently used first."""
        return await self._backend.do(user, lambda: self._list(user, start, count))

    async def update(self, session: Session, expected: int | None = None) -> Session:
        """Rewrite what is no row."""
        return await self._backend.do(session.user, lambda: self._update(session, expected))

    async def delete(self, user: str, session: str) -> bool:
        """Delete a session."""
        return await self._backend.do(user, lambda: self._delete(user, session))

    async def clear(self, user: str) -> int:
        """Delete all sessions of a user, and the lines of the index that tell of them."""
        count = await self._backend.do(user, lambda: self._clear(user))
        await self._backend.alone(self._compact)
        return count

    async def expire(self) -> int:
        """Delete expired sessions that nobody touches, and lines of the index that no longer count."""
        total = 0
        for user in await self._backend.alone(self._users_with_expired):
            total += await self._backend.do(user, lambda user=user: self._expire(user))  # type: ignore[misc]
        if self._is_long():
            await self._backend.alone(self._compact)
        return total

    def _is_long(self) -> bool:
        """Whether the index is to be written anew."""
        needed = sum(map(len, list(self._users.values())))
        is_large = self._bytes > SPARE_BYTES + 2 * self._least
        return self._has_deleted or is_large or self._lines > SPARE_LINES + 2 * needed

    # Everything below runs in threads: what belongs to one user in one at a time, the index under its lock.

    def _open(self) -> None:
        (self._backend.root / "sessions").mkdir(exist_ok=True, mode=0o700)
        if self._index.exists():
            for line in self._index.read_bytes().split(b"\n"):
                self._read_line(line)
        self._compact()
        for user, held in self._users.items():
            for session in held:
                self._move(user, session)

    def _read_line(self, line: bytes) -> None:
        """Read one line of the index; an invalid one hides a title, never a message."""
        if not line.strip():
            return
        try:
            session = read_session(line)
        except UnreadableRecordError:
            return
        held = self._users.setdefault(session.user, OrderedDict())
        held.pop(session.id, None)
        if session.revision >= 0:
            held[session.id] = session

    def _move(self, user: str, session: str) -> None:
        """Give a file the name that it would get today."""
        folder, name = files.formerly_safe(user), files.formerly_safe(session)
        former = self._backend.root / "sessions" / folder / f"{name}.jsonl"
        file = self._file(user, session)
        if former != file and former.is_file() and not file.exists():
            file.parent.mkdir(exist_ok=True, mode=0o700)
            former.rename(file)

    def _compact(self) -> None:
        with self._writing:
            kept = [item for held in list(self._users.values()) for item in list(held.values())]
            text = b"".join(session_json(item) + b"\n" for item in kept)
            files.replace(self._index, text)
            self._lines, self._has_deleted = len(kept), False
            self._bytes = self._least = len(text)

    def _add_line(self, session: Session) -> None:
        with self._writing:
            line = session_json(session) + b"\n"
            files.add(self._index, line)
            self._lines, self._bytes = self._lines + 1, self._bytes + len(line)

    def _file(self, user: str, session: str) -> Path:
        return self._backend.root / "sessions" / files.safe(user) / f"{files.safe(session)}.jsonl"

    def _find(self, user: str, session: str) -> Session | None:
        held = self._users.get(user, OrderedDict()).get(session)
        if held is None:
            return None
        if held.updated + self._policy.session_ttl_seconds <= self._clock():
            self._delete(user, session)
            self._removed("expired", 1)
            return None
        return held

    def _load(self, user: str, session: str, limit: int) -> tuple[Session, list[bytes]] | None:
        held = self._find(user, session)
        if held is None:
            return None
        file = self._file(user, session)
        return held, files.tail(file, limit) if file.exists() else []

    def _page(self, user: str, session: str, start: int, count: int) -> list[bytes]:
        file = self._file(user, session)
        if self._find(user, session) is None or not file.exists():
            return []
        return files.page(file, start, count)

    def _create(self, session: Session) -> Session:
        if self._find(session.user, session.id) is not None:
            raise ConflictError
        return self._note(stepped(session, None, 0, self._clock()))

    def _append(self, session: Session, rows: Sequence[bytes], expected: int | None) -> Session:
        stored = self._find(session.user, session.id)
        if expected is not None and (stored is None or stored.revision != expected):
            raise ConflictError
        file = self._file(session.user, session.id)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        end = files.add(file, b"".join(row + b"\n" for row in rows))
        try:
            return self._note(stepped(session, stored, len(rows), self._clock()))
        except OSError:
            os.truncate(file, end)
            raise

    def _update(self, session: Session, expected: int | None) -> Session:
        stored = self._find(session.user, session.id)
        if stored is None or (expected is not None and stored.revision != expected):
            raise ConflictError
        made = rewritten(session, stored)
        self._add_line(made)
        self._users[session.user][session.id] = made
        return made

    def _note(self, session: Session) -> Session:
        """Write the index first: a full disk then refuses, and memory stays consistent."""
        self._add_line(session)
        held = self._users.setdefault(session.user, OrderedDict())
        held[session.id] = session
        held.move_to_end(session.id)
        while len(held) > self._policy.max_sessions_per_user:
            self._delete(session.user, next(iter(held)))
            self._removed("user", 1)
        return session

    def _delete(self, user: str, session: str) -> bool:
        held = self._users.get(user, OrderedDict()).pop(session, None)
        if held is None:
            return False
        if not self._users[user]:
            del self._users[user]
        self._file(user, session).unlink(missing_ok=True)
        self._add_line(replace(held, revision=-1, title="", pending=[], turns=[]))
        self._has_deleted = True
        return True

    def _clear(self, user: str) -> int:
        count = sum([self._delete(user, name) for name in list(self._users.get(user, ()))])
        shutil.rmtree(self._backend.root / "sessions" / files.safe(user), ignore_errors=True)
        return count

    def _list(self, user: str, start: int, count: int) -> tuple[list[Session], int]:
        names = list(reversed(self._users.get(user, OrderedDict())))
        found = [held for name in names if (held := self._find(user, name))]
        return found[start : start + count], len(found)

    def _users_with_expired(self) -> list[str]:
        oldest = self._clock() - self._policy.session_ttl_seconds
        return [
            user
            for user, held in list(self._users.items())
            if any(session.updated <= oldest for session in list(held.values()))
        ]

    def _expire(self, user: str) -> int:
        names = list(self._users.get(user, ()))
        return sum(self._find(user, name) is None for name in names)
