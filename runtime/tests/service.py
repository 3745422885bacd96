"""A Service: new connections reach the server of the moment; old ones stay where they are, or fall silent."""

import asyncio
import contextlib
from typing import Self

from tests.ports import free_port


class Service:
    """A relay whose target moves, as that of a Service whose primary changes."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.target = target
        self.opened = 0
        self._silent: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await ended(self._writers)

    def hush(self) -> None:
        """Let what is open say nothing more, without an end: its node is gone."""
        self._silent = set(range(self.opened + 1))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        number = self.opened
        self._writers.append(writer)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        self._writers.append(back)
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pump(number, source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self, number: int, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await source.read(65_536):
                if number not in self._silent:
                    sink.write(data)
                    await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()


async def ended(writers: list[asyncio.StreamWriter]) -> None:
    """End connections now, whatever has not been sent yet."""
    for writer in writers:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
