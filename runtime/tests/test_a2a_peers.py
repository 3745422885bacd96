"""Agents call agents: of the fleet, or any that has a card, in both versions."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from fleetform_runtime.a2a.names import HITL
from fleetform_runtime.tools import agents
from runtime.tests.a2a_calls import answer, error, said, send
from runtime.tests.harness import Client, Gated, live_run, serving, until
from runtime.tests.test_access import AUTH, KEYS, as_
from runtime.tests.test_agents import CALLS_B, decided, peer
from runtime.tests.test_approvals import tools
from runtime.tests.upstreams import Upstream, answers, upstream
from tests.ports import free_port

pytestmark = pytest.mark.anyio
HELLO = 'call b {"message": "hello"}'
WAIT = r'call b {"message": "\u0077ait 3600 and go"}'
"""Written so that only the callee does what it says."""
FAIL = r'call b {"message": "\u0066ail server_error"}'
GATEWAY = {"type": "bearer", "token": {"env": "GATEWAY"}}


def by_card(url: str, **fields: Any) -> dict[str, Any]:
    return {"type": "agent", "name": "b", "description": "Asks.", "card": url, **fields}


async def sessions(client: Client, **options: Any) -> list[str]:
    return [
        item["session_id"] for item in (await client.get("/sessions", **options)).json["sessions"]
    ]


# -- contexts and users ----------------------------------------------------------------------------


async def test_each_session_of_each_user_has_a_context_of_its_own():
    async with (
        serving() as b,
        serving(tools=[peer(b)], auth=AUTH, environment=KEYS) as a,
    ):
        for user in ("ANN", "BOB"):
            body = {"message": HELLO, "session_id": "mine"}
            await a.post("/sessions", {"session_id": "mine"}, headers=as_(user))
            first = (await a.post("/chat", body, headers=as_(user))).json
            assert first["output"] == "b: You said: hello (turn 1)"
            second = (await a.post("/chat", body, headers=as_(user))).json
            assert second["output"] == "b: You said: hello (turn 2)"
        other = (await a.post("/chat", {"message": HELLO}, headers=as_("ANN"))).json
        assert other["output"] == "b: You said: hello (turn 1)"
        assert len(await sessions(b)) == 3


async def test_the_user_is_named_where_the_key_allows_it():
    async with (
        upstream(answers({})) as server,
        serving(auth=AUTH, environment=KEYS, tools=tools(server.url)) as b,
        serving(tools=[peer(b, auth=GATEWAY, onBehalf=True)], auth=AUTH, environment=KEYS) as a,
    ):
        for user in ("ANN", "BOB"):
            await a.post("/chat", {"message": HELLO}, headers=as_(user))
            mine = as_("GATEWAY") | {"X-User-Id": user.lower()}
            assert len(await sessions(b, headers=mine)) == 1
        assert await sessions(b, headers=as_("GATEWAY")) == []
        # What waits for a person is withdrawn in the name of the same user.
        first = (await a.post("/chat", {"message": CALLS_B}, headers=as_("ANN"))).json
        mine = as_("GATEWAY") | {"X-User-Id": "ann"}
        assert len((await b.get("/runs?status=waiting", headers=mine)).json["runs"]) == 1
        await a.post(f"/runs/{first['run_id']}/cancel", None, headers=as_("ANN"))
        assert (await b.get("/runs?status=waiting", headers=mine)).json["runs"] == []


async def test_a_call_while_another_waits_in_the_same_session_has_another_context():
    async with (
        upstream(answers({})) as server,
        serving(tools=tools(server.url)) as b,
        serving(tools=[peer(b)]) as a,
    ):
        await a.post("/sessions", {"session_id": "s"})
        waiting = asyncio.create_task(a.chat(CALLS_B, session_id="s"))
        await until(waiting.done)
        (context,) = await sessions(b)
        task = (await b.get("/runs?status=waiting")).json["runs"][0]["run_id"]
        await a.post(f"/runs/{(await waiting)['run_id']}/cancel", None)
        assert (await b.get(f"/runs/{task}")).json["status"] == "cancelled"
        # Somebody else's task waits in that context: the call is made in another one.
        await send(b, said('call ask {"q": "Why?"}', "x1", contextId=context))
        assert (await a.chat(HELLO, session_id="s"))["output"] == "b: You said: hello (turn 1)"
        assert len(await sessions(b)) == 2


# -- progress and ends -----------------------------------------------------------------------------


async def test_whoever_follows_the_caller_sees_what_the_callee_does():
    tool = {"type": "code", "name": "one", "description": "One.", "code": "print(1)"}
    async with serving(tools=[tool]) as b, serving(tools=[peer(b)]) as a:
        events = await a.events("/chat", {"message": 'call b {"message": "call one {}"}'})
    told = [event.data for event in events if event.type == "tool_progress"]
    assert [item["event"] for item in told[:2]] == ["tool_start", "tool_end"]
    assert {item["name"] for item in told} == {"b"}
    assert {item.get("tool") for item in told[:2]} == {"one"}
    assert "".join(item.get("content", "") for item in told) == "one: 1\n"


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_cancelled_caller_cancels_its_callee(streaming):
    async with serving() as b, serving(tools=[peer(b)]) as a:
        asking = asyncio.create_task(a.post("/chat", {"message": WAIT, "stream": streaming}))
        task = await live_run(b)
        await a.post(f"/runs/{await live_run(a)}/cancel", {})
        await asking
        await until(lambda: not b.application.runs.registry.running)
        assert (await b.get(f"/runs/{task}")).json["status"] == "cancelled"


async def test_a_caller_that_cannot_wait_longer_cancels_its_callee():
    async with serving() as b, serving(tools=[peer(b, timeoutSeconds=0.3)]) as a:
        assert (await a.chat(WAIT))["output"] == "b: The other agent did not answer in time."
        await until(lambda: not b.application.runs.registry.running)
        (task,) = await sessions_of_tasks(b)
        assert task["status"]["state"] == "TASK_STATE_CANCELED"


async def sessions_of_tasks(client: Client) -> list[Any]:
    return (await client.get("/a2a/tasks")).json["tasks"]


async def test_a_message_whose_connection_broke_is_sent_again_and_taken_once(monkeypatch):
    monkeypatch.setattr(agents, "PAUSE_SECONDS", 0.01)
    model, cuts = Gated(), []

    async def relay(request: web.Request) -> web.StreamResponse:
        """Cut the first connection once the callee is at work."""
        body = await request.read()
        headers = {"Content-Type": "application/json"}
        if not cuts:
            cuts.append(1)
            passed = asyncio.create_task(b.ask("POST", request.path, data=body, headers=headers))
            await until(lambda: model.waiting)
            request.transport.abort()
            model.gate.set()
            await passed
            return web.Response()
        reply = await b.ask("POST", request.path, data=body, headers=headers)
        return web.Response(
            body=reply.body, headers={"Content-Type": reply.headers["Content-Type"]}
        )

    async with serving(make=model) as b, upstream(relay) as server:
        url = {"type": "agent", "name": "b", "description": "Asks.", "url": server.url}
        async with serving(tools=[url]) as a:
            assert (await a.chat(HELLO))["output"] == "b: You said: hello (turn 1)"
        assert len(await sessions_of_tasks(b)) == 1


async def test_agents_name_those_that_called_before():
    async with serving(tools=[], agent={"name": "c", "namespace": "demo"}) as c:
        tool_c = peer(c, "c")
        async with (
            serving(tools=[tool_c], agent={"name": "b", "namespace": "demo"}) as b,
            serving(tools=[peer(b)], agent={"name": "a", "namespace": "demo"}) as a,
        ):
            inner = "call c " + json.dumps({"message": "hello"})
            answer = await a.chat("call b " + json.dumps({"message": inner}))
            assert "hello" in answer["output"]
        assert await c.metric("agent_called_total", caller="b") == 1
        headers = {"Fleetform-Hops": "2", "Fleetform-Path": "x y,<b>," + ",".join(["d"] * 9)}
        found = await error(c, "SendMessage", {"message": said("x")}, headers=headers)
        assert (found["code"], found["data"][1]["code"]) == (-32603, "agents_in_circle")
        assert "<b>" not in found["message"]


# -- others, by their card -------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_an_agent_is_asked_as_its_card_says(version):
    port = free_port()
    async with serving(port=port, a2a={"url": f"http://127.0.0.1:{port}"}) as b:
        card = (await b.get("/.well-known/agent-card.json")).json
        if version == "0.3":
            del card["supportedInterfaces"]
        kept: list[Any] = []

        async def relay(request: web.Request) -> web.StreamResponse:
            if request.method == "GET":
                text = json.dumps(card).replace(b.url, server.url)
                return web.json_response(text=text)
            body = await request.json()
            kept.append((body["method"], request.headers["A2A-Version"]))
            reply = await b.post(
                "/a2a", body, headers={"A2A-Version": request.headers["A2A-Version"]}
            )
            return web.Response(
                body=reply.body, headers={"Content-Type": reply.headers["Content-Type"]}
            )

        async with upstream(relay) as server:
            async with serving(tools=[by_card(server.url + "/card.json")]) as a:
                assert (await a.chat(HELLO))["output"] == "b: You said: hello (turn 1)"
                asked = await a.chat(FAIL)
                assert "has failed" in asked["output"]
        streams = "SendStreamingMessage" if version == "1.0" else "message/stream"
        assert kept == [(streams, version)] * 2


@pytest.mark.parametrize(
    ("card", "said_of_it"),
    [
        ({}, "names no JSON-RPC"),
        (4, "its card is none"),
        ({"url": "http://169.254.169.254/"}, "another host"),
        ({"url": "https://example.org/a2a"}, "another host"),
        ({"supportedInterfaces": [{"url": "HERE", "protocolBinding": "GRPC", "protocolVersion": "1.0"}]}, "no JSON-RPC"),
        ({"supportedInterfaces": [{"url": "HERE", "protocolBinding": "JSONRPC", "protocolVersion": "2.0"}]}, "no JSON-RPC"),
        ({"supportedInterfaces": 4, "additionalInterfaces": 4, "url": 4}, "no JSON-RPC"),
        ((404, "x", {}), "status 404"),
        ((200, "x", {}), "cannot be read"),
    ],
)  # fmt: skip
async def test_a_card_that_leads_nowhere_is_a_result(card, said_of_it):
    async with upstream(answers(card)) as server:
        async with serving(tools=[by_card(server.url + "/card.json")]) as a:
            answer = await a.chat(HELLO)
        assert said_of_it in answer["output"]
        assert {request["method"] for request in server.requests} == {"GET"}


@asynccontextmanager
async def foreign(*replies: Any, streaming: bool = False) -> AsyncIterator[Upstream]:
    """An agent of others: a card, then one reply of JSON-RPC after the other, the last for ever."""
    left = list(replies)

    async def handler(request: web.Request) -> web.Response:
        if request.method == "GET":
            way = {
                "url": server.url + "/rpc",
                "protocolBinding": "JSONRPC",
                "protocolVersion": "1.0",
            }
            able = {"streaming": streaming}
            return web.json_response({"supportedInterfaces": [way], "capabilities": able})
        reply = left.pop(0) if len(left) > 1 else left[0]
        return web.json_response({"jsonrpc": "2.0", "id": 1, **reply})

    async with upstream(handler) as server:
        yield server


def task(state: str, message: Any = None, *parts: Any) -> dict[str, Any]:
    status = {"state": f"TASK_STATE_{state}", **({"message": message} if message else {})}
    artifacts = [{"artifactId": "x", "parts": list(parts)}] if parts else []
    return {"id": "t1", "contextId": "c1", "status": status, "artifacts": artifacts}


def sent(*given: Any) -> dict[str, Any]:
    return {"result": {"task": task(*given)}}


async def test_what_others_answer_is_read_in_all_its_forms():
    message = {"messageId": "x", "role": "ROLE_AGENT", "parts": [{"text": "just so"}]}
    mixed = [{"text": "a"}, {"data": {"n": 1}}, {"raw": "eA==", "filename": "x.png"}, {"odd": 1}]
    for reply, wanted in (
        ({"result": {"message": message}}, "just so"),
        (sent("COMPLETED", None, *mixed), 'a{"n":1}[file x.png]'),
        (sent("COMPLETED", message), "just so"),
        (sent("REJECTED", message), "The other agent's task is rejected. just so"),
        (sent("AUTH_REQUIRED", message), "The other agent's task is auth_required. just so"),
        ({"error": {"code": -32603, "message": "no"}}, "The other agent refused: no"),
        ({"result": 4}, "none of the protocol"),
        ({"result": {}}, "none of the protocol"),
        ({"result": {"task": {"id": 4}}}, "none of the protocol"),
        ({"result": {"task": {"id": "t", "status": {"state": "TASK_STATE_COMPLETED"}, "artifacts": 4}}}, ""),
    ):  # fmt: skip
        async with foreign(reply) as server, serving(tools=[by_card(server.url)]) as a:
            assert wanted in (await a.chat(HELLO))["output"], reply


async def test_a_task_of_others_that_is_not_done_is_asked_for(monkeypatch):
    monkeypatch.setattr(agents, "LOOK_SECONDS", 0.01)
    working, done = task("WORKING"), task("COMPLETED", None, {"text": "done"})
    async with foreign(
        {"result": {"task": working}}, {"result": working}, {"result": done}
    ) as server:
        async with serving(tools=[by_card(server.url)]) as a:
            assert (await a.chat(HELLO))["output"] == "b: done"
        methods = [body["method"] for body in server.bodies if body]
        assert methods == ["SendMessage", "GetTask", "GetTask"]


async def test_a_context_that_others_do_not_take_is_left_out():
    refusal = {"error": {"code": -32602, "message": "unknown context"}}
    async with foreign(refusal, sent("COMPLETED", None, {"text": "ok"})) as server:
        async with serving(tools=[by_card(server.url)]) as a:
            assert (await a.chat(HELLO))["output"] == "b: ok"
        first, second = (body["params"]["message"] for body in server.bodies if body)
        assert ("contextId" in first, "contextId" in second) == (True, False)


def requesting(payload: dict[str, Any]) -> dict[str, Any]:
    return {"parts": [{"text": "?"}], "extensions": [HITL], "metadata": {HITL: payload}}


async def test_people_here_decide_on_calls_of_others():
    tool = {"id": "op1", "call_id": "c1", "name": "delete", "args": {"pod": "x"}}
    asks = requesting({"type": "tool_approval_request", "tools": [tool]})
    done = sent("COMPLETED", None, {"text": "deleted"})
    async with foreign(sent("INPUT_REQUIRED", asks), done) as server:
        async with serving(tools=[by_card(server.url)]) as a:
            first = await a.chat(HELLO)
            (item,) = first["pending"]["calls"]
            assert (item["type"], item["name"], item["args"]) == (
                "approval",
                "delete",
                {"pod": "x"},
            )
            edited = decided(item, approved=True, arguments={"pod": "y"})
            again = (await a.post(f"/runs/{first['run_id']}/approvals", edited)).json
            assert "no other arguments" in again["pending"]["problem"]
            path = f"/runs/{again['run_id']}/approvals"
            refusal = decided(item, approved=False, reason="no")
            assert "deleted" in (await a.post(path, refusal)).json["output"]
        message = server.bodies[-1]["params"]["message"]
    assert (message["taskId"], message["contextId"], message["extensions"]) == ("t1", "c1", [HITL])
    assert message["metadata"][HITL] == {
        "type": "tool_approval_response",
        "approvals": [{"id": "op1", "approved": False, "rejection_reason": "no"}],
    }


async def test_people_here_answer_questions_of_others():
    ask = {
        "type": "ask_user_request",
        "id": "q",
        "questions": [{"question": "Where?", "choices": ["a"]}],
    }
    done = sent("COMPLETED", None, {"text": "there"})
    async with foreign(sent("INPUT_REQUIRED", requesting(ask)), done) as server:
        async with serving(tools=[by_card(server.url)]) as a:
            first = await a.chat(HELLO)
            (item,) = first["pending"]["calls"]
            assert item["args"] == {"question": "Where?", "choices": ["a"]}
            path = f"/runs/{first['run_id']}/approvals"
            assert "there" in (await a.post(path, decided(item, answer="a"))).json["output"]
        payload = server.bodies[-1]["params"]["message"]["metadata"][HITL]
        assert payload == {"type": "ask_user_response", "id": "q", "answers": [{"answer": ["a"]}]}
    plain = {"parts": [{"text": "Which one?"}]}
    async with foreign(sent("INPUT_REQUIRED", plain), done) as server:
        async with serving(tools=[by_card(server.url)]) as a:
            first = await a.chat(HELLO)
            (item,) = first["pending"]["calls"]
            assert item["args"] == {"question": "Which one?"}
            path = f"/runs/{first['run_id']}/approvals"
            assert "there" in (await a.post(path, decided(item, answer="this"))).json["output"]
        assert server.bodies[-1]["params"]["message"]["parts"] == [{"text": "this"}]
    async with foreign(sent("INPUT_REQUIRED", plain), {"result": task("CANCELED")}) as server:
        async with serving(tools=[by_card(server.url)]) as a:
            first = await a.chat(HELLO)
            (item,) = first["pending"]["calls"]
            body = decided(item, approved=False, reason="never")
            done = (await a.post(f"/runs/{first['run_id']}/approvals", body)).json
            assert "never" in done["output"]
        assert server.bodies[-1]["method"] == "CancelTask"


@pytest.mark.parametrize(
    "payload",
    [
        {}, {"type": "tool_approval_request"}, {"type": "tool_approval_request", "tools": [4]},
        {"type": "tool_approval_request", "tools": [{"id": 4, "name": "x"}]},
        {"type": "ask_user_request", "id": "q", "questions": []}, {"type": "ask_user_request", "questions": [{}]},
        {"type": "ask_user_request", "id": "q", "questions": [{"question": 4}]},
    ],
)  # fmt: skip
async def test_a_question_of_others_that_says_nothing_is_not_waited_for(payload):
    async with foreign(sent("INPUT_REQUIRED", requesting(payload))) as server:
        async with serving(tools=[by_card(server.url)]) as a:
            assert "waits for people" in (await a.chat(HELLO))["output"]
        assert server.bodies[-1]["method"] == "CancelTask"


async def test_a_run_of_chat_is_a_task_as_well():
    async with (
        upstream(answers({"paid": True})) as server,
        serving(tools=tools(server.url)) as client,
    ):
        run = (await client.chat('call pay {"sum": 5}'))["run_id"]
        decisions = {"decisions": [{"id": "call_1", "approved": True}]}
        done = await send(client, said("", taskId=run, parts=[{"data": decisions}]))
        assert (done["id"], answer(done)) == (run, 'pay: {"paid": true}')
