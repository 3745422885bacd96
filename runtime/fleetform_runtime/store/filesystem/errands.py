"""What a command wants of the process that has a folder open: to delete a user, whom it holds in memory too.

errands/<random>.ask has the name of a user, errands/<random>.done what has become of it. Both are gone once the
command has read the answer, and those of commands that were killed with the next start.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from fleetform_runtime.store import StoreError, drawn
from fleetform_runtime.store.filesystem import files
from fleetform_runtime.store.filesystem.backend import FilesystemBackend

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
FAILED = "it failed; the log of the agent has the reason"


async def asked(backend: FilesystemBackend, user: str, seconds: float) -> str | None:
    """Ask for a user to be deleted; return what became of it, None if nobody answers in time."""
    folder, name = _folder(backend), drawn()
    ask, done = folder / f"{name}.ask", folder / f"{name}.done"
    until = time.monotonic() + seconds

    def write() -> None:
        folder.mkdir(exist_ok=True, mode=0o700)
        files.replace(ask, user.encode())

    def read() -> str | None:
        return done.read_text("utf-8") if done.exists() else None

    def remove() -> None:
        for file in (ask, done):
            file.unlink(missing_ok=True)

    await backend.alone(write)
    try:
        while (found := await backend.alone(read)) is None and time.monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS / 4)
        return found
    finally:
        await backend.alone(remove)


async def run(backend: FilesystemBackend, delete: Callable[[str], Awaitable[str]]) -> None:
    """Do what is asked for, again and again; what was asked before is nobody's any more."""

    def forgotten() -> None:
        for file in [*_folder(backend).glob("*")]:
            file.unlink(missing_ok=True)

    with contextlib.suppress(StoreError):
        await backend.alone(forgotten)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        with contextlib.suppress(StoreError):
            for ask, user in await backend.alone(lambda: _open(backend)):
                await _do(backend, ask, user, delete)


async def _do(
    backend: FilesystemBackend, ask: Path, user: str, delete: Callable[[str], Awaitable[str]]
) -> None:
    try:
        said = await delete(user)
    except Exception:
        log.exception("a user was not deleted")
        said = FAILED

    def write() -> None:
        if ask.exists():  # else nobody waits for it any more
            ask.unlink()
            files.replace(ask.with_suffix(".done"), said.encode())

    await backend.alone(write)


def _folder(backend: FilesystemBackend) -> Path:
    return backend.root / "errands"


def _open(backend: FilesystemBackend) -> list[tuple[Path, str]]:
    found = []
    for file in sorted(_folder(backend).glob("*.ask")):
        with contextlib.suppress(FileNotFoundError, UnicodeDecodeError):
            found.append((file, file.read_text("utf-8")))
    return found
