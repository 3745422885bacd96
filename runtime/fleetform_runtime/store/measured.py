"""Durations of store operations, for any store."""

import time
from collections.abc import Sequence

from fleetform_runtime.store import Event, Run, Session, Store
from fleetform_runtime.telemetry.metrics import Metrics


class _Timer:
    def __init__(self, metrics: Metrics, backend: str, op: str) -> None:
        self._metrics, self._labels = metrics, (backend, op)

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        seconds = time.perf_counter() - self._began
        self._metrics.observe("agent_memory_operation_seconds", seconds, *self._labels)


class MeasuredStore:
    """Delegates every operation and measures it."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self.backend = store.backend
        self.shared = store.shared
        self._store = store
        self._metrics = metrics

    def _timed(self, op: str) -> _Timer:
        return _Timer(self._metrics, self.backend, op)

    async def open(self) -> None:
        """Delegate."""
        await self._store.open()

    async def close(self) -> None:
        """Delegate."""
        await self._store.close()

    async def ping(self) -> None:
        """Delegate."""
        await self._store.ping()

    async def load(self, user: str, session: str, limit: int) -> tuple[Session, list[bytes]] | None:
        """Delegate."""
        with self._timed("load"):
            return await self._store.load(user, session, limit)

    async def page(self, user: str, session: str, start: int, count: int) -> list[bytes]:
        """Delegate."""
        with self._timed("load"):
            return await self._store.page(user, session, start, count)

    async def create(self, session: Session) -> Session:
        """Delegate."""
        with self._timed("update"):
            return await self._store.create(session)

    async def append(
        self, session: Session, rows: Sequence[bytes], expected: int | None = None
    ) -> Session:
        """Delegate."""
        with self._timed("append"):
            return await self._store.append(session, rows, expected)

    async def sessions(self, user: str, start: int, count: int) -> tuple[list[Session], int]:
        """Delegate."""
        with self._timed("list"):
            return await self._store.sessions(user, start, count)

    async def update(self, session: Session, expected: int | None = None) -> Session:
        """Delegate."""
        with self._timed("update"):
            return await self._store.update(session, expected)

    async def delete(self, user: str, session: str) -> bool:
        """Delegate."""
        with self._timed("delete"):
            return await self._store.delete(user, session)

    async def put_run(self, run: Run, events: Sequence[Event], seconds: float) -> None:
        """Delegate."""
        with self._timed("update"):
            await self._store.put_run(run, events, seconds)

    async def get_run(self, run: str) -> Run | None:
        """Delegate."""
        with self._timed("load"):
            return await self._store.get_run(run)

    async def get_events(self, run: str, after: int) -> list[Event]:
        """Delegate."""
        with self._timed("load"):
            return await self._store.get_events(run, after)

    async def ask_cancel(self, run: str, seconds: float) -> None:
        """Delegate."""
        with self._timed("update"):
            await self._store.ask_cancel(run, seconds)

    async def is_cancel_asked(self, run: str) -> bool:
        """Delegate."""
        with self._timed("load"):
            return await self._store.is_cancel_asked(run)
