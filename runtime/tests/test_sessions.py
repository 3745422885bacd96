"""Sessions are listed, renamed, paged and kept apart by user; two writers lose nothing."""

import asyncio
from contextlib import AsyncExitStack

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
from runtime.tests.harness import Gated, Told, live_run, serving, until
from runtime.tests.stores import BACKENDS, SHARED, memory
from runtime.tests.test_access import AUTH, KEYS, as_
from runtime.tests.upstreams import answers, upstream

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
        asked = (await client.get(f"/sessions/{session}/messages")).json["messages"]
        assert [item["content"] for item in asked] == ["a"]  # for as long as it may be tried again
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


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_session_is_there_while_its_first_run_goes_on(backend, request, tmp_path):
    gated = Gated()
    async with serving(make=gated, memory=memory(backend, request, tmp_path)) as client:
        reading = asyncio.create_task(client.events("/chat", {"message": "What is it?"}))
        await until(lambda: gated.waiting)
        run = await live_run(client)
        (listed,) = (await client.get("/sessions")).json["sessions"]
        assert (listed["title"], listed["running"], listed["messages"]) == ("What is it?", run, 1)
        path = f"/sessions/{listed['session_id']}"
        assert (await client.get(path)).json["running"] == run
        shown = (await client.get(f"{path}/messages")).json
        assert [item["content"] for item in shown["messages"]] == ["What is it?"]
        gated.gate.set()
        await reading
        ended = (await client.get(path)).json
        assert (ended["running"], ended["messages"], ended["title"]) == (None, 2, "What is it?")
        messages = (await client.get(f"{path}/messages")).json["messages"]
    assert [item["role"] for item in messages] == ["user", "assistant"]


async def test_what_is_chosen_while_a_run_goes_on_stays_chosen():
    gated = Gated()
    models = [{"id": "other", "provider": "openai", "name": "gpt"}]
    async with serving(make=gated, models=models) as client:
        reading = asyncio.create_task(client.events("/chat", {"message": "a"}))
        await until(lambda: gated.waiting)
        (listed,) = (await client.get("/sessions")).json["sessions"]
        path = f"/sessions/{listed['session_id']}"
        await client.ask("PATCH", path, json={"model": "other", "title": "Mine"})
        gated.gate.set()
        await reading
        found = (await client.get(path)).json
    assert (found["model"], found["title"], found["messages"]) == ("other", "Mine", 2)


async def test_a_session_that_is_deleted_takes_its_run_with_it():
    gated = Gated()
    async with serving(make=gated) as client:
        reading = asyncio.create_task(client.events("/chat", {"message": "a"}))
        await until(lambda: gated.waiting)
        run = await live_run(client)
        (listed,) = (await client.get("/sessions")).json["sessions"]
        assert (await client.ask("DELETE", f"/sessions/{listed['session_id']}")).status == 204
        events = await reading
        assert (events[-1].type, events[-1].data["code"]) == ("error", "cancelled")
        assert (await client.get(f"/runs/{run}")).json["status"] == "cancelled"
        assert (await client.get("/sessions")).json["total"] == 0


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_session_that_is_deleted_takes_what_waits_in_it_with_it(backend, request, tmp_path):
    section = memory(backend, request, tmp_path)
    tools = [{"type": "human", "name": "ask", "description": "Asks.", "parameters": []}]
    async with AsyncExitStack() as stack:
        replicas = [
            await stack.enter_async_context(serving(memory=section, tools=tools))
            for _ in range(2 if backend in SHARED else 1)
        ]
        client, other = replicas[0], replicas[-1]
        ended = await client.chat("hello")
        waits = await client.chat("call ask {}", session_id=ended["session_id"])
        assert waits["finish_reason"] == "approval_required"
        path = f"/runs/{waits['run_id']}"
        assert (await other.ask("DELETE", f"/sessions/{ended['session_id']}")).status == 204
        for each in replicas:
            found = (await each.get(path)).json
            assert (found["status"], found["ended_at"] is None) == ("cancelled", False)
            assert (await each.get("/runs?status=waiting")).json["runs"] == []
            decided = {"decisions": [{"id": "call_1", "answer": "yes"}]}
            refused = await each.post(f"{path}/approvals", decided)
            assert (refused.status, refused.json["code"]) == (409, "approval_used")
            found = (await each.get(f"/runs/{ended['run_id']}")).json
            assert found["status"] == "succeeded"


@pytest.mark.parametrize("backend", SHARED)
async def test_a_run_whose_replica_died_runs_no_more_in_its_session(backend, request, tmp_path):
    """The session says so while the replica lives, asked at any other."""
    gated, section = Gated(), memory(backend, request, tmp_path)
    async with serving(make=gated, memory=section) as one, serving(memory=section) as other:
        reading = asyncio.create_task(one.events("/chat", {"message": "a"}))
        await until(lambda: gated.waiting)
        run = await live_run(one)
        (listed,) = (await other.get("/sessions")).json["sessions"]
        assert listed["running"] == run
        registry = other.application.runs.registry

        async def is_dead(replica: str) -> bool:
            return replica == one.application.runs.registry.replica

        registry._is_dead = is_dead
        (listed,) = (await other.get("/sessions")).json["sessions"]
        assert (listed["running"], listed["messages"]) == (None, 1)
        await other.chat("b", session_id=listed["session_id"])
        gated.gate.set()
        await reading


