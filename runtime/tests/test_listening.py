"""The standing stream of older MCP servers: a changed list is known at once, and nothing depends on the stream."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from fleetform_runtime.tools.mcp import listening
from runtime.tests.harness import serving, until
from runtime.tests.test_tools import result
from runtime.tests.upstreams import upstream

pytestmark = pytest.mark.anyio

CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
PING = {"jsonrpc": "2.0", "id": "p1", "method": "ping"}


class Elder:
    """A server of protocol 2025-06-18 whose list changes; it tells so only on its standing stream."""

    def __init__(self, *, promises: bool = True, status: int = 200, cut: bool = False) -> None:
        self.names = ["old"]
        self.promises, self.status, self.cut = promises, status, cut
        self.streams: list[Any] = []
        self.answers: list[Any] = []
        self.told: asyncio.Queue[bytes] = asyncio.Queue()

    def tell(self, body: Any) -> None:
        self.told.put_nowait(f"id: e{len(self.streams)}\ndata: {json.dumps(body)}\n\n".encode())

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("MCP-Protocol-Version") == "2026-07-28":
            return web.Response(status=400)
        if request.method == "GET":
            return await self._stream(request)
        body = await request.json()
        if "method" not in body:
            self.answers.append(body)
            return web.Response(status=202)
        if "id" not in body:
            return web.Response(status=202)
        found: dict[str, Any] = {"content": [{"type": "text", "text": "done"}]}
        headers = {}
        if body["method"] == "initialize":
            tools = {"tools": {"listChanged": True}} if self.promises else {"tools": {}}
            found = {"protocolVersion": "2025-06-18", "capabilities": tools, "serverInfo": {}}
            headers["Mcp-Session-Id"] = "s1"
        elif body["method"] == "tools/list":
            found = {
                "tools": [{"name": name, "inputSchema": {"type": "object"}} for name in self.names]
            }
        reply = {"jsonrpc": "2.0", "id": body["id"], "result": found}
        return web.json_response(reply, headers=headers)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.streams.append(dict(request.headers))
        if self.status != 200:
            return web.Response(status=self.status)
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        while True:
            await stream.write(await self.told.get())
            if self.cut:
                return stream


@pytest.fixture
def at_once(monkeypatch):
    """Open streams again without a pause."""
    monkeypatch.setattr(listening, "LONGEST_PAUSE", 0.01)


def section(url: str) -> dict[str, Any]:
    return {"name": "s", "transport": "streamable-http", "url": url}


async def names(client: Any) -> list[str]:
    return [tool.name for tool in await client.application.tools.servers.tools()]


async def known(client: Any, wanted: str) -> None:
    """Wait until a tool is listed; the list is otherwise read again after a minute."""
    async with asyncio.timeout(30):
        while wanted not in await names(client):
            await asyncio.sleep(0.01)


async def test_what_changes_is_known_at_once_and_pings_are_answered():
    elder = Elder()
    async with (
        upstream(elder) as server,
        serving(mcpServers=[section(server.url)]) as client,
    ):
        parent = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
        await client.post("/chat", {"message": "x"}, headers={"traceparent": parent})
        await until(lambda: bool(elder.streams))
        assert await names(client) == ["old"]
        elder.names = ["new"]
        elder.tell(PING)
        elder.tell(CHANGED)
        await known(client, "new")
        assert (await result(client, {}, name="new"))["content"] == "done"
        await until(lambda: bool(elder.answers))
    assert elder.answers == [{"jsonrpc": "2.0", "id": "p1", "result": {}}]
    (heard,) = elder.streams
    assert (heard["Mcp-Session-Id"], heard["Accept"]) == ("s1", "text/event-stream")
    assert "traceparent" not in {name.lower() for name in heard}


async def test_a_stream_that_ends_goes_on_behind_its_last_event(at_once):
    elder = Elder(cut=True)
    async with (
        upstream(elder) as server,
        serving(mcpServers=[section(server.url)]) as client,
    ):
        await until(lambda: len(elder.streams) == 1)
        elder.tell(PING)
        await until(lambda: len(elder.streams) == 2)
        elder.names = ["new"]
        elder.tell(CHANGED)
        await known(client, "new")
    assert "Last-Event-ID" not in elder.streams[0]
    assert elder.streams[1]["Last-Event-ID"] == "e1"


@pytest.mark.parametrize("status", [204, 400, 404, 405, 500])
async def test_a_server_without_such_a_stream_is_asked_once(status, at_once):
    elder = Elder(status=status)
    async with (
        upstream(elder) as server,
        serving(mcpServers=[section(server.url)]) as client,
    ):
        await until(lambda: bool(elder.streams))
        assert (await result(client, {}, name="old"))["ok"]
        listener = client.application.tools.servers._servers[0]._transport._listener
        await until(listener._task.done)
        assert (await client.get("/health/ready")).status == 200
    assert len(elder.streams) == 1


async def test_a_server_that_promises_nothing_is_not_asked():
    elder = Elder(promises=False)
    async with (
        upstream(elder) as server,
        serving(mcpServers=[section(server.url)]) as client,
    ):
        assert (await result(client, {}, name="old"))["ok"]
        assert client.application.tools.servers._servers[0]._transport._listener._task is None
    assert elder.streams == []


async def test_a_stream_that_brings_nothing_is_given_up(at_once):
    elder = Elder(cut=True)
    async with (
        upstream(elder) as server,
        serving(mcpServers=[section(server.url)]) as client,
    ):
        await until(lambda: bool(elder.streams))
        for _ in range(listening.MOST_FAILED):
            elder.told.put_nowait(b": nothing\n\n")
        listener = client.application.tools.servers._servers[0]._transport._listener
        await until(listener._task.done)
    assert len(elder.streams) == listening.MOST_FAILED


@pytest.mark.parametrize(
    "greeting",
    [
        {},
        {"capabilities": None},
        {"capabilities": []},
        {"capabilities": {"tools": []}},
        {"capabilities": {"tools": {"listChanged": "yes"}}},
    ],
)
def test_what_is_no_promise_is_none(greeting):
    assert not listening.tells_changes(greeting)
