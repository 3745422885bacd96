"""Sessions are listed, renamed, paged and kept apart by user; two writers lose nothing."""

import asyncio

import pytest

from fleetform_runtime.messages import (
    Assistant,
    ToolCall,
    ToolResult,
    ToolResults,
    User,
    recent,
)
from fleetform_runtime.models import ModelError
from fleetform_runtime.runs.calls import readable
from runtime.tests.harness import Told, live_run, serving
from runtime.tests.stores import BACKENDS, memory

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("backend", BACKENDS)
async def test_sessions_live_through_the_api(backend, request, tmp_path):
    async with serving(memory=memory(backend, request, tmp_path)) as client:
        made = await client.post("/sessions", {"session_id": "mine", "title": "Mine"})
        assert (made.status, made.json["revision"], made.headers["ETag"]) == (201, 1, '"1"')
        assert (await client.post("/sessions", {"session_id": "mine"})).status == 409
        await client.chat("hello there", session_id="mine")
        other = await client.chat("  What is\n this about?  ")
        listed = (await client.get("/sessions")).json
        assert [item["title"] for item in listed["sessions"]] == ["What is this about?", "Mine"]
        assert listed["total"] == 2
        path = f"/sessions/{other['session_id']}"
        assert (await client.ask("PATCH", path, json={"title": "New"})).json["title"] == "New"
        refused = await client.ask("PATCH", path, json={"title": "x"}, headers={"If-Match": '"1"'})
        assert (refused.status, refused.json["code"]) == (409, "conflict")
        assert (await client.ask("PATCH", path, json={"model": "none"})).status == 404
        assert (await client.ask("PATCH", path, json={})).status == 422
        page = (await client.get("/sessions/mine/messages?offset=1&limit=1")).json
        assert (page["total"], page["messages"][0]["role"]) == (2, "assistant")
        assert (await client.ask("DELETE", path)).status == 204
        assert (await client.get(path)).status == 404
        assert (await client.get("/sessions")).json["total"] == 1


@pytest.mark.parametrize("backend", BACKENDS)
async def test_two_chats_at_once_are_both_kept(backend, request, tmp_path):
    async with serving(memory=memory(backend, request, tmp_path)) as client:
        session = (await client.chat("first"))["session_id"]
        await asyncio.gather(
            *(client.chat(f"wait 0.05 m{n}", session_id=session) for n in range(20))
        )
        path = f"/sessions/{session}/messages?limit=200"
        messages = (await client.get(path)).json["messages"]
    said = [item["content"] for item in messages if item["role"] == "user"]
    assert sorted(said) == sorted(["first", *(f"wait 0.05 m{n}" for n in range(20))])
    assert [item["role"] for item in messages] == ["user", "assistant"] * 21


async def test_a_failed_turn_keeps_only_what_was_done():
    told = Told(ModelError("server_error", "x"), Assistant("fine"))
    model = {"provider": "openai", "name": "gpt", "retries": 0}
    async with serving(make=told, model=model) as client:
        session = (await client.post("/sessions", {})).json["session_id"]
        assert (await client.post("/chat", {"message": "a", "session_id": session})).status == 502
        assert (await client.get(f"/sessions/{session}")).json["messages"] == 0
        await client.chat("b", session_id=session)
        messages = (await client.get(f"/sessions/{session}/messages")).json["messages"]
    assert [item.get("content") for item in messages] == ["b", "fine"]


async def test_a_failed_run_that_is_kept_holds_on_to_none_of_its_history():
    """A raised exception does so by its traceback, and an ended run is kept for an hour."""
    told = Told(ModelError("server_error", "x"))
    model = {"provider": "openai", "name": "gpt", "retries": 0}
    async with serving(make=told, model=model) as client:
        assert (await client.post("/chat", {"message": "a"})).status == 502
        assert client.application is not None
        (run,) = client.application.runs.registry._ended.values()
        assert run.problem is not None
        problem = run.problem
        assert (problem.__traceback__, problem.__context__, problem.__cause__) == (None,) * 3


async def test_a_session_that_grows_too_large_says_so():
    section = {"type": "in-memory", "maxBytes": 1_048_576}
    async with serving(memory=section) as client:
        session = (await client.chat("x" * 300_000))["session_id"]
        body = {"message": "x" * 300_000, "session_id": session}
        refused = await client.post("/chat", body)
        assert (refused.status, refused.json["code"]) == (413, "session_too_large")
        assert not refused.json["retryable"]
        assert "memory.maxBytes" in refused.json["detail"]
        await client.chat("x", session_id=session)
        await client.chat("x" * 300_000)
        assert await client.metric("agent_sessions_removed_total", reason="bytes") == 1
        assert (await client.get(f"/sessions/{session}")).status == 404


async def test_what_was_said_before_a_cancel_is_kept():
    async with serving() as client:
        session = (await client.post("/sessions", {})).json["session_id"]
        body = {"message": "say 200000 words", "session_id": session}
        reading = asyncio.create_task(client.events("/chat", body))
        run = await live_run(client)
        await client.post(f"/runs/{run}/cancel", {})
        await reading
        messages = (await client.get(f"/sessions/{session}/messages")).json["messages"]
    assert messages[1]["content"].startswith("word1 word2")
    assert messages[1]["finish_reason"] == "cancelled"


async def test_only_the_newest_history_is_given_to_the_model():
    told = Told(Assistant("fine"))
    policy = {"type": "in-memory", "policy": {"maxConversationHistory": 4}}
    async with serving(make=told, memory=policy) as client:
        session = (await client.chat("m0"))["session_id"]
        for n in range(1, 6):
            await client.chat(f"m{n}", session_id=session)
        assert (await client.get(f"/sessions/{session}")).json["messages"] == 12
    assert [m.text() for m in told.asked[-1].messages if isinstance(m, User)] == ["m3", "m4", "m5"]


async def test_a_long_history_is_read_beside_what_others_ask(monkeypatch):
    """It is the same whether a thread reads it or not."""
    monkeypatch.setattr("fleetform_runtime.runs.sessions.LARGE_BYTES", 1000)
    told = Told(Assistant("fine"))
    async with serving(make=told) as client:
        session = (await client.chat("x" * 2000))["session_id"]
        await client.chat("y", session_id=session)
        page = (await client.get(f"/sessions/{session}/messages")).json["messages"]
    assert [item["content"][:1] for item in page] == ["x", "f", "y", "f"]
    assert [m.text()[:1] for m in told.asked[-1].messages if isinstance(m, User)] == ["x", "y"]


CALLS = Assistant(calls=[ToolCall("1", "t", "{}"), ToolCall("2", "t", "{}")])
BOTH = ToolResults([ToolResult("1", "t", "a"), ToolResult("2", "t", "b")])


def test_a_call_is_never_cut_from_its_result():
    turn = [User("q"), CALLS, BOTH, Assistant("x")]
    history = [User("old"), Assistant("y"), *turn]
    assert recent(history, 5) == turn
    assert recent(history, 4) == turn
    assert recent(history, 3) == turn
    assert recent(history, 1) == turn
    assert recent(history, 6) == history


def test_arguments_are_shown_as_json_if_they_can_be_written_again():
    assert readable('{"a": [1]}') == {"a": [1]}
    assert readable("") == {}
    for text in ("{", "[" * 250 + "]" * 250, "[" * 2000 + "]" * 2000):
        assert readable(text) == text
