"""Server-sent events: frames, heartbeats, slow and disconnected clients."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.log import FellBehindError
from fleetform_runtime.store import Event, StoreError

log = logging.getLogger(__name__)

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
]
PING = b": ping\n\n"

Frames = Callable[[list[Event]], bytes]


def frames(events: list[Event]) -> bytes:
    """Serialise events; no events make a heartbeat."""
    if not events:
        return PING
    return b"".join(
        b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, event.type.encode(), event.data)
        for event in events
    )


class Translated:
    """Writes the events of a run in another protocol: those that it knows, each by its writer."""

    def __init__(self, writers: Mapping[str, Callable[[dict[str, Any]], bytes]]) -> None:
        self._writers = writers

    def __call__(self, events: list[Event]) -> bytes:
        """Serialise events; no events make a heartbeat."""
        if not events:
            return PING
        return b"".join(
            writer(orjson.loads(event.data))
            for event in events
            if (writer := self._writers.get(event.type)) is not None
        )


class SlowReaderError(Exception):
    """A client did not read for too long; its connection is closed, its run continues."""


class EventStream:
    """An ASGI response that follows a run.

    A client that disconnects ends the stream, not the run. One that does not read is disconnected
    after a while, so that it does not hold a place for ever; it can resume with Last-Event-ID.
    """

    def __init__(
        self,
        source: AsyncIterator[list[Event]],
        slow_seconds: float,
        write: Frames = frames,
        ended: Callable[[], None] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._source = source
        self._slow = slow_seconds
        self._write = write
        self._ended = ended
        self._headers = [
            (name.lower().encode(), value.encode()) for name, value in (headers or {}).items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the last event, or until the client is gone."""
        me = asyncio.current_task()
        gone = asyncio.create_task(_gone(receive, me))
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [*HEADERS, *self._headers],
                }
            )
            await self._send_all(scope, send)
        except FellBehindError:
            raise SlowReaderError from None
        except asyncio.CancelledError:
            if not gone.done() or me is None or me.uncancel() > 0:
                raise
        finally:
            gone.cancel()
            if self._ended is not None:
                self._ended()

    async def _send_all(self, scope: Scope, send: Send) -> None:
        last = 0
        try:
            async for events in self._source:
                if events:
                    last = events[-1].id
                await self._send_some(scope, send, events)
        except (StoreError, HttpProblem) as error:
            # Runs of another replica are read from the store: end the stream with an error event,
            # never silently.
            log.warning("cannot follow a run: %s", error)
            await self._send_some(scope, send, [_lost(last + 1)])
        await self._send(send, b"", more=False)

    async def _send_some(self, scope: Scope, send: Send, events: list[Event]) -> None:
        if events and events[-1].type == "error":
            scope.setdefault("state", {})["stream_failed"] = True
        await self._send(send, self._write(events), more=True)

    async def _send(self, send: Send, body: bytes, *, more: bool) -> None:
        if more and not body:
            return
        message: dict[str, Any] = {"type": "http.response.body", "body": body, "more_body": more}
        try:
            async with asyncio.timeout(self._slow):
                await send(message)
        except TimeoutError:
            raise SlowReaderError from None


def _lost(number: int) -> Event:
    data = {
        "code": "memory_unavailable",
        "message": "the run cannot be followed at the moment; resume with Last-Event-ID",
        "retryable": True,
    }
    return Event(number, "error", orjson.dumps(data))


async def _gone(receive: Receive, stream: "asyncio.Task[Any] | None") -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    if stream is not None:
        stream.cancel()
