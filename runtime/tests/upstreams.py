"""Other people's servers on loopback: whatever a test wants them to answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Upstream:
    """A server and what it was asked."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)

    @property
    def bodies(self) -> list[Any]:
        return [request["json"] for request in self.requests]


@asynccontextmanager
async def upstream(handler: Handler, port: int = 0) -> AsyncIterator[Upstream]:
    """Answer everything with one handler."""
    made = Upstream()

    async def noted(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        made.requests.append(
            {
                "method": request.method,
                "path": request.raw_path,
                "headers": dict(request.headers),
                "raw": raw,
                "json": body,
            }
        )
        return await handler(request)

    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{tail:.*}", noted)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    made.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


def completion(text: str | None = "Hello", calls: Any = None, **fields: Any) -> dict[str, Any]:
    """Return an answer of Chat Completions."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": name, "type": "function", "function": {"name": tool, "arguments": arguments}}
            for name, tool, arguments in calls
        ]
    return {
        "choices": [{"index": 0, "message": message | fields, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }


def answers(*replies: Any) -> Handler:
    """Answer in turn, the last for ever: JSON, (status, JSON or text, headers), or a coroutine."""
    left = list(replies)

    async def handler(request: web.Request) -> web.StreamResponse:
        reply = left.pop(0) if len(left) > 1 else left[0]
        if callable(reply):
            return await reply(request)
        status, body, headers = reply if isinstance(reply, tuple) else (200, reply, {})
        if isinstance(body, str | bytes):
            body = body.encode() if isinstance(body, str) else body
            return web.Response(status=status, body=body, headers=headers)
        return web.json_response(body, status=status, headers=headers)

    return handler


def streamed(*chunks: Any, cut: bool = False, done: bool = True, pause: float = 0) -> Handler:
    """Stream chunks as events; cut the connection behind them if wanted."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            raw = chunk if isinstance(chunk, bytes) else f"data: {json.dumps(chunk)}\n\n".encode()
            await response.write(raw)
            await asyncio.sleep(pause)
        if cut:
            request.transport.abort()
            return response
        if done:
            await response.write(b"data: [DONE]\n\n")
        return response

    return handler


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return one chunk."""
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
