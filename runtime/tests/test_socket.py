"""A WebSocket carries the events of runs one way, and messages, cancelling, decisions the other."""

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from fleetform_runtime.problems import HttpProblem
from runtime.tests.harness import serving
from runtime.tests.test_access import AUTH, KEYS, as_
from runtime.tests.upstreams import answers, upstream

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def connected(client, **options: Any):
    async with client.session.ws_connect(client.url + "/ws", **options) as socket:
        yield socket


async def frames(socket, last: tuple[str, ...] = ("done", "error")) -> list[dict[str, Any]]:
    found = []
    async with asyncio.timeout(120):
        while not found or found[-1]["type"] not in last:
            found.append(json.loads((await socket.receive()).data))
    return found


async def test_messages_are_answered_with_the_events_of_a_run():
    async with serving() as client, connected(client) as socket:
        await socket.send_json({"type": "message", "message": "say 3 words"})
        events = await frames(socket)
        assert await client.metric("agent_inflight_streams") == 1
        assert [event["type"] for event in events] == [
            "run_start", "token", "token", "token", "usage", "done",
        ]  # fmt: skip
        assert [event["id"] for event in events] == [1, 2, 3, 4, 5, 6]
        session = events[0]["session_id"]
        await socket.send_json({"type": "message", "message": "more", "session_id": session})
        assert (await frames(socket))[-1]["output"] == "You said: more (turn 2)"


async def test_a_run_is_cancelled():
    async with serving() as client, connected(client) as socket:
        await socket.send_json({"type": "message", "message": "wait 3600"})
        run = (await frames(socket, ("run_start",)))[0]["run_id"]
        await socket.send_json({"type": "cancel", "run_id": run})
        assert (await frames(socket))[-1]["code"] == "cancelled"


async def test_a_call_is_approved():
    tool = {"type": "api", "name": "t", "description": "Does.", "method": "GET"}
    async with upstream(answers({"a": 1})) as server:
        tools = [tool | {"endpoint": server.url, "requiresApproval": True}]
        async with serving(tools=tools) as client, connected(client) as socket:
            await socket.send_json({"type": "message", "message": "call t {}"})
            run = (await frames(socket))[0]["run_id"]
            decisions = [{"id": "call_1", "approved": True}]
            await socket.send_json({"type": "approve", "run_id": run, "decisions": decisions})
            assert (await frames(socket))[-1]["output"] == 't: {"a": 1}'


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", "invalid_json"),
        ("[]", "invalid_fields"),
        ('{"type": "alien"}', "invalid_fields"),
        ('{"type": "message"}', "invalid_fields"),
        ('{"type": "message", "message": "x", "session_id": "nope"}', "session_not_found"),
        ('{"type": "cancel", "run_id": "nope"}', "run_not_found"),
        ('{"type": "approve", "run_id": "nope", "decisions": [{"id": "x"}]}', "run_not_found"),
        ("[" * 50_000, "invalid_json"),
    ],
)
async def test_bad_frames_are_refused_and_the_connection_lives(frame, code):
    async with serving() as client, connected(client) as socket:
        await socket.send_str(frame)
        assert (await frames(socket))[-1]["code"] == code
        await socket.send_json({"type": "message", "message": "x"})
        assert (await frames(socket))[-1]["type"] == "done"


async def test_frames_that_are_too_large_end_the_connection():
    async with (
        serving(limits={"bodyBytes": 1000, "attachmentBytes": 0}) as client,
        connected(client) as socket,
    ):
        await socket.send_str("x" * 2000)
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        assert (await client.get("/health")).status == 200


async def test_only_known_callers_and_own_pages_connect():
    async with serving(auth=AUTH, environment=KEYS) as client:
        for headers in ({}, as_("ANN") | {"Origin": "https://evil.example"}):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                async with connected(client, headers=headers):
                    pass
        for origin in ({}, {"Origin": client.url}):
            async with connected(client, headers=as_("ANN") | origin) as socket:
                await socket.send_json({"type": "message", "message": "x"})
                assert (await frames(socket))[-1]["type"] == "done"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.session.ws_connect(client.url + "/other", headers=as_("ANN"))


async def test_pages_connect_from_where_they_may():
    server = {"host": "127.0.0.1", "corsOrigins": ["https://a.example"]}
    async with serving(server=server) as client:
        async with connected(client, headers={"Origin": "https://a.example"}) as socket:
            await socket.send_json({"type": "message", "message": "x"})
            assert (await frames(socket))[-1]["type"] == "done"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with connected(client, headers={"Origin": "https://b.example"}):
                pass


async def test_a_run_goes_on_when_its_connection_goes():
    async with serving() as client:
        async with connected(client) as socket:
            await socket.send_json({"type": "message", "message": "wait 0.2"})
            run = (await frames(socket, ("run_start",)))[0]["run_id"]
        assert (await client.events(f"/runs/{run}/events", method="GET"))[-1].type == "done"
        assert await client.metric("agent_inflight_streams") == 0


@pytest.mark.parametrize(
    ("origin", "host", "connects"),
    [
        ("https://agents.example", "agents.example", True),
        ("https://agents.example", "agents.example:443", True),
        ("https://AGENTS.example:443", "agents.Example", True),
        ("http://agents.example:80", "agents.example", True),
        ("https://agents.example:8443", "agents.example:8443", True),
        ("https://agents.example", "agents.example:80", False),
        ("https://agents.example.evil.example", "agents.example", False),
        ("https://agents.example", "agent.default.svc:8080", False),
        ("https://agents.example:x", "agents.example", False),
        ("null", "agents.example", False),
        ("", "", False),
    ],
)
async def test_a_page_of_the_host_that_is_called_connects(origin, host, connects):
    """However ports and letters are written; a proxy passes the host that the browser called."""
    async with serving() as client:
        headers = {"Origin": origin, "Host": host, "Upgrade": "websocket", "Connection": "Upgrade"}
        headers |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        async with client.session.get(client.url + "/ws", headers=headers) as answer:
            assert answer.status == (101 if connects else 403)


async def test_a_connection_ends_when_its_key_does(monkeypatch):
    monkeypatch.setattr("fleetform_runtime.http.socket.IDENTIFY_SECONDS", 0.02)
    async with serving(auth=AUTH, environment=KEYS) as client:
        async with connected(client, headers=as_("ANN")) as socket:
            authenticator = client.application.authenticator

            async def refuse(headers):
                raise HttpProblem("unauthenticated", "revoked")

            monkeypatch.setattr(authenticator, "identify", refuse)
            async with asyncio.timeout(20):
                message = await socket.receive()
    assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
