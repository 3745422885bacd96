"""Runs that wait for people, on disk: waiting/<run>.json."""

from pathlib import Path

from fleetform_runtime.store import Pause, pause_json, read_pause
from fleetform_runtime.store.filesystem import files
from fleetform_runtime.store.filesystem.backend import FilesystemBackend
from fleetform_runtime.store.local import LocalPauses


class FilesystemPauses(LocalPauses):
    """Keeps them in memory, and on disk for the next process."""

    def __init__(self, backend: FilesystemBackend) -> None:
        super().__init__()
        self._backend = backend
        self._folder = backend.root / "waiting"
        backend.on_open(self._open)

    async def put(self, pause: Pause) -> None:
        """Write a run down before it counts."""
        file, line = self._file(pause.run), pause_json(pause)
        await self._backend.do(pause.user, lambda: files.replace(file, line))
        await super().put(pause)

    async def remove(self, run: str) -> None:
        """Remove a run, on disk first."""
        if (pause := self._pauses.get(run)) is not None:
            file = self._file(run)
            await self._backend.do(pause.user, lambda: file.unlink(missing_ok=True))
        await super().remove(run)

    def _file(self, run: str) -> Path:
        return self._folder / f"{files.safe(run)}.json"

    def _open(self) -> None:
        self._folder.mkdir(exist_ok=True, mode=0o700)
        for half in self._folder.glob("*.new"):  # a process died while it wrote this
            half.unlink()
        for file in self._folder.glob("*.json"):
            if (pause := read_pause(file.read_bytes())) is not None:
                self._pauses[pause.run] = pause
