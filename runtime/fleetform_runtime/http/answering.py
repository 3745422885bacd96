"""What every part of the API does: read a body within limits, answer with a run's result or its events."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from starlette.requests import Request

from fleetform_runtime import jsons
from fleetform_runtime.access.shares import Shares, once
from fleetform_runtime.http.body import check_size, read, received
from fleetform_runtime.http.errors import Json
from fleetform_runtime.http.events import EventStream, Frames, frames
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.live import LiveRun, Order
from fleetform_runtime.sections.access import Limits
from fleetform_runtime.sections.serving import Server
from fleetform_runtime.store import Event
from fleetform_runtime.telemetry.metrics import Metrics

T = TypeVar("T")
EVENT_STREAM = "text/event-stream"


class Streams:
    """Counts and limits the open streams of this replica."""

    def __init__(self, most: int, metrics: Metrics, share: int | None = None) -> None:
        self._most = most
        self._metrics = metrics
        self._shares = Shares(share, "open streams", metrics)
        self.open = 0

    def enter(self, user: str) -> Callable[[], None]:
        """Take a place; return a function that releases it.

        Raises:
            HttpProblem: all places are taken, or the user has a whole share of them.
        """
        if self.open >= self._most:
            self._metrics.refused("streams")
            raise HttpProblem("overloaded", "too many open streams", 2)
        give = self._shares.take(user)
        self._move(1)

        def leave() -> None:
            give()
            self._move(-1)

        return once(leave)

    def _move(self, by: int) -> None:
        self.open += by
        self._metrics.set("agent_inflight_streams", self.open)


class Answering:
    """Reads requests and answers them."""

    def __init__(self, streams: Streams, limits: Limits, server: Server) -> None:
        self._streams = streams
        self._limits = limits
        self._server = server

    async def read(self, request: Request, model: Any) -> Any:
        """Read a body within the limits, with images and files."""
        limits = self._limits
        return await read(
            request, model, limits.body_bytes, self._server.read_seconds, limits.attachment_bytes
        )

    async def read_json(self, request: Request, apart: Callable[[Any], int]) -> Any:
        """Read a body within the same limits; `apart` counts the characters of its images and files.

        Raises:
            HttpProblem: it is too large, too slow, or no JSON.
        """
        limits = self._limits
        most = limits.body_bytes + limits.attachment_bytes
        raw = await received(request, most, self._server.read_seconds)
        try:
            document = jsons.exact(raw)
        except ValueError as error:
            raise HttpProblem("invalid_json", f"the body is not JSON: {error}") from None
        check_size(document, raw, limits.body_bytes, apart)
        return document

    async def answer(
        self,
        request: Request,
        order: Order,
        start: Callable[[], Awaitable[LiveRun]],
        *,
        whole: Callable[[LiveRun, dict[str, Any]], dict[str, Any]] | None = None,
        write: Callable[[LiveRun], Frames] | None = None,
    ) -> Any:
        """Start a run; respond with its result or its events, in another protocol if that is given.

        Args:
            request: the request that is answered.
            order: what was ordered.
            start: starts the run.
            whole: writes its result.
            write: returns what writes its events.
        """
        if not order.streaming:
            run = await start()
            result = await finished(request, run)
            return Json(whole(run, result) if whole else result)
        run, leave = await self._entered(order.user, start)
        source = run.log.follow(0, self._server.ping_seconds)
        return self._stream(source, parting(run, leave), write(run) if write else frames)

    async def follow(
        self,
        user: str,
        open_events: Callable[[float], Awaitable[AsyncIterator[list[Event]]]],
        write: Frames = frames,
        headers: dict[str, str] | None = None,
        gone: Callable[[], None] | None = None,
    ) -> EventStream:
        """Follow a run; `open_events` takes seconds between signs of life, `gone` is called at the end of the stream."""
        source, leave = await self._entered(user, lambda: open_events(self._server.ping_seconds))

        def part() -> None:
            leave()
            if gone is not None:
                gone()

        return self._stream(source, part, write, headers)

    def placed(self, user: str) -> Callable[[], None]:
        """Take a place among the open streams for whoever waits for a run; return what gives it back.

        Raises:
            HttpProblem: there is none.
        """
        return self._streams.enter(user)

    async def _entered(
        self, user: str, begin: Callable[[], Awaitable[T]]
    ) -> tuple[T, Callable[[], None]]:
        """Begin what takes a place among the open streams; return it, and what gives the place back."""
        leave = self._streams.enter(user)
        try:
            return await begin(), leave
        except BaseException:
            leave()
            raise

    def _stream(
        self,
        source: AsyncIterator[list[Event]],
        leave: Callable[[], None],
        write: Frames = frames,
        headers: dict[str, str] | None = None,
    ) -> EventStream:
        return EventStream(source, self._server.slow_reader_seconds, write, leave, headers)


def parting(run: LiveRun, leave: Callable[[], None]) -> Callable[[], None]:
    """Return what happens when the client that started a run has read all, or is gone."""

    def part() -> None:
        leave()
        run.desert()

    return part


async def finished(request: Request, run: LiveRun) -> dict[str, Any]:
    """Wait for a run; return its result.

    Raises:
        HttpProblem: the run failed.
    """
    await watched(request, run)
    return await run.finished()


async def watched(request: Request, run: LiveRun) -> None:
    """Stop a run if its caller hangs up and nobody else will ask for it; return once it has ended, or will be kept."""
    if run.alone and run.task is not None:
        gone = asyncio.create_task(_hung_up(request))
        await asyncio.wait([run.task, gone], return_when=asyncio.FIRST_COMPLETED)
        if not gone.cancel():
            run.desert()


async def _hung_up(request: Request) -> None:
    """Wait until the client is gone; its whole body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        continue


def wants_stream(request: Request) -> bool:
    """Whether the Accept header asks for events."""
    return EVENT_STREAM in request.headers.get("accept", "")
