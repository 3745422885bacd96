"""What is remembered of users, on disk: memories/<user>.jsonl, one line per memory.

A file is written anew as a whole. That something was deleted matters to this process alone, since no other one has
anything in its queue: so the marks are in memory.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from fleetform_runtime.store import Memory, Remembered, drawn, memory_json, read_memory
from fleetform_runtime.store.filesystem import files
from fleetform_runtime.store.filesystem.backend import FilesystemBackend
from fleetform_runtime.store.local import current, touched, without, written
from fleetform_runtime.store.parts import Surroundings

Change = Callable[[dict[str, Memory]], dict[str, Memory]]


class FilesystemMemories:
    """Keeps memories below a folder."""

    def __init__(self, backend: FilesystemBackend, around: Surroundings) -> None:
        self._backend = backend
        self._clock = around.clock
        self._seconds = around.memory_seconds
        self._folder = backend.root / "memories"
        self._marks: dict[str, str] = {}
        backend.on_open(self._open)

    async def load(self, owner: str) -> Remembered:
        """Return all that is remembered of a user."""
        name = files.safe(owner)

        def work() -> Remembered:
            return Remembered(self._marks.get(name, ""), list(self._read(name).values()))

        return await self._backend.do(name, work)

    async def write(
        self, owner: str, mark: str, changed: Sequence[Memory], removed: Collection[str] = ()
    ) -> bool:
        """Add, replace and remove memories, unless some were deleted since."""
        name = files.safe(owner)

        def work() -> bool:
            if mark != self._marks.get(name, ""):
                return False
            self._change(name, lambda held: written(held, changed, removed))
            return True

        return await self._backend.do(name, work)

    async def touch(self, owner: str, ids: Collection[str]) -> None:
        """Note that memories were used."""
        name, now = files.safe(owner), self._clock()

        def change(held: dict[str, Memory]) -> dict[str, Memory]:
            return touched(held, ids, now)

        await self._backend.do(name, lambda: self._change(name, change))

    async def remove(self, owner: str, ids: Collection[str] | None = None) -> int:
        """Delete memories; nothing of an older mark is written from the call on, even if this fails."""
        name = files.safe(owner)
        self._marks[name] = drawn()
        return await self._backend.do(
            name, lambda: self._change(name, lambda held: without(held, ids))
        )

    async def expire(self) -> int:
        """Delete what was not used for long."""
        total = 0
        for name in await self._backend.alone(self._names):
            total += await self._backend.do(name, lambda name=name: self._change(name, dict))  # type: ignore[misc]
        return total

    # Everything below runs in threads: what belongs to one user in one at a time.

    def _open(self) -> None:
        for half in self._folder.glob("*.new"):  # a process died while it wrote this
            half.unlink()

    def _names(self) -> list[str]:
        return [] if self._seconds is None else [file.stem for file in self._folder.glob("*.jsonl")]

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.jsonl"

    def _stored(self, name: str) -> list[Memory]:
        try:
            lines = self._file(name).read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        return [memory for line in lines if (memory := read_memory(line)) is not None]

    def _read(self, name: str) -> dict[str, Memory]:
        return current(self._stored(name), self._clock() - (self._seconds or 0.0))

    def _change(self, name: str, change: Change) -> int:
        """Change what is remembered of a user; return how many memories went with it."""
        stored = self._stored(name)
        held = current(stored, self._clock() - (self._seconds or 0.0))
        made = change(held)
        if not made:
            self._file(name).unlink(missing_ok=True)
        elif list(made.values()) != stored:
            self._folder.mkdir(exist_ok=True, mode=0o700)
            lines = [memory_json(memory) + b"\n" for memory in made.values()]
            files.replace(self._file(name), b"".join(lines))
        return max(0, len(stored) - len(made))
