"""The standard streams of an MCP server in another container of the pod: two named pipes in a shared folder.

There, a shell starts the server with its input and output redirected to them, and starts it again when it has
ended (docs/adr/0017). To open a pipe for reading waits for a writer, so the server starts when we connect. A
connection's pipes lose their names with the first message: no other one finds a server that is about to end.
"""

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

from fleetform_runtime.tools.mcp import protocol
from fleetform_runtime.tools.mcp.protocol import DownError

NAMES = ("out", "in")
"""In the order in which they are made: a server that finds its input finds its output too."""
RETRY_SECONDS = 0.1
# The server may put anything in their place: a link to a file of ours, or a device that blocks.
FLAGS = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


class PipeChannel:
    """Two named pipes, one line per message."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._reader = asyncio.StreamReader(limit=protocol.LARGEST_MESSAGE)
        self._writer: asyncio.StreamWriter | None = None
        self._transports: list[asyncio.BaseTransport] = []
        self._named = [*NAMES]

    async def open(self) -> None:
        """Make the pipes that are not there, and wait until the server opens them."""
        for name in NAMES:
            if not (self._folder / name).is_fifo() or (self._folder / name).is_symlink():
                self._remove(name)
                os.mkfifo(self._folder / name, 0o600)
        loop = asyncio.get_running_loop()
        target = await self._reached()
        transport, flow = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, target)
        self._transports.append(transport)
        self._writer = asyncio.StreamWriter(transport, flow, None, loop)
        source = os.fdopen(self._opened("out", os.O_RDONLY), "rb", 0)
        received = asyncio.StreamReaderProtocol(self._reader)
        self._transports.append((await loop.connect_read_pipe(lambda: received, source))[0])

    async def send(self, data: bytes) -> None:
        """Write one line."""
        if self._writer is None or self._writer.is_closing():
            raise DownError("the process is gone")
        self._writer.write(data + b"\n")
        await self._writer.drain()

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield lines."""
        while line := await self._reader.readline():
            while self._named:
                self._remove(self._named.pop())
            yield line

    async def close(self) -> None:
        """Close both pipes; the server's input ends, and so does the server."""
        for transport in self._transports:
            transport.close()
        self._transports.clear()
        self._writer = None

    async def _reached(self) -> object:
        """Return the server's input, once the server reads it."""
        while True:
            try:
                return os.fdopen(self._opened("in", os.O_WRONLY), "wb", 0)
            except OSError as error:
                if error.errno != errno.ENXIO:  # nobody reads it yet
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    def _remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self._folder / name).unlink()

    def _opened(self, name: str, mode: int) -> int:
        found = os.open(self._folder / name, mode | FLAGS)
        if not stat.S_ISFIFO(os.fstat(found).st_mode):
            os.close(found)
            raise DownError(f"{name} is no pipe")
        return found
