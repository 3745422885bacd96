"""What you would write in an afternoon: pydantic-ai's agent behind Starlette. `stock.py PORT MODEL_URL MCP_URL`."""

import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from mcp import Client
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

port, model_url, mcp_url = sys.argv[1:]
model = OpenAIChatModel("m", provider=OpenAIProvider(base_url=model_url, api_key="x"))
plain = Agent(model, instructions="You help.")
tooled = Agent(model, instructions="You help.")
client = Client(mcp_url)


@tooled.tool_plain
async def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str((await client.call_tool("add", {"a": a, "b": b})).content)


async def chat(request: Request) -> Any:
    body = await request.json()
    agent = tooled if body["message"] == "tool" else plain
    if not body.get("stream"):
        result = await agent.run(body["message"])
        return JSONResponse({"output": result.output})

    async def events() -> AsyncIterator[str]:
        async with agent.run_stream(body["message"]) as result:
            async for text in result.stream_text(delta=True, debounce_by=None):
                yield f"event: token\ndata: {json.dumps({'content': text})}\n\n"
        yield "event: done\ndata: {}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def health(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    async with client:  # the official client, connected once: its cheapest way
        yield


app = Starlette(
    routes=[Route("/chat", chat, methods=["POST"]), Route("/health/ready", health)],
    lifespan=lifespan,
)
uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="critical", access_log=False)
