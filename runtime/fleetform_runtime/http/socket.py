"""/ws: the events of runs as JSON frames; messages, cancellations and decisions in the other direction."""

import asyncio
import contextlib
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import orjson
from pydantic import Field, TypeAdapter, ValidationError
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from fleetform_runtime import jsons
from fleetform_runtime.access.identity import Authenticator, Identity
from fleetform_runtime.http.answering import Streams
from fleetform_runtime.http.body import Fields, check_size
from fleetform_runtime.http.chat import ChatBody, acting, ordered
from fleetform_runtime.http.runs import Decision, written
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.live import LiveRun, Order
from fleetform_runtime.runs.log import FellBehindError
from fleetform_runtime.runs.service import Runs
from fleetform_runtime.sections.serving import Server
from fleetform_runtime.store import StoreError
from fleetform_runtime.telemetry.metrics import Metrics

IDENTIFY_SECONDS = 15.0
"""Seconds between looks at the key of an open connection."""
MOST_RUNS = 8
"""Concurrent runs of one connection."""


class MessageFrame(ChatBody):
    """Send a message; `stream` is always true here."""

    type: Literal["message"]


class CancelFrame(Fields):
    """Cancel a run."""

    type: Literal["cancel"]
    run_id: Annotated[str, Field(max_length=128)]


class ApproveFrame(Fields):
    """Decide on the calls of a paused run."""

    type: Literal["approve"]
    run_id: Annotated[str, Field(max_length=128)]
    decisions: Annotated[list[Decision], Field(min_length=1, max_length=256)]


Frame = Annotated[MessageFrame | CancelFrame | ApproveFrame, Field(discriminator="type")]
_FRAME: TypeAdapter[MessageFrame | CancelFrame | ApproveFrame] = TypeAdapter(Frame)


class Socket:
    """Serves WebSockets."""

    def __init__(
        self,
        runs: Runs,
        streams: Streams,
        authenticator: Authenticator,
        server: Server,
        metrics: Metrics,
        body_bytes: int,
    ) -> None:
        self._runs = runs
        self._streams = streams
        self._authenticator = authenticator
        self._server = server
        self._metrics = metrics
        self._most = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        socket = WebSocket(scope, receive, send)
        if scope["path"] != "/ws" or not _same_origin(socket, self._server.cors_origins):
            await socket.close(1008)
            return
        try:
            identity = await self._authenticator.identify(socket.headers)
            leave = self._streams.enter(identity.user)
        except HttpProblem as problem:
            await socket.close(1008 if problem.status < 500 else 1013, problem.code)
            return
        try:
            await socket.accept()
            connection = _Connection(self._runs, socket, identity, self._most, self._server)
            watching = asyncio.create_task(self._watch(socket))
            try:
                await connection.serve()
            finally:
                watching.cancel()
            self._metrics.count("agent_request_total", "/ws", "2xx")
        finally:
            leave()

    async def _watch(self, socket: WebSocket) -> None:
        """Close a connection once its key is no longer valid: revoked, rotated or expired."""
        while True:
            await asyncio.sleep(IDENTIFY_SECONDS)
            try:
                await self._authenticator.identify(socket.headers)
            except HttpProblem as problem:
                if problem.status < 500:
                    await socket.close(1008, problem.code)
                    return


class _Connection:
    def __init__(
        self, runs: Runs, socket: WebSocket, identity: Identity, most: int, server: Server
    ) -> None:
        self._runs = runs
        self._socket = socket
        self._identity = identity
        self._most = most
        self._slow = server.slow_reader_seconds
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()

    async def serve(self) -> None:
        """Handle frames until the client disconnects; its runs continue."""
        try:
            while True:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                await self._take(message.get("text") or message.get("bytes") or b"")
        except (WebSocketDisconnect, RuntimeError, TimeoutError):
            return
        finally:
            for task in self._tasks:
                task.cancel()
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await self._socket.close()

    async def _take(self, raw: str | bytes) -> None:
        try:
            document = jsons.exact(raw)
            check_size(document, raw, self._most)
            await self._obey(_FRAME.validate_python(document))
        except HttpProblem as problem:
            await self._refuse(problem)
        except StoreError:
            lost = HttpProblem("memory_unavailable", "the conversation store does not answer", 2)
            await self._refuse(lost)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            path = ".".join(str(step) for step in first["loc"])
            await self._refuse(HttpProblem("invalid_fields", f"{path}: {first['msg']}"))
        except (ValueError, RecursionError):
            await self._refuse(HttpProblem("invalid_json", "a frame must be a JSON object"))

    async def _obey(self, frame: MessageFrame | CancelFrame | ApproveFrame) -> None:
        if isinstance(frame, CancelFrame):
            await self._runs.cancel(self._identity, frame.run_id)
            return
        if len(self._tasks) >= MOST_RUNS:
            raise HttpProblem("overloaded", f"at most {MOST_RUNS} concurrent runs per connection")
        if isinstance(frame, ApproveFrame):
            order = Order(user=self._identity.user, message=None, streaming=True)
            decisions = written(frame.decisions)
            run = await self._runs.decide(self._identity, frame.run_id, decisions, order)
            if run.user != self._identity.user:
                await self._send({"type": "decided", "run_id": frame.run_id})
                return  # what follows is for whoever asked
        else:
            identity = acting(self._identity, frame.user_id)
            run = await self._runs.start(ordered(frame, identity, streaming=True))
        task = asyncio.create_task(self._tell(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, run: LiveRun) -> None:
        try:
            async for events in run.log.follow():
                for event in events:
                    data = orjson.loads(event.data)
                    await self._send({"type": event.type, "id": event.id, "run_id": run.id, **data})
        except (FellBehindError, TimeoutError, RuntimeError, WebSocketDisconnect):
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await self._socket.close(1008, "too slow")
        finally:
            run.desert()

    async def _refuse(self, problem: HttpProblem) -> None:
        await self._send(
            {
                "type": "error",
                "code": problem.code,
                "message": problem.detail,
                "retryable": problem.may_retry,
            }
        )

    async def _send(self, body: dict[str, Any]) -> None:
        async with self._sending, asyncio.timeout(self._slow):
            await self._socket.send_text(orjson.dumps(body).decode())


DEFAULT_PORTS = {"http": 80, "https": 443}


def _same_origin(socket: WebSocket, allowed: tuple[str, ...]) -> bool:
    """Keep pages of other origins from using the browser of an authenticated user.

    The page's scheme is that of the proxy in front, so its default port counts; names have no case.
    """
    origin = socket.headers.get("origin")
    if origin is None or origin in allowed:
        return True
    page, asked = urlsplit(origin), urlsplit(f"//{socket.headers.get('host', '')}")
    try:
        ports = [part.port or DEFAULT_PORTS.get(page.scheme) for part in (page, asked)]
    except ValueError:
        return False
    return page.hostname is not None and page.hostname == asked.hostname and ports[0] == ports[1]
