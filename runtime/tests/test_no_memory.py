"""An agent that keeps nothing: each request stands alone, and what would need a store is refused."""

import asyncio

import pytest
from pydantic import ValidationError

from fleetform_runtime.messages import Assistant, Usage
from runtime.tests.harness import Gated, Told, serving, settings, until

pytestmark = pytest.mark.anyio
NONE = {"type": "none"}


async def test_each_request_stands_alone():
    told = Told(Assistant("x", usage=Usage(1, 1)))
    async with serving(make=told, memory=NONE) as client:
        for _ in range(2):
            answer = await client.chat("hello")
            assert (answer["output"], answer["session_id"]) == ("x", None)
        events = await client.events("/chat", {"message": "hello"})
        assert {e.data["session_id"] for e in events if "session_id" in e.data} == {None}
        info = (await client.get("/info")).json
    assert [len(asked.messages) for asked in told.asked] == [1, 1, 1]
    assert info["memory"] == "none"
    assert not {"sessions", "runs", "approvals", "memory", "longTermMemory"} & {*info["features"]}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/chat", {"message": "x", "session_id": "s"}),
        ("GET", "/sessions", None),
        ("POST", "/sessions", {"session_id": "s"}),
        ("GET", "/sessions/s", None),
        ("PATCH", "/sessions/s", {"title": "t"}),
        ("DELETE", "/sessions/s", None),
        ("GET", "/sessions/s/messages", None),
        ("GET", "/runs/r", None),
        ("GET", "/runs/r/events", None),
        ("POST", "/runs/r/cancel", {}),
        ("POST", "/runs/r/approvals", {"decisions": [{"id": "c", "approved": True}]}),
    ],
)
async def test_what_needs_a_store_is_refused(method, path, body):
    async with serving(memory=NONE) as client:
        refused = await client.ask(method, path, **({"json": body} if body is not None else {}))
        assert (refused.status, refused.json["code"]) == (404, "not_kept")
        assert refused.json["detail"].startswith("the agent's memory is of type none: ")
        assert not {"/sessions", "/runs/{id}"} & {
            *(await client.get("/openapi.json")).json["paths"]
        }


async def test_a_conversation_that_the_client_sends_is_answered():
    told = Told(Assistant("x", usage=Usage(1, 1)))
    messages = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    async with serving(make=told, memory=NONE) as client:
        body = {"model": "greeter", "messages": messages}
        assert (await client.post("/v1/chat/completions", body)).status == 200
    assert len(told.asked[0].messages) == 3


@pytest.mark.parametrize("path", ["/chat", "/v1/chat/completions"])
async def test_a_run_ends_with_its_only_reader(path):
    model = Gated()
    messages = [{"role": "user", "content": "x"}]
    body = {"message": "x"} if path == "/chat" else {"model": "greeter", "messages": messages}
    async with serving(make=model, memory=NONE) as client:
        async with client.session.post(client.url + path, json=body | {"stream": True}):
            await until(lambda: model.waiting == 1)
        await until(lambda: model.waiting == 0)
        assert await client.metric("agent_active_sessions") == 0


async def test_a_run_ends_with_its_connection():
    model = Gated()
    async with serving(make=model, memory=NONE) as client:
        async with client.session.ws_connect(client.url + "/ws") as socket:
            await socket.send_json({"type": "message", "message": "x"})
            await until(lambda: model.waiting == 1)
        await until(lambda: model.waiting == 0)


async def test_frames_that_need_a_store_are_refused():
    async with serving(memory=NONE) as client:
        async with client.session.ws_connect(client.url + "/ws") as socket:
            for frame in (
                {"type": "message", "message": "x", "session_id": "s"},
                {"type": "approve", "run_id": "r", "decisions": [{"id": "c", "approved": True}]},
            ):
                await socket.send_json(frame)
                said = await socket.receive_json()
                assert (said["type"], said["code"]) == ("error", "not_kept")


async def test_many_requests_at_once_do_not_meet():
    async with serving(memory=NONE) as client:
        answers = await asyncio.gather(*(client.chat(f"m{n}") for n in range(20)))
    assert [a["output"] for a in answers] == [f"You said: m{n} (turn 1)" for n in range(20)]


@pytest.mark.parametrize(
    "change",
    [
        {"tools": [{"type": "human", "name": "ask", "description": "Asks."}]},
        {
            "mcpServers": [
                {
                    "name": "files",
                    "transport": "streamable-http",
                    "url": "http://x.example/mcp",
                    "requiresApproval": True,
                }
            ]
        },
    ],
)
async def test_a_configuration_that_waits_for_people_is_refused(change):
    assert settings(**change)
    with pytest.raises(ValidationError, match="waits for people"):
        settings(memory=NONE, **change)
