"""MCP over a channel that stays open: a child process, pipes, or the SSE of protocol 2024-11-05.

One task reads the channel. When it dies, every pending request fails, and the next request opens
the channel again.
"""

import asyncio
import contextlib
import itertools
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urljoin

from fleetform_runtime.net import NetError
from fleetform_runtime.net.addresses import origin
from fleetform_runtime.net.client import Client, Reply
from fleetform_runtime.tools.mcp import protocol, questions
from fleetform_runtime.tools.mcp.protocol import DownError, EventReader, Hear, McpError
from fleetform_runtime.tools.mcp.questions import Questions

log = logging.getLogger(__name__)

GREETING_SECONDS = 20
STOP_SECONDS = 2


class Channel(Protocol):
    """A bidirectional channel of messages."""

    async def open(self) -> None:
        """Connect."""

    async def send(self, data: bytes) -> None:
        """Send one message."""

    def messages(self) -> AsyncIterator[bytes]:
        """Yield messages until the other side is gone."""

    async def close(self) -> None:
        """Disconnect."""


class DuplexTransport:
    """Sends requests over a channel and matches the answers."""

    version = protocol.LEGACY

    def __init__(self, make: Callable[[], Channel]) -> None:
        self._make = make
        self._channel: Channel | None = None
        self._reader: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._asking: list[Questions] = []
        self._opening = asyncio.Lock()
        self.hear: Hear = protocol.ignore

    async def request(
        self, method: str, params: dict[str, Any], most: int = protocol.LARGEST_MESSAGE
    ) -> dict[str, Any]:
        """Send a request and return its result; the channel bounds it, whatever `most` is.

        Raises:
            McpError: the server refuses it.
            DownError: the server is gone.
        """
        del most
        channel = await self._opened()
        if method != "tools/call":
            return await self._asked(channel, method, params)
        asking = Questions(params)
        self._asking.append(asking)
        try:
            found = await self._asked(channel, method, asking.params)
        except McpError:
            if not asking.is_open:
                raise
            found = {}
        finally:
            self._asking.remove(asking)
        return asking.asked() if asking.is_open else found

    async def close(self) -> None:
        """Stop reading and disconnect."""
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        await self._drop()

    async def _opened(self) -> Channel:
        async with self._opening:
            if self._channel is None:
                channel = self._make()
                try:
                    async with asyncio.timeout(GREETING_SECONDS):
                        await channel.open()
                        self._reader = asyncio.create_task(self._read(channel))
                        found = await self._asked(channel, "initialize", protocol.hello())
                        await channel.send(protocol.notification("notifications/initialized"))
                except (OSError, NetError, DownError, ValueError) as error:
                    await channel.close()
                    raise DownError(f"{type(error).__name__}: {error}") from None
                except BaseException:
                    await channel.close()
                    raise
                self.version = str(found.get("protocolVersion") or protocol.LEGACY)
                self._channel = channel
            return self._channel

    async def _asked(self, channel: Channel, method: str, params: dict[str, Any]) -> dict[str, Any]:
        number = next(self._numbers)
        waiter = asyncio.get_running_loop().create_future()
        self._pending[number] = waiter
        try:
            await channel.send(protocol.request(number, method, params, modern=False))
            return protocol.result(await waiter)
        except TimeoutError:
            raise
        except (OSError, NetError) as error:
            raise DownError(type(error).__name__) from None
        finally:
            self._pending.pop(number, None)

    async def _read(self, channel: Channel) -> None:
        why = "the server is gone"
        try:
            async for raw in channel.messages():
                await self._take(channel, raw)
        except (OSError, NetError, DownError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"
        finally:
            for waiter in self._pending.values():
                if not waiter.done():
                    waiter.set_exception(DownError(why))
            if self._channel is channel:
                await self._drop()

    async def _take(self, channel: Channel, raw: bytes) -> None:
        for found in protocol.messages(raw):
            if "method" in found:
                if (answer := questions.reply(found, self._asker(found))) is not None:
                    await channel.send(answer)
                else:
                    self.hear(found)
                continue
            number = found.get("id")
            waiter = self._pending.get(number) if isinstance(number, int) else None
            if waiter is not None and not waiter.done():
                waiter.set_result(found)

    def _asker(self, found: dict[str, Any]) -> Questions | None:
        """Return the call for which the server asks something, which it does not say.

        One that has the answer is as good as the right one; if several wait and none has, nobody can be asked.
        """
        known = [asking for asking in self._asking if asking.knows(found)]
        return known[0] if known else self._asking[0] if len(self._asking) == 1 else None

    async def _drop(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()


class StdioChannel:
    """A child process that communicates over its standard streams, one line per message."""

    def __init__(
        self,
        command: tuple[str, ...],
        environment: Callable[[], Mapping[str, str]],
        folder: str | None,
    ) -> None:
        self._command = command
        self._environment = environment
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def open(self) -> None:
        """Start the process with a minimal environment."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**inherited, **self._environment()},
            cwd=self._folder,
            limit=protocol.LARGEST_MESSAGE,
            start_new_session=True,
        )

    async def send(self, data: bytes) -> None:
        """Write one line."""
        if self._process is None or self._process.stdin is None:
            raise DownError("the process is gone")
        self._process.stdin.write(data + b"\n")
        await self._process.stdin.drain()

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield lines."""
        if self._process is None or self._process.stdout is None:
            return
        while line := await self._process.stdout.readline():
            yield line

    async def close(self) -> None:
        """Close its input, then terminate it."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        for end in (None, process.terminate, process.kill):
            if end is not None:
                with contextlib.suppress(ProcessLookupError):
                    end()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
                    break
        if transport := getattr(process, "_transport", None):
            transport.close()


class SseChannel:
    """A stream of events in one direction, and a POST per message in the other."""

    def __init__(self, url: str, client: Client) -> None:
        self._url = url
        self._client = client
        self._open = contextlib.AsyncExitStack()
        self._reply: Reply | None = None
        self._target = ""
        self._reader = EventReader()
        self._early: list[bytes] = []

    async def open(self) -> None:
        """Open the stream and learn the URL to post to."""
        self._reply = await self._open.enter_async_context(
            self._client.open("GET", self._url, headers={"Accept": "text/event-stream"})
        )
        if self._reply.status != 200:
            raise DownError(f"status {self._reply.status}")
        async for kind, data in self._events():
            if kind == "endpoint":
                self._target = urljoin(self._url, data.decode("utf-8", "replace"))
                if origin(self._target) != self._client.origin:
                    raise DownError("the server redirects to another host")
                return
        raise DownError("the stream ended before it started")

    async def send(self, data: bytes) -> None:
        """Post one message."""
        async with self._client.open(
            "POST",
            self._target,
            headers={"Content-Type": "application/json"},
            body=data,
        ) as reply:
            if reply.status >= 400:
                raise DownError(f"status {reply.status}")

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield messages."""
        for early in self._early:
            yield early
        self._early.clear()
        async for kind, data in self._events():
            if kind == "message":
                yield data

    async def close(self) -> None:
        """Close the stream."""
        self._reply = None
        await self._open.aclose()

    async def _events(self) -> AsyncIterator[tuple[str, bytes]]:
        if self._reply is None:
            return
        async for piece in self._reply.pieces():
            events = self._reader.feed(piece)
            for index, event in enumerate(events):
                if event[0] == "endpoint":
                    self._early += [later[1] for later in events[index + 1 :]]
                    yield event
                    break
                yield event
