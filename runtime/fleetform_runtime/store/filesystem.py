"""Sessions on disk: one JSON Lines file per session, and an index of them.

sessions.jsonl                        one line per change of a session
    sessions/<user>/<session>.jsonl       one line per message
    runs/<run>.json                       runs that wait for approval

An incomplete line (power cut, full disk) does not count and is cut off before the next one. Reading
and writing happen in one thread each, in order, outside the event loop.
"""

import asyncio
import hashlib
import os
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from fleetform_runtime.sections.memory import FilesystemMemory
from fleetform_runtime.store import (
    ConflictError,
    Event,
    Run,
    Session,
    StoreError,
    UnreadableRecordError,
    read_run,
    read_session,
    rewritten,
    run_json,
    session_json,
    stepped,
)
from fleetform_runtime.store.memory import RunTable

T = TypeVar("T")
OPERATION_SECONDS = 10
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._@-]{0,100}")
_HASHED = re.compile(r"_[0-9a-f]{64}")


class FilesystemStore:
    """Stores sessions below one folder; the index is also held in memory."""

    backend = "filesystem"
    shared = False

    def __init__(self, settings: FilesystemMemory, clock: Callable[[], float] = time.time) -> None:
        self._root = Path(settings.path)
        self._policy = settings.policy
        self._clock = clock
        self._index: dict[tuple[str, str], Session] = {}
        self._runs = RunTable(clock)
        self._thread = ThreadPoolExecutor(1, "store")

    async def open(self) -> None:
        """Read the index."""
        await self._do(self._open)

    async def close(self) -> None:
        """Wait for the last write."""
        self._thread.shutdown(wait=True)

    async def ping(self) -> None:
        """Check that the folder is writable."""
        await self._do(self._check)

    async def load(self, user: str, session: str, limit: int) -> tuple[Session, list[bytes]] | None:
        """Return a session and its newest rows, read from the end of the file."""
        return await self._do(lambda: self._load(user, session, limit))

    async def page(self, user: str, session: str, start: int, count: int) -> list[bytes]:
        """Return rows from a position on."""
        return await self._do(lambda: self._page(user, session, start, count))

    async def create(self, session: Session) -> Session:
        """Store a new session."""
        return await self._do(lambda: self._create(session))

    async def append(
        self, session: Session, rows: Sequence[bytes], expected: int | None = None
    ) -> Session:
        """Add rows."""
        return await self._do(lambda: self._append(session, rows, expected))

    async def sessions(self, user: str, start: int, count: int) -> tuple[list[Session], int]:
        """Return the user's sessions, most recently used first."""
        return await self._do(lambda: self._list(user, start, count))

    async def update(self, session: Session, expected: int | None = None) -> Session:
        """Rewrite title, model and pending."""
        return await self._do(lambda: self._update(session, expected))

    async def delete(self, user: str, session: str) -> bool:
        """Delete a session."""
        return await self._do(lambda: self._delete(user, session))

    async def put_run(self, run: Run, events: Sequence[Event], seconds: float) -> None:
        """Keep a run in memory, and on disk while it waits for approval."""
        before = self._runs.get(run.id)
        self._runs.put(run, seconds)
        if run.status == "waiting":
            await self._do(lambda: _replace(self._run_file(run.id), run_json(run)))
        elif before is not None and before.status == "waiting":
            await self._do(lambda: self._run_file(run.id).unlink(missing_ok=True))

    async def get_run(self, run: str) -> Run | None:
        """Return a run."""
        return self._runs.get(run) or await self._do(lambda: self._read_run(run))

    async def get_events(self, run: str, after: int) -> list[Event]:
        """Events are in the run's own log."""
        return []

    async def ask_cancel(self, run: str, seconds: float) -> None:
        """No other replica executes runs."""

    async def is_cancel_asked(self, run: str) -> bool:
        """No other replica could ask."""
        return False

    async def _do(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(OPERATION_SECONDS):
                return await loop.run_in_executor(self._thread, work)
        except (OSError, TimeoutError, RuntimeError) as error:
            raise StoreError(f"{type(error).__name__}: {error}") from error

    # Everything below runs in the thread.

    def _open(self) -> None:
        for folder in (self._root, self._root / "sessions", self._root / "runs"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        index = self._root / "sessions.jsonl"
        if index.exists():
            for line in index.read_bytes().split(b"\n"):
                self._read_line(line)
        _replace(index, b"".join(session_json(item) + b"\n" for item in self._index.values()))

    def _read_line(self, line: bytes) -> None:
        """Read one line of the index; an invalid one hides a title, never a message."""
        if not line.strip():
            return
        try:
            session = read_session(line)
        except UnreadableRecordError:
            return
        if session.revision < 0:
            self._index.pop((session.user, session.id), None)
        else:
            self._index[session.user, session.id] = session

    def _check(self) -> None:
        probe = self._root / ".probe"
        probe.write_bytes(b"")
        probe.unlink()

    def _file(self, user: str, session: str) -> Path:
        return self._root / "sessions" / _safe(user) / f"{_safe(session)}.jsonl"

    def _run_file(self, run: str) -> Path:
        return self._root / "runs" / f"{_safe(run)}.json"

    def _find(self, user: str, session: str) -> Session | None:
        held = self._index.get((user, session))
        if held is None:
            return None
        if held.updated + self._policy.session_ttl_seconds <= self._clock():
            self._delete(user, session)
            return None
        return held

    def _load(self, user: str, session: str, limit: int) -> tuple[Session, list[bytes]] | None:
        held = self._find(user, session)
        if held is None:
            return None
        file = self._file(user, session)
        rows = _tail(file, limit) if file.exists() else []
        return held, rows

    def _page(self, user: str, session: str, start: int, count: int) -> list[bytes]:
        file = self._file(user, session)
        if self._find(user, session) is None or not file.exists():
            return []
        return _tail(file, -1)[start : start + count]

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
        end = _add(file, b"".join(row + b"\n" for row in rows))
        try:
            return self._note(stepped(session, stored, len(rows), self._clock()))
        except OSError:
            os.truncate(file, end)
            raise

    def _update(self, session: Session, expected: int | None) -> Session:
        stored = self._find(session.user, session.id)
        if stored is None or (expected is not None and stored.revision != expected):
            raise ConflictError
        return self._note(rewritten(session, stored))

    def _note(self, session: Session) -> Session:
        """Write the index first: a full disk then refuses, and memory stays consistent."""
        _add(self._root / "sessions.jsonl", session_json(session) + b"\n")
        self._index.pop((session.user, session.id), None)
        self._index[session.user, session.id] = session
        mine = [key for key in self._index if key[0] == session.user]
        for user, name in mine[: max(0, len(mine) - self._policy.max_sessions_per_user)]:
            self._delete(user, name)
        return session

    def _delete(self, user: str, session: str) -> bool:
        held = self._index.pop((user, session), None)
        if held is None:
            return False
        self._file(user, session).unlink(missing_ok=True)
        _add(self._root / "sessions.jsonl", session_json(replace(held, revision=-1)) + b"\n")
        return True

    def _list(self, user: str, start: int, count: int) -> tuple[list[Session], int]:
        names = [key for key in self._index if key[0] == user]
        found = [held for key in reversed(names) if (held := self._find(*key))]
        return found[start : start + count], len(found)

    def _read_run(self, run: str) -> Run | None:
        try:
            return read_run(self._run_file(run).read_bytes())
        except FileNotFoundError:
            return None


def _safe(name: str) -> str:
    """Return a file name of its own: the name itself if it is safe and no hash, else its hash."""
    if _PLAIN.fullmatch(name) and not _HASHED.fullmatch(name):
        return name
    return "_" + hashlib.sha256(name.encode()).hexdigest()


def _add(file: Path, data: bytes) -> int:
    """Append whole lines or nothing; return the previous size."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        end = _whole_lines(descriptor)
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], end + written)
        except OSError:
            os.ftruncate(descriptor, end)
            raise
    finally:
        os.close(descriptor)
    return end


def _whole_lines(descriptor: int) -> int:
    """Cut off an incomplete last line; return the size."""
    size = os.fstat(descriptor).st_size
    end = size
    while end and os.pread(descriptor, 1, end - 1) != b"\n":
        block = os.pread(descriptor, min(65_536, end), max(0, end - 65_536))
        cut = block.rfind(b"\n")
        end = end - len(block) + cut + 1 if cut >= 0 else end - len(block)
    if end != size:
        os.ftruncate(descriptor, end)
    return end


def _tail(file: Path, limit: int) -> list[bytes]:
    """Return the newest complete lines, reading no more of the file than needed, and nothing of it twice."""
    if limit == 0:
        return []
    with file.open("rb") as stream:
        start = stream.seek(0, os.SEEK_END)
        blocks: list[bytes] = []
        marks = 0
        while start and (limit < 0 or marks <= limit):
            step = start if limit < 0 else min(65_536, start)
            start -= step
            stream.seek(start)
            blocks.append(stream.read(step))
            marks += blocks[-1].count(b"\n")
    lines = b"".join(reversed(blocks)).split(b"\n")[:-1]
    return lines if limit < 0 else lines[-limit:]


def _replace(file: Path, data: bytes) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(file)
