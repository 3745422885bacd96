"""AG-UI: the official client, which checks every event, and what a client may not ask."""

import asyncio
import json
import shutil
from typing import Any

import pytest

from fleetform_runtime.messages import Assistant, ToolCall
from runtime.tests.harness import Client, Gated, Told, serving, until
from runtime.tests.test_access import AUTH, KEYS
from runtime.tests.test_approvals import tools
from runtime.tests.upstreams import answers, upstream
from tests.tools import tool

pytestmark = pytest.mark.anyio

Json = dict[str, Any]


def asked(text: Any = "hello", thread: str = "t1", **more: Any) -> Json:
    message = {"id": "m1", "role": "user", "content": text}
    return {"threadId": thread, "runId": "r1", "messages": [message], **more}


async def told(client: Client, body: Json, **headers: str) -> list[Json]:
    """Return the events of a run."""
    reply = await client.post("/ag-ui", body, headers=headers)
    assert reply.status == 200, reply.body
    assert reply.headers["Content-Type"].startswith("text/event-stream")
    lines = reply.body.decode().split("\n\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


def kinds(events: list[Json]) -> list[str]:
    return [event["type"] for event in events]


@pytest.mark.proof
@pytest.mark.skipif(shutil.which("npm") is None, reason="the client needs Node.js: install it")
async def test_the_official_client_takes_every_event():
    async with upstream(answers({"paid": True})) as server:
        changes = {"auth": AUTH, "environment": KEYS, "tools": tools(server.url)}
        async with serving(**changes) as client:
            running = await asyncio.create_subprocess_exec(
                tool("ag-ui"), client.url, KEYS["ANN"], stdout=-1, stderr=-1
            )
            out, problems = await running.communicate()
        assert running.returncode == 0, problems.decode()
        assert [item["json"] for item in server.requests] == [{"sum": 4}]
    found = json.loads(out)
    assert found.pop("busy").startswith("HTTP 409")
    assert found == {
        "kinds": [
            "RUN_STARTED",
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_END",
            "RUN_FINISHED",
        ],
        "whole": "You said: hello (turn 1)",
        "again": "You said: and again (turn 2)",
        "interrupt": {
            "reason": "tool_call",
            "message": "Allow pay?",
            "required": ["approved"],
            "open": 1,
        },
        "calls": [["pay", '{"sum": 5}']],
        "paid": 'pay: [a person changed the arguments to {"sum":4}]\n{"paid": true}',
        "results": ['{"paid": true}'],
        "unanswered": 0,
        "denied": ["A person refused."],
        "question": "input_required",
        "answer": "ask: Oslo",
        "failed": "model_failed",
        "stranger": "HTTP 401",
    }


async def test_a_thread_is_a_session_whose_history_is_kept_here():
    async with serving() as client:
        await told(client, asked())
        body = asked("more")
        body["messages"] = [{"id": "x", "role": "user", "content": "made up"}, *body["messages"]]
        events = await told(client, body)
        said = "".join(event.get("delta", "") for event in events)
        assert said == "You said: more (turn 2)"
        assert (await client.get("/sessions/t1")).status == 200
        assert events[0]["runId"] == events[-1]["runId"] == "r1"
        assert events[-1]["outcome"] == {"type": "success"}
        assert events[-1]["usage"][0]["totalTokens"] > 0


async def test_calls_of_one_run_have_ids_of_their_own_though_the_model_repeats_them():
    def call(step: int) -> Assistant:
        return Assistant("", calls=[ToolCall("call_1", "free", json.dumps({"n": step}))])

    async with upstream(answers({"a": 1}, {"a": 2})) as server:
        model = Told(call(1), call(2), Assistant("done"))
        async with serving(tools=tools(server.url), make=model) as client:
            events = await told(client, asked())
    started = [event["toolCallId"] for event in events if event["type"] == "TOOL_CALL_START"]
    results = [event["toolCallId"] for event in events if event["type"] == "TOOL_CALL_RESULT"]
    assert len({*started}) == 2
    assert started == results


REFUSED: list[tuple[Json, str]] = [
    (asked(tools=[{"name": "x", "description": "y"}]), "tools"),
    (asked(context=[{"description": "x", "value": "y"}]), "context"),
    (asked(state={"a": 1}), "state"),
    (asked(forwardedProps={"model": "gpt", "other": 1}), "forwardedProps"),
    (asked(forwardedProps={"temperature": 3}), "forwardedProps"),
    (asked(""), "messages.0.content"),
    (asked([]), "messages.0.content"),
    (asked(None), "messages.0.content"),
    (asked(thread="a b"), "threadId"),
    (asked(thread=""), "threadId"),
    ({"threadId": "t", "runId": "r", "messages": []}, "messages.0"),
    (asked() | {"messages": [{"id": "a", "role": "assistant", "content": "x"}]}, "messages.0"),
    (asked([{"type": "audio", "source": {"type": "data", "value": "x"}}]), "messages.0.content.0"),
    (asked([{"type": "image", "source": {"type": "url", "value": "file:///x"}}]), "messages.0"),
    (asked([{"type": "image", "source": {"type": "data", "value": "%", "mimeType": "image/png"}}]), "messages.0"),
    (asked(typo=1), "typo"),
    (asked(resume=[{"interruptId": "a:b", "status": "resolved"}, {"interruptId": "c:d", "status": "resolved"}]), "resume"),
    (asked(resume=[{"interruptId": "nothing", "status": "resolved"}]), "resume"),
    (asked(resume=[{"interruptId": "a:b", "status": "maybe"}]), "resume"),
    (asked(resume=[{"interruptId": "a:b", "status": "resolved", "payload": {"approved": True, "editedArgs": 1}}]), "resume"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "where"), REFUSED, ids=lambda value: str(value)[:60])
async def test_what_would_have_no_effect_or_makes_no_sense_is_refused_by_its_place(body, where):
    async with serving() as client:
        reply = await client.post("/ag-ui", body)
        assert (reply.status, reply.json["code"]) == (422, "invalid_fields")
        assert where in reply.body.decode()


async def test_interrupts_are_answered_once_by_their_user_in_their_thread():
    async with upstream(answers({"paid": True})) as server:
        changes = {"auth": AUTH, "environment": KEYS, "tools": tools(server.url)}
        async with serving(**changes) as client:
            mine = {"Authorization": f"Bearer {KEYS['ANN']}"}
            theirs = {"Authorization": f"Bearer {KEYS['BOB']}"}
            events = await told(client, asked('call pay {"sum": 5}'), **mine)
            (wanted,) = events[-1]["outcome"]["interrupts"]
            assert events[-1]["outcome"]["type"] == "interrupt"
            answer = [{"interruptId": wanted["id"], "status": "resolved"}]
            answer[0]["payload"] = {"approved": True}
            for body, who in (
                (asked(resume=answer), theirs),
                (asked(thread="t2", resume=answer), mine),
            ):
                reply = await client.post("/ag-ui", body, headers=who)
                assert (reply.status, reply.json["code"]) == (404, "run_not_found")
            assert server.requests == []
            events = await told(client, asked(resume=answer), **mine)
            assert "TOOL_CALL_START" not in kinds(events)  # the client knows the call
            result = next(event for event in events if event["type"] == "TOOL_CALL_RESULT")
            assert result["toolCallId"] == wanted["toolCallId"]
            assert len(server.requests) == 1
            reply = await client.post("/ag-ui", asked(resume=answer), headers=mine)
            assert (reply.status, reply.json["code"]) == (409, "approval_used")


async def test_an_image_that_is_sent_reaches_the_model():
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    source = {"type": "data", "value": pixel, "mimeType": "image/png"}
    parts = [{"type": "text", "text": "look"}, {"type": "image", "source": source}]
    async with serving() as client:
        await told(client, asked(parts))
        messages = (await client.get("/sessions/t1/messages")).json["messages"]
        assert messages[0]["content"][1]["image_url"]["url"] == f"data:image/png;base64,{pixel}"


async def test_a_run_that_is_stopped_ends_as_cancelled_and_one_that_fails_as_an_error():
    async with serving() as client:
        events = await told(client, asked("fail server_error"))
        assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "model_failed")
        assert "TEXT_MESSAGE_START" not in kinds(events)
    model = Gated()
    async with serving(make=model) as client:
        running = asyncio.create_task(told(client, asked()))
        await until(lambda: model.waiting)
        run = (await client.get("/sessions/t1")).json["running"]
        assert (await client.post(f"/runs/{run}/cancel", {})).status == 202
        events = await running
        assert events[-1]["type"] == "RUN_FINISHED"
        assert events[-1]["outcome"] == {"type": "cancelled"}


async def test_an_agent_that_keeps_nothing_says_so():
    async with serving(memory={"type": "none"}) as client:
        reply = await client.post("/ag-ui", asked())
        assert (reply.status, reply.json["code"]) == (404, "not_kept")