def fails_once(*answers):
    told = Told(ModelError("server_error", "x"), *answers)
    return told, {"make": told, "model": {"provider": "openai", "name": "gpt", "retries": 0}}


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_failed_run_is_tried_again_with_the_same_message(backend, request, tmp_path):
    told, options = fails_once(Assistant("fine"))
    async with serving(memory=memory(backend, request, tmp_path), **options) as client:
        failed = await client.post("/chat", {"message": [{"type": "text", "text": "a"}]})
        run = failed.json["run_id"]
        again = (await client.post("/chat", {"retry_of": run})).json
        assert again["output"] == "fine"
        path = f"/sessions/{again['session_id']}/messages"
        messages = (await client.get(path)).json["messages"]
        assert [item["role"] for item in messages] == ["user", "assistant"]
        assert messages[0]["content"] == [{"type": "text", "text": "a"}]
        assert [m.text() for m in told.asked[-1].messages if isinstance(m, User)] == ["a"]
        for gone in (run, again["run_id"]):
            refused = await client.post("/chat", {"retry_of": gone})
            assert (refused.status, refused.json["code"]) == (409, "not_retryable")


@pytest.mark.parametrize("backend", ["filesystem", *SHARED])
async def test_a_run_that_was_drained_is_tried_again_after_the_restart(backend, request, tmp_path):
    gated, section = Gated(), memory(backend, request, tmp_path)
    server = {"shutdownGraceSeconds": 0.01, "drainDelaySeconds": 0}
    async with serving(make=gated, memory=section, server=server) as client:
        asking = asyncio.create_task(client.post("/chat", {"message": "a"}))
        await until(lambda: gated.waiting)
        client.process.stop()
        drained = (await asking).json
    assert (drained["code"], drained["retryable"]) == ("draining", True)
    async with serving(memory=section) as client:
        path = f"/runs/{drained['run_id']}"
        found = (await client.get(path)).json
        assert (found["status"], found["error"]["code"]) == ("failed", "draining")
        events = await client.events(f"{path}/events", method="GET")
        assert (events[-1].type, events[-1].data["code"]) == ("error", "draining")
        again = (await client.post("/chat", {"retry_of": drained["run_id"]})).json
        assert (again["session_id"], again["output"]) == (
            found["session_id"],
            "You said: a (turn 1)",
        )


async def test_what_was_said_before_a_cancel_is_not_left_before_the_same_question():
    async with serving() as client:
        session = (await client.chat("first"))["session_id"]
        body = {"message": "say 200000 words", "session_id": session}
        reading = asyncio.create_task(client.events("/chat", body))
        run = await live_run(client)
        goes_on = await client.post("/chat", {"retry_of": run, "session_id": session})
        assert (goes_on.status, goes_on.json["code"]) == (409, "not_retryable")
        await client.post(f"/runs/{run}/cancel", {})
        await reading
        reading = asyncio.create_task(client.events("/chat", {"retry_of": run}))
        other = await live_run(client)
        await client.post(f"/runs/{other}/cancel", {})
        await reading
        await client.chat("on", session_id=session)
        messages = (await client.get(f"/sessions/{session}/messages")).json["messages"]
        late = await client.post("/chat", {"retry_of": other})
        assert (late.status, late.json["code"]) == (409, "not_retryable")
    assert [item["role"] for item in messages] == ["user", "assistant"] * 3
    assert messages[2]["content"] == "say 200000 words"
    assert messages[3]["finish_reason"] == "cancelled"
    assert messages[5]["content"].endswith("(turn 3)")


async def test_of_two_who_try_the_same_again_one_does():
    told, options = fails_once(Assistant("fine"))
    async with serving(**options) as client:
        run = (await client.post("/chat", {"message": "a"})).json["run_id"]
        replies = await asyncio.gather(*(client.post("/chat", {"retry_of": run}) for _ in range(8)))
        assert sorted(reply.status for reply in replies) == [200] + [409] * 7
        (session,) = (await client.get("/sessions")).json["sessions"]
        assert session["messages"] == 2
    assert len(told.asked) == 2


async def test_nobody_tries_again_what_another_asked():
    told, options = fails_once(Assistant("fine"))
    async with serving(auth=AUTH, environment=KEYS, **options) as client:
        failed = await client.post("/chat", {"message": "a"}, headers=as_("ANN"))
        body = {"retry_of": failed.json["run_id"]}
        refused = await client.post("/chat", body, headers=as_("BOB"))
        assert (refused.status, refused.json["code"]) == (404, "run_not_found")
    assert len(told.asked) == 1


