"""An MCP server of the official SDK, as a process: `mcp_server.py http PORT | legacy PORT | sse PORT | stdio`."""

import sys
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import AcceptedElicitation, Context
from mcp.types import ToolAnnotations
from pydantic import BaseModel

server = MCPServer("things")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool(annotations=ToolAnnotations(destructive_hint=False))
def note(text: str) -> str:
    """Keep a note."""
    return f"noted {text}"


@server.tool()
def wipe() -> str:
    """Delete everything."""
    return "gone"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def fail() -> str:
    """Fail."""
    raise ValueError("it went wrong")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
async def slow(seconds: float) -> str:
    """Take a while."""
    import asyncio

    await asyncio.sleep(seconds)
    return "done"


class Seat(BaseModel):
    seat: int


class Meal(BaseModel):
    meal: str


@server.tool()
async def book(context: Context[Any, Any]) -> str:
    """Book a seat and a meal, which a person chooses."""
    seat = await context.elicit("Which seat?", Seat)
    if not isinstance(seat, AcceptedElicitation):
        return "nothing was booked"
    meal = await context.elicit(f"Which meal at seat {seat.data.seat}?", Meal)
    if not isinstance(meal, AcceptedElicitation):
        return "no meal, no booking"
    return f"booked {seat.data.seat} with {meal.data.meal}"


def elder(app: Any) -> Any:
    """Answer 2026-07-28 as a server does that has never heard of it."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", ()))
        if headers.get(b"mcp-protocol-version") == b"2026-07-28":
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"Bad Request: unsupported version"})
            return
        await app(scope, receive, send)

    return wrapped


def main(kind: str, port: int = 0) -> None:
    if kind == "stdio":
        server.run("stdio")
        return
    if kind == "sse":
        app = server.sse_app()
    else:
        modern = kind == "http"
        app = server.streamable_http_app(stateless_http=modern, json_response=modern)
        app = app if modern else elder(app)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
