"""Starts the process that runs code, one at a time, and reads no more of it than was asked for."""

import asyncio
import errno
import json
import os
import platform
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from fleetform_runtime.code import MOST_TOLD, CodeError, Limits, jail, joined

SCRIPT = str(Path(jail.__file__))
LARGEST_FILE = 16 * 1024 * 1024
LARGEST_FOLDER = 32 * 1024 * 1024
MOST_FILES = 10_000
"""Bytes of a file, and bytes and number of all files and folders that the code makes."""
GLANCE = 0.1
"""Seconds between two looks at the folder."""
MOST_TO_A_PIPE = 64 * 1024
BASE = 96 * 1024 * 1024
"""Bytes of address space that Python takes before the code does anything."""


def obstacle() -> str:
    """Return why code cannot be locked in here, empty if it can be."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"the list of system calls is for Linux on x86-64, and this is {platform.machine()}"
    if jail.landlock() < 1:
        return "the kernel has no Landlock: it is in Linux 5.13 and later, unless it is left out of `lsm`"
    return ""


class Runner:
    """Runs code in a process that can reach nothing; one at a time, so that memory is bounded."""

    def __init__(self, limits: Limits, *, sandboxed: bool = False) -> None:
        self._limits = limits
        self._script = (SCRIPT, jail.SANDBOXED) if sandboxed else (SCRIPT,)
        self._turn = asyncio.Lock()

    async def run(self, code: str, inputs: dict[str, Any]) -> str:
        """Return what the code prints.

        Raises:
            CodeError: it failed, or took more than it may.
        """
        async with self._turn:
            work = tempfile.mkdtemp(prefix="code-")
            try:
                return await self._run(code, inputs, work)
            finally:
                await asyncio.to_thread(remove, work)

    async def close(self) -> None:
        """Close nothing: a run that is cut off ends its process."""

    async def _run(self, code: str, inputs: dict[str, Any], work: str) -> str:
        limits = self._limits
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-B", *self._script,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={"LANG": "C.UTF-8", "HOME": work, "TMPDIR": work}, start_new_session=True,
        )  # fmt: skip
        asked = {
            "work": work,
            "memory": limits.memory + BASE,
            "seconds": int(limits.seconds) + 1,
            "file": LARGEST_FILE,
            "inputs": inputs,
            "code": code,
        }
        why: list[str] = []
        watch = asyncio.create_task(self._watch(process, work, why))
        try:
            printed, said = await asyncio.wait_for(
                self._talked(process, json.dumps(asked).encode(), why), limits.seconds + 1
            )
            status = await process.wait()
        except TimeoutError:
            why.append(f"it took longer than {limits.seconds:g} s")
            status = -1
            printed = said = b""
        finally:
            watch.cancel()
            _end(process)
            await process.wait()
        return self._answer(status, printed, said, why)

    async def _talked(
        self, process: asyncio.subprocess.Process, asked: bytes, why: list[str]
    ) -> tuple[bytes, bytes]:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        _, printed, said = await asyncio.gather(
            _told(process.stdin, asked),
            self._read(process, process.stdout, self._limits.output, why),
            self._read(process, process.stderr, MOST_TO_A_PIPE, why),
        )
        return printed, said

    async def _read(
        self,
        process: asyncio.subprocess.Process,
        stream: asyncio.StreamReader,
        most: int,
        why: list[str],
    ) -> bytes:
        found = bytearray()
        while piece := await stream.read(MOST_TO_A_PIPE):
            found += piece
            if len(found) > most:
                why.append(f"it printed more than {most} bytes")
                _end(process)
                break
        return bytes(found[:most])

    async def _watch(self, process: asyncio.subprocess.Process, work: str, why: list[str]) -> None:
        """End code that fills the disk: a single file has a limit, their number has none."""
        while True:
            await asyncio.sleep(GLANCE)
            if await asyncio.to_thread(is_too_large, work):
                why.append(
                    f"its files are more than {MOST_FILES}, or more than {LARGEST_FOLDER} bytes"
                )
                _end(process)

    def _answer(self, status: int, printed: bytes, said: bytes, why: list[str]) -> str:
        output = printed.decode("utf-8", "replace")
        error = said.decode("utf-8", "replace").strip()[-MOST_TOLD:]
        if status == jail.WALL:
            raise CodeError(f"code cannot be locked in here: {error}")
        if why:
            raise CodeError(joined(f"The code was stopped: {why[0]}.", output))
        if status < 0:
            raise CodeError(joined(f"The code was stopped by signal {-status}: it took more than it may.", output))  # fmt: skip
        if status != 0:
            raise CodeError(joined(error or f"The code ended with the status {status}.", output))
        return output


def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


async def _told(stream: asyncio.StreamWriter, asked: bytes) -> None:
    with suppress(ConnectionError):
        stream.write(asked)
        await stream.drain()
        stream.close()


def is_too_large(folder: str) -> bool:
    """Return whether there is more in a folder than code may make; what vanishes meanwhile does not count."""
    size = count = 0
    left = [folder]
    while left:
        try:
            entries = [*os.scandir(left.pop())]
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:  # one of very many
                return True
            continue  # gone, or made for nobody to read, and so by nobody to fill
        count += len(entries)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                left.append(entry.path)
                continue
            with suppress(OSError):
                size += entry.stat(follow_symlinks=False).st_size
        if size > LARGEST_FOLDER or count > MOST_FILES:
            return True
    return False


def remove(folder: str) -> None:
    """Remove a folder, however deep it is: one descriptor goes down and up, so no path is too long."""
    names: list[str] = []
    here = os.open(folder, os.O_DIRECTORY)
    try:
        while True:
            inner = _emptied(here)
            if inner:
                names.append(inner)
                os.chmod(inner, 0o700, dir_fd=here)
                there = os.open(inner, os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            elif names:
                there = os.open("..", os.O_DIRECTORY, dir_fd=here)
                os.rmdir(names.pop(), dir_fd=there)
            else:
                break
            os.close(here)
            here = there
    finally:
        os.close(here)
    Path(folder).rmdir()


def _emptied(folder: int) -> str:
    """Remove the files of a folder; return the name of a folder in it, empty if there is none."""
    for entry in [*os.scandir(folder)]:
        if entry.is_dir(follow_symlinks=False):
            return str(entry.name)
        os.unlink(entry.name, dir_fd=folder)
    return ""
