"""A model as a process: Chat Completions by rule, failing as often as it is told.

`model_server.py PORT [rate_limited=0.1] [server_error=0.05] [hang=0.02] [cut=0.02] [seed=1]`
"""

import asyncio
import json
import random
import sys
from typing import Any

from aiohttp import web

CHANCES: dict[str, float] = {}
CHANCE = random.Random(1)


def fate() -> str:
    """Draw what happens to a request."""
    drawn, total = CHANCE.random(), 0.0
    for name in ("rate_limited", "server_error", "hang", "cut"):
        total += CHANCES.get(name, 0)
        if drawn < total:
            return name
    return "fine"


def text_of(body: dict[str, Any]) -> str:
    said = body["messages"][-1]["content"]
    if said.startswith("words "):
        return " ".join(f"w{n}" for n in range(int(said.split()[1])))
    if said.startswith("blob "):
        return " ".join(["x" * 65_536] * int(said.split()[1]))
    return f"echo {said}"


async def complete(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    happens = fate()
    if happens == "rate_limited":
        return web.json_response({"error": {}}, status=429, headers={"Retry-After": "0"})
    if happens == "server_error":
        return web.json_response({"error": {}}, status=500)
    if happens == "hang":
        await asyncio.sleep(3600)
    text = text_of(body)
    if body.get("stream"):
        return await stream(request, text, cut=happens == "cut")
    if happens == "cut":
        assert request.transport is not None
        request.transport.abort()
    usage = {"prompt_tokens": 1, "completion_tokens": len(text.split())}
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return web.json_response({"choices": [choice], "usage": usage})


async def stream(request: web.Request, text: str, *, cut: bool) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    words = text.split(" ")
    pace = float(CHANCES.get("pace", 0.005))
    for index, word in enumerate(words):
        if cut and index == len(words) // 2:
            assert request.transport is not None
            await asyncio.sleep(0.06)
            request.transport.abort()
            return response
        piece = word if index == 0 else " " + word
        chunk = {"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await asyncio.sleep(pace)
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    await response.write(f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n".encode())
    return response


def main(port: str, *chances: str) -> None:
    CHANCES.update({name: float(value) for name, _, value in (c.partition("=") for c in chances)})
    CHANCE.seed(CHANCES.get("seed", 1))
    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    web.run_app(app, host="127.0.0.1", port=int(port), print=None, handle_signals=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
