"""The lower bound: a bare aiohttp server that forwards requests. `proxy.py PORT MODEL_URL`."""

import json
import sys
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

port, model_url = sys.argv[1:3]


async def session(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession() as made:
        app["session"] = made
        yield


async def chat(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    asked = {"model": "m", "messages": [{"role": "user", "content": body["message"]}]}
    streams = bool(body.get("stream"))
    url = model_url + "/chat/completions"
    async with request.app["session"].post(url, json=asked | {"stream": streams}) as answer:
        if not streams:
            found = await answer.json()
            return web.json_response({"output": found["choices"][0]["message"]["content"]})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        async for line in answer.content:
            if line.startswith(b"data: {"):
                delta = json.loads(line[6:])["choices"][0]["delta"]
                await response.write(b"data: " + json.dumps(delta).encode() + b"\n\n")
        return response


async def health(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


app = web.Application()
app.cleanup_ctx.append(session)
app.router.add_post("/chat", chat)
app.router.add_get("/health/ready", health)
web.run_app(app, host="127.0.0.1", port=int(port), print=None)
