"""A pooler in transaction mode, as PgBouncer is one: each transaction gets the next of a few server connections."""

import asyncio
import struct
from typing import Self

from runtime.tests.service import ended
from tests.ports import free_port

PROTOCOL, NO_TLS, CANCEL = 196_608, (80_877_103, 80_877_104), 80_877_102
Message = tuple[bytes, bytes]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Pooler:
    """Speaks as much of PostgreSQL's protocol as is needed to know where a transaction ends."""

    def __init__(self, target: int, user: str, database: str, size: int = 2) -> None:
        self.port = free_port()
        self.transactions = 0
        self._target = target
        self._hello = f"user\0{user}\0database\0{database}\0\0".encode()
        self._size = size
        self._idle: asyncio.Queue[Connection] = asyncio.Queue()
        self._told: list[Message] = []
        self._clients: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        for _ in range(self._size):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
            writer.write(struct.pack("!ii", 8 + len(self._hello), PROTOCOL) + self._hello)
            self._told = []
            while (message := await _read(reader))[0] != b"Z":
                self._told.append(message)
            self._idle.put_nowait((reader, writer))
            self._writers.append(writer)
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        await ended(self._writers)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        task = asyncio.create_task(self._serve(reader, writer))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (code := await _begin(reader)) in NO_TLS:
                writer.write(b"N")
            if code != CANCEL:
                self._welcome(writer)
                await self._relay(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _welcome(self, writer: asyncio.StreamWriter) -> None:
        """Log in without asking; tell what the server told, but a process that does not exist."""
        for kind, body in self._told:
            if kind in (b"R", b"S"):
                _write(writer, kind, body)
        _write(writer, b"K", struct.pack("!ii", 1, 1))
        _write(writer, b"Z", b"I")

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held: list[Connection] = []
        answering = None
        try:
            while True:
                kind, body = await _read(reader)
                if kind == b"X":
                    return
                if not held:
                    held.append(await self._idle.get())
                    answering = asyncio.create_task(self._answer(held, writer))
                _write(held[0][1], kind, body)
        finally:
            if answering is not None:
                answering.cancel()
            for _, back in held:
                back.close()

    async def _answer(self, held: list[Connection], writer: asyncio.StreamWriter) -> None:
        """Pass answers on until the transaction is over, and give its connection to the next one."""
        while held:
            kind, body = await _read(held[0][0])
            if (kind, body) == (b"Z", b"I"):
                self.transactions += 1
                self._idle.put_nowait(held.pop())
            _write(writer, kind, body)


async def _begin(reader: asyncio.StreamReader) -> int:
    size, code = struct.unpack("!ii", await reader.readexactly(8))
    await reader.readexactly(size - 8)
    return int(code)


async def _read(reader: asyncio.StreamReader) -> Message:
    kind = await reader.readexactly(1)
    (size,) = struct.unpack("!i", await reader.readexactly(4))
    return kind, await reader.readexactly(size - 4)


def _write(writer: asyncio.StreamWriter, kind: bytes, body: bytes) -> None:
    writer.write(kind + struct.pack("!i", len(body) + 4) + body)
