"""A folder as a place: threads, in which one user's work does not hold up another's, and what a chat needs of a disk."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from fleetform_runtime.store import StoreError
from fleetform_runtime.store.local import LocalBackend

T = TypeVar("T")
OPERATION_SECONDS = 10
THREADS = 8
"""Users whose work goes on at the same time; the work of one user is done in order, so it takes one thread."""


class FilesystemBackend(LocalBackend):
    """A folder of one process."""

    type = "filesystem"

    def __init__(self, root: Path) -> None:
        self.root = root
        self._threads = ThreadPoolExecutor(THREADS, "store")
        self._own = ThreadPoolExecutor(1, "store-own")
        self._lanes: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._opening: list[Callable[[], None]] = []
        self._held: int | None = None

    def on_open(self, work: Callable[[], None]) -> None:
        """Let a part prepare itself when the folder is there, in a thread."""
        self._opening.append(work)

    async def open(self) -> None:
        """Make the folder, and let the parts read what is in it."""

        def work() -> None:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._hold("LOCK_SH")
            for each in self._opening:
                each()

        await self.alone(work)

    async def is_used(self) -> bool:
        """Whether another process has opened the folder: it holds what is in it in memory, too."""

        def work() -> bool:
            return self.root.exists() and not self._hold("LOCK_EX")

        return await self.alone(work)

    def _hold(self, how: str) -> bool:
        """Take the folder, beside others or alone; a system or a disk that knows no locks has nobody else."""
        if self._held is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            self._held = os.open(self.root / ".lock", flags, 0o600)
        try:
            with contextlib.suppress(ImportError):
                import fcntl  # noqa: PLC0415 - not on Windows

                fcntl.flock(self._held, getattr(fcntl, how) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    async def close(self) -> None:
        """Wait for the last write."""
        self._threads.shutdown(wait=True)
        self._own.shutdown(wait=True)
        if self._held is not None:
            os.close(self._held)
            self._held = None

    async def ping(self) -> None:
        """Write a file."""

        def work() -> None:
            probe = self.root / ".probe"
            probe.write_bytes(b"")
            probe.unlink()

        await self.alone(work)

    async def alone(self, work: Callable[[], T]) -> T:
        """Do work that is nobody's in a thread that nobody else's work occupies."""
        return await self._within_time("", work, self._own)

    async def do(self, user: str, work: Callable[[], T]) -> T:
        """Do a user's work in a thread, after what this user has asked for before.

        Raises:
            StoreError: the disk refuses, or takes too long.
        """
        return await self._within_time(f"of {user}", work, self._threads)

    async def _within_time(
        self, lane: str, work: Callable[[], T], threads: ThreadPoolExecutor
    ) -> T:
        try:
            async with asyncio.timeout(OPERATION_SECONDS):
                return await self._in_turn(lane, work, threads)
        except (OSError, TimeoutError, RuntimeError) as error:
            raise StoreError(f"{type(error).__name__}: {error}") from error

    async def _in_turn(self, lane: str, work: Callable[[], T], threads: ThreadPoolExecutor) -> T:
        """Wait for the lane; it is free again when the thread is done, even if nobody waits for it any more."""
        loop = asyncio.get_running_loop()
        turn = self._lanes.setdefault(lane, asyncio.Lock())
        await turn.acquire()
        try:
            done = threads.submit(work)
        except RuntimeError:  # closed
            turn.release()
            raise
        done.add_done_callback(lambda _: loop.call_soon_threadsafe(turn.release))
        return await asyncio.wrap_future(done)
