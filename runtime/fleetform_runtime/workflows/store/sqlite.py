"""Workflows in one SQLite file: for the processes of one machine, or for one process alone, in its memory."""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from fleetform_runtime.store import StoreError
from fleetform_runtime.workflows.store.sql import TABLES, SqlStore

T = TypeVar("T")
BUSY_SECONDS = 10.0
MEMORY = ":memory:"


class _Transaction:
    """Statements on a connection; nothing of it waits, so a thread runs it to its end."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock

    async def now(self) -> float:
        return self._clock()

    async def rows(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        given = {str(number): value for number, value in enumerate(values, 1)}
        return self._connection.execute(written(text), given).fetchall()


def written(text: str) -> str:
    """Return a statement as SQLite knows it."""
    return text.replace("{schema}", "").replace("{real}", "real")


class SqliteStore(SqlStore):
    """One file, or the process's memory."""

    def __init__(
        self, path: Path | None, workflow: str, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(workflow)
        self.type = "filesystem" if path else "in-memory"
        self.shared = False
        self._path = path
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    async def open(self) -> None:
        """Make the file and its tables."""
        await self.ping()

    async def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    async def ping(self) -> None:
        """Begin to write, and do not."""
        await self._do(lambda tx: tx.now())

    async def _do(self, work: Callable[[Any], Coroutine[Any, Any, T]], *, alone: bool = False) -> T:
        del alone  # each is

        def guarded() -> T:
            with self._lock:
                connection = self._connection or self._opened()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    found = _driven(work(_Transaction(connection, self._clock)))
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
                return found

        try:
            return await asyncio.to_thread(guarded)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{type(error).__name__}: {error}") from None

    def _opened(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600))
        made = sqlite3.connect(
            self._path or MEMORY,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        made.execute("PRAGMA foreign_keys = ON")
        made.execute("PRAGMA synchronous = FULL")
        made.executescript(f"BEGIN IMMEDIATE; {written(TABLES)} COMMIT;")
        self._connection = made
        return made


def _driven(work: Coroutine[Any, Any, T]) -> T:
    """Run what never waits for anything."""
    try:
        work.send(None)
    except StopIteration as ended:
        found: T = ended.value
        return found
    raise AssertionError("a transaction of SQLite has nothing to wait for")
