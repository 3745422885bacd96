"""POST /chat and its alias."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request

from fleetform_runtime.access.identity import Identity, named
from fleetform_runtime.access.shares import Shares, once
from fleetform_runtime.http.body import Fields, read
from fleetform_runtime.http.content import content_of
from fleetform_runtime.http.errors import Json
from fleetform_runtime.http.events import EventStream, Frames, frames
from fleetform_runtime.messages import User
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.live import LiveRun, Order
from fleetform_runtime.runs.service import Runs
from fleetform_runtime.runs.structured import REPAIRS, Wanted, wanted
from fleetform_runtime.sections.access import Limits
from fleetform_runtime.sections.serving import Server
from fleetform_runtime.store import Event
from fleetform_runtime.telemetry.metrics import Metrics
from fleetform_runtime.tools import HOPS, MOST_HOPS

SESSION_ID = r"^[A-Za-z0-9_-]{1,128}$"
EVENT_STREAM = "text/event-stream"


class ChatBody(Fields):
    """A user's message, and the session it belongs to."""

    message: Annotated[
        Annotated[str, Field(min_length=1)] | Annotated[list[dict[str, Any]], Field(min_length=1)],
        Field(
            description="The user's message: text, or parts as in OpenAI's API, of type text, image_url "
            "(https or data) or file (data).",
        ),
    ]
    session_id: Annotated[
        str | None, Field(pattern=SESSION_ID, description="Session to continue.")
    ] = None
    user_id: Annotated[
        str | None,
        Field(
            max_length=256,
            description="User, if the caller may act on behalf of users; otherwise ignored.",
        ),
    ] = None
    model: Annotated[
        str | None, Field(max_length=256, description="One of the models that /v1/models lists.")
    ] = None
    stream: Annotated[bool, Field(description="Answer with server-sent events.")] = False
    output_schema: Annotated[
        dict[str, Any] | None,
        Field(description="JSON Schema that the answer must match; it is in `data` then."),
    ] = None
    metadata: dict[str, Any] = Field(
        default_factory=dict, max_length=64, description="Added to the trace of the run."
    )


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


class Chat:
    """Handles chats."""

    def __init__(
        self, agent: str, runs: Runs, streams: Streams, limits: Limits, server: Server
    ) -> None:
        self._agent = agent
        self._runs = runs
        self._streams = streams
        self._limits = limits
        self._server = server

    async def chat(self, request: Request) -> Any:
        """Run the agent once."""
        body = await self.read(request, ChatBody)
        identity = acting(request.state.identity, body.user_id)
        order = Order(
            user=identity.user,
            message=User(content_of(body.message, "message")),
            session=body.session_id,
            model=body.model,
            streaming=body.stream or wants_stream(request),
            metadata=body.metadata,
            wanted=wanted_of(body),
            hops=hops_of(request),
            traceparent=request.headers.get("traceparent"),
        )
        return await self.answer(request, order, lambda: self._runs.start(order))

    async def alias(self, request: Request) -> Any:
        """Run the agent if the path names this one."""
        if request.path_params["name"] != self._agent:
            raise HttpProblem("not_found", f"this is {self._agent}")
        return await self.chat(request)

    async def read(self, request: Request, model: Any) -> Any:
        """Read a body within the limits, with images and files."""
        limits = self._limits
        return await read(
            request, model, limits.body_bytes, self._server.read_seconds, limits.attachment_bytes
        )

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
        leave = self._streams.enter(order.user)
        try:
            run = await start()
        except BaseException:
            leave()
            raise
        source = run.log.follow(0, self._server.ping_seconds)
        return self.stream(source, parting(run, leave), write(run) if write else frames)

    def stream(
        self,
        source: AsyncIterator[list[Event]],
        leave: Callable[[], None],
        write: Frames = frames,
    ) -> EventStream:
        """Follow a run."""
        return EventStream(source, self._server.slow_reader_seconds, write, leave)

    async def follow(self, request: Request) -> EventStream:
        """Follow a run from an event on."""
        after = _last_event(request)
        leave = self._streams.enter(request.state.identity.user)
        try:
            source = await self._runs.follow(
                request.state.identity.user,
                request.path_params["id"],
                after,
                self._server.ping_seconds,
            )
        except BaseException:
            leave()
            raise
        return self.stream(source, leave)


def parting(run: LiveRun, leave: Callable[[], None]) -> Callable[[], None]:
    """Return what happens when the client that started a run has read all, or is gone."""

    def part() -> None:
        leave()
        run.desert()

    return part


async def finished(request: Request, run: LiveRun) -> dict[str, Any]:
    """Wait for a run; if its caller hangs up and nobody else will ask for it, stop it.

    Raises:
        HttpProblem: the run failed.
    """
    if run.alone and run.task is not None:
        gone = asyncio.create_task(_hung_up(request))
        await asyncio.wait([run.task, gone], return_when=asyncio.FIRST_COMPLETED)
        if not gone.cancel():
            run.desert()
    return await run.finished()


async def _hung_up(request: Request) -> None:
    """Wait until the client is gone; its whole body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        continue


def acting(identity: Identity, user: str | None) -> Identity:
    """Return the user that a caller acts for: itself, unless it may act on behalf of others."""
    if user is None or not identity.may_name_users:
        return identity
    return named(identity.user.partition("/")[0], user)


def hops_of(request: Request) -> int:
    """Return how many agents have called each other before this one.

    Raises:
        HttpProblem: so many that they probably do in a circle.
    """
    shown = request.headers.get(HOPS, "0")
    hops = int(shown) if shown.isascii() and shown.isdecimal() and len(shown) < 4 else 0
    if hops > MOST_HOPS:
        raise HttpProblem("agents_in_circle", f"more than {MOST_HOPS} agents called each other")
    return hops


def wanted_of(body: ChatBody) -> Wanted | None:
    """Return what a caller wants the answer to be.

    Raises:
        HttpProblem: its schema is none that answers can be compared with.
    """
    if body.output_schema is None:
        return None
    try:
        return wanted(body.output_schema, REPAIRS)
    except ValueError as error:
        raise HttpProblem("invalid_fields", f"output_schema: {error}") from None


def wants_stream(request: Request) -> bool:
    """Whether the Accept header asks for events."""
    return EVENT_STREAM in request.headers.get("accept", "")


def _last_event(request: Request) -> int:
    shown = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
    if not (shown.isdecimal() and shown.isascii() and len(shown) < 16):
        raise HttpProblem("invalid_request", "Last-Event-ID is the number of an event")
    return int(shown)