async def test_a_question_that_was_withdrawn_while_it_waited_is_asked_again():
    tool = {"type": "human", "name": "ask", "description": "Asks."}
    async with serving(tools=[tool]) as client:
        paused = await client.chat("call ask {}")
        run, session = paused["run_id"], paused["session_id"]
        await client.post(f"/runs/{run}/cancel", {})
        path = f"/sessions/{session}"
        assert (await client.get(path)).json["messages"] == 3
        again = (await client.post("/chat", {"retry_of": run})).json
        assert again["finish_reason"] == "approval_required"
        assert (await client.get(path)).json["messages"] == 2


async def test_how_long_calls_took_and_how_they_ended_is_kept():
    """Also of a call that was made while another one of the same answer waited for a person."""
    api = {"type": "api", "name": "look", "description": "Looks.", "method": "GET"}
    human = {"type": "human", "name": "ask", "description": "Asks."}
    calls = [ToolCall("1", "look", "{}"), ToolCall("2", "ask", "{}"), ToolCall("3", "none", "{}")]
    told = Told(Assistant(calls=calls), Assistant("done"))
    async with upstream(answers({"x": 1})) as server:
        async with serving(make=told, tools=[api | {"endpoint": server.url}, human]) as client:
            events = await client.events("/chat", {"message": "go"})
            run, session = events[0].data["run_id"], events[0].data["session_id"]
            told_of = {e.data["id"]: e.data for e in events if e.type == "tool_end"}
            decision = {"decisions": [{"id": "2", "approved": False}]}
            assert (await client.post(f"/runs/{run}/approvals", decision)).status == 200
            page = (await client.get(f"/sessions/{session}/messages")).json["messages"]
    looked, asked, missed = page[2]["results"]
    assert (looked["ok"], looked["outcome"]) == (True, "ok")
    assert looked["duration_ms"] == told_of["1"]["duration_ms"] > 0
    assert (asked["ok"], asked["outcome"]) == (False, "denied")
    assert (missed["ok"], missed["outcome"]) == (False, told_of["3"]["outcome"])
    assert missed["outcome"] != "denied"


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_session_keeps_its_temperature(backend, request, tmp_path):
    told = Told(Assistant("fine"))
    models = [{"id": "thinker", "provider": "openai", "name": "o", "reasoningEffort": "high"}]
    section = memory(backend, request, tmp_path)
    async with serving(make=told, models=models, memory=section) as client:
        session = (await client.chat("a", temperature=0.5))["session_id"]
        path = f"/sessions/{session}"
        assert (await client.get(path)).json["temperature"] == 0.5
        await client.chat("b", session_id=session)
        await client.chat("c", session_id=session, model="thinker")
        assert (await client.get(path)).json["temperature"] == 0.5  # for a model that takes one
        refused = await client.ask("PATCH", path, json={"temperature": 1})
        assert (refused.status, refused.json["code"]) == (422, "invalid_fields")
        changed = await client.ask("PATCH", path, json={"temperature": 2, "model": "gpt"})
        assert changed.json["temperature"] == 2
        await client.chat("d", session_id=session)
        cleared = await client.ask("PATCH", path, json={"temperature": None})
        assert cleared.json["temperature"] is None
        await client.chat("e", session_id=session)
        for wrong in (-0.1, 2.1, "1", True):
            body = {"message": "x", "temperature": wrong, "session_id": session}
            assert (await client.post("/chat", body)).status == 422
        body = {"message": "x", "temperature": 1, "model": "thinker", "session_id": session}
        assert (await client.post("/chat", body)).status == 422
        assert (await client.get(path)).json["messages"] == 10
        made = await client.post("/sessions", {"temperature": 0})
        assert (made.status, made.json["temperature"]) == (201, 0)
    assert [asked.overrides.get("temperature") for asked in told.asked] == [0.5, 0.5, None, 2, None]


@pytest.mark.parametrize("backend", BACKENDS)
async def test_sessions_are_found_by_their_titles(backend, request, tmp_path, monkeypatch):
    """Also those that are not on the first page that a store returns."""
    monkeypatch.setattr("fleetform_runtime.runs.sessions.LISTED", 3)
    monkeypatch.setattr("fleetform_runtime.runs.sessions.MOST_LISTED", 12)
    section = memory(backend, request, tmp_path)
    section["policy"] = {"maxSessionsPerUser": 50}
    titles = ["Straße 100%_", *(f"Trip {n}" for n in range(9)), "STRASSE"]
    async with serving(memory=section) as client:

        async def found(query: str) -> tuple[list[str], int]:
            reply = (await client.get(f"/sessions?{query}")).json
            return [item["title"] for item in reply["sessions"]], reply["total"]

        for title in titles:
            await client.post("/sessions", {"title": title})
        assert await found("q=strasse") == (["STRASSE", "Straße 100%_"], 2)
        assert await found("q=%25_") == (["Straße 100%_"], 1)
        assert await found("q=trip%20&offset=1&limit=2") == (["Trip 7", "Trip 6"], 9)
        assert await found("q=none") == ([], 0)
        assert (await found("q=%20"))[1] == len(titles)
        for n in range(3):
            await client.post("/sessions", {"title": f"later {n}"})
        assert (await found("q=100"))[1] == 0  # of the latest only: bounded work
        assert (await client.get(f"/sessions?q={'x' * 257}")).status == 400


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
