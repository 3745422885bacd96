"""Runs of a process on disk: runs/<run>.json, but for those that succeed at once and are no A2A tasks.

The second line of a file says when it expires, in seconds since 1970.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from fleetform_runtime.store import (
    Event,
    Run,
    StoreError,
    UnreadableRecordError,
    read_run,
    run_json,
)
from fleetform_runtime.store.filesystem import files
from fleetform_runtime.store.filesystem.backend import FilesystemBackend
from fleetform_runtime.store.local import LocalRuns

WHILE_SECONDS = 1.0
"""A run is written when it has gone on for as long. One that succeeds sooner is in memory alone: nobody has to find out
what has become of it, and quick answers cost no file each."""

FORMERLY_SECONDS = 604_800


class FilesystemRuns(LocalRuns):
    """Keeps runs in memory, and on disk what has to outlive the process."""

    def __init__(self, backend: FilesystemBackend, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._backend = backend
        self._folder = backend.root / "runs"
        self._noting: dict[str, asyncio.TimerHandle] = {}
        self._notes: set[asyncio.Task[None]] = set()
        self._files: dict[Path, float] = {}
        """When each file expires."""
        backend.on_open(self._open)

    async def put(self, run: Run, events: Sequence[Event], seconds: float) -> None:
        """Keep a run; one that has ended, or waits, is on disk before this returns, unless it succeeded at once."""
        self.keep(run, seconds)
        file, expires = self._file(run.id), self._clock() + seconds
        if run.status == "running":
            if run.id not in self._noting and file not in self._files:
                later = asyncio.get_running_loop().call_later
                self._noting[run.id] = later(WHILE_SECONDS, self._note, run, expires)
            return
        if handle := self._noting.pop(run.id, None):
            handle.cancel()
            # A message that is sent again finds its task, also after a restart.
            if run.status == "succeeded" and "task" not in run.origin:
                return
        self._files[file] = expires
        await self._backend.do(run.user, lambda: self._write(run, expires))

    async def claim(self, run: Run, seconds: float) -> bool:
        """Keep a run unless there is one of this name, in memory or on disk."""
        if await self.get(run.id) is not None or self.find(run.id) is not None:
            return False
        await self.put(run, [], seconds)
        return True

    async def get(self, run: str) -> Run | None:
        """Return a run."""
        if held := self.find(run):
            return held
        return await self._backend.alone(lambda: self._read(run))

    async def of(self, user: str) -> list[Run]:
        """Return the runs of a user, in memory and on disk."""
        held = {run.id: run for run in await self._backend.alone(self._on_disk)}
        held |= {run.id: run for run in await super().of(user)}
        return [run for run in held.values() if run.user == user]

    async def remove(self, run: str) -> None:
        """Delete a run, after what is being written of it."""
        if handle := self._noting.pop(run, None):
            handle.cancel()
        held, file = self.find(run), self._file(run)
        await super().remove(run)
        unlink = partial(file.unlink, missing_ok=True)
        await (self._backend.do(held.user, unlink) if held else self._backend.alone(unlink))
        self._files.pop(file, None)

    async def expire(self) -> int:
        """Forget what has expired, in memory and on disk."""
        now = self._clock()
        over = [file for file, expires in self._files.items() if expires <= now]
        count = await self._backend.alone(lambda: self._sweep(over))
        for file in over:
            if self._files.get(file, now) <= now:
                self._files.pop(file, None)
        return count + await super().expire()

    def _note(self, run: Run, expires: float) -> None:
        """Write a run down after a while: whoever asks for it after a restart is told what has become of it."""
        del self._noting[run.id]
        self._files[self._file(run.id)] = expires
        self._notes.add(task := asyncio.create_task(self._write_later(run, expires)))
        task.add_done_callback(self._notes.discard)

    async def _write_later(self, run: Run, expires: float) -> None:
        with contextlib.suppress(StoreError):
            await self._backend.do(run.user, lambda: self._write(run, expires))

    # Everything below runs in threads.

    def _open(self) -> None:
        self._folder.mkdir(exist_ok=True, mode=0o700)
        for half in self._folder.glob("*.new"):  # a process died while it wrote this
            half.unlink()
        now = self._clock()
        for file in self._folder.glob("*.json"):
            self._files[file] = self._expires(file)
            with contextlib.suppress(UnreadableRecordError):
                run = read_run(file.read_bytes().split(b"\n")[0])
                if run.origin and (seconds := self._files[file] - now) > 0:
                    self.keep(run, seconds)

    def _file(self, run: str) -> Path:
        return self._folder / f"{files.safe(run)}.json"

    def _write(self, run: Run, expires: float) -> None:
        files.replace(self._file(run.id), run_json(run) + b"\n%f\n" % expires)

    def _read(self, run: str) -> Run | None:
        try:
            file = self._file(run)
            return None if self._is_over(file) else read_run(file.read_bytes().split(b"\n")[0])
        except FileNotFoundError:
            return None

    def _on_disk(self) -> list[Run]:
        found = []
        for file in list(self._folder.glob("*.json")):
            with contextlib.suppress(FileNotFoundError, UnreadableRecordError):
                found.append(read_run(file.read_bytes().split(b"\n")[0]))
        return found

    def _is_over(self, file: Path) -> bool:
        """Whether a file has expired."""
        return self._expires(file) <= self._clock()

    @staticmethod
    def _expires(file: Path) -> float:
        """Return when a file expires; earlier versions did not say, and an approval waits a week at most."""
        _, _, line = file.read_bytes().partition(b"\n")
        try:
            return float(line)
        except ValueError:
            return file.stat().st_mtime + FORMERLY_SECONDS

    def _sweep(self, files: list[Path]) -> int:
        count = 0
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                if self._is_over(file):  # else it was written anew meanwhile
                    file.unlink()
                    count += 1
        return count
