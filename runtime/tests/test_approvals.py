"""A person decides once, on exactly the call that was shown, on any replica, before or after a restart."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fleetform_runtime.messages import Assistant, ToolCall
from fleetform_runtime.store import StoreError
from fleetform_runtime.store.redis.conversations import keys_of
from runtime.tests.harness import Gated, Told, live_run, parse, serving, until
from runtime.tests.servers import RedisServer
from runtime.tests.stores import BACKENDS, memory
from runtime.tests.upstreams import answers, upstream

pytestmark = pytest.mark.anyio


def tools(url: str) -> list[dict[str, Any]]:
    base = {"type": "api", "description": "Does it.", "endpoint": url, "method": "POST"}
    return [
        base | {"name": "free"},
        base | {"name": "pay", "requiresApproval": True}
        | {"parameters": [{"name": "sum", "in": "body", "type": "integer", "required": True}]},
        {
            "type": "human",
            "name": "ask",
            "description": "Asks.",
            "parameters": [{"name": "q", "type": "string", "required": True}],
        },
        {
            "type": "human",
            "name": "pick",
            "description": "Picks.",
            "output": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        },
    ]  # fmt: skip


async def paused(client, text: str = 'call pay {"sum": 5}', **fields: Any) -> dict[str, Any]:
    answer = await client.chat(text, **fields)
    assert answer["finish_reason"] == "approval_required"
    return answer


def approve(**fields: Any) -> dict[str, Any]:
    return {"decisions": [{"id": "call_1", "approved": True} | fields]}


async def test_an_approved_call_is_made_once_and_the_run_goes_on():
    async with (
        upstream(answers({"paid": True})) as server,
        serving(tools=tools(server.url)) as client,
    ):
        answer = await paused(client)
        (call,) = answer["pending"]["calls"]
        assert (call["type"], call["name"], call["args"]) == ("approval", "pay", {"sum": 5})
        assert server.requests == []
        state = (await client.get(f"/runs/{answer['run_id']}")).json
        assert (state["status"], state["pending"]["calls"]) == ("waiting", [call])
        path = f"/runs/{answer['run_id']}/approvals"
        done = await client.post(path, approve(digest=call["digest"]))
        assert done.status == 200
        assert done.json["output"] == 'pay: {"paid": true}'
        assert done.json["session_id"] == answer["session_id"]
        assert [item["json"] for item in server.requests] == [{"sum": 5}]
        again = await client.post(path, approve())
        assert (again.status, again.json["code"]) == (409, "approval_used")
        assert len(server.requests) == 1
        assert (await client.get(f"/runs/{answer['run_id']}")).json["status"] == "resumed"
        messages = (await client.get(f"/sessions/{answer['session_id']}/messages")).json["messages"]
        assert [item["role"] for item in messages] == ["user", "assistant", "tool", "assistant"]
        assert (await client.chat("on", session_id=answer["session_id"]))["output"].endswith(
            "(turn 2)"
        )


async def test_a_run_that_goes_on_is_as_far_from_the_first_agent_as_before():
    asked = []

    async def other(request: web.Request) -> web.Response:
        asked.append(request.headers["Fleetform-Hops"])
        return web.json_response({"output": "hi"})

    async with upstream(other) as server:
        agent = {"type": "agent", "name": "r", "description": "Asks.", "url": server.url}
        async with serving(tools=[agent | {"requiresApproval": True}]) as client:
            body = {"message": 'call r {"message": "who"}'}
            waiting = (await client.post("/chat", body, headers={"Fleetform-Hops": "4"})).json
            assert asked == []
            done = await client.post(f"/runs/{waiting['run_id']}/approvals", approve())
    assert (done.status, asked) == (200, ["5"])


async def test_a_denied_call_is_not_made_and_the_model_is_told_why():
    async with upstream(answers({})) as server, serving(tools=tools(server.url)) as client:
        answer = await paused(client)
        body = {"decisions": [{"id": "call_1", "approved": False, "reason": "too much"}]}
        done = await client.events(f"/runs/{answer['run_id']}/approvals", body)
        assert await client.metric("agent_tool_calls_total", tool="pay", outcome="denied") == 1
    assert done[-1].data["output"] == "pay: too much"
    assert server.requests == []


async def test_calls_beside_it_are_made_at_once_and_kept():
    async with upstream(answers({"x": 1})) as server, serving(tools=tools(server.url)) as client:
        text = 'call free {}\ncall pay {"sum": 1}\ncall ask {"q": "why"}'
        events = await client.events("/chat", {"message": text})
        assert [event.type for event in events] == [
            "run_start", "tool_start", "tool_end", "approval_required", "usage", "done",
        ]  # fmt: skip
        waiting = events[3].data
        assert [(call["type"], call["name"]) for call in waiting["calls"]] == [
            ("approval", "pay"),
            ("question", "ask"),
        ]
        body = {"decisions": [{"id": "call_2", "approved": True}, {"id": "call_3", "answer": "so"}]}
        done = await client.post(f"/runs/{waiting['run_id']}/approvals", body)
    assert done.json["output"] == 'free: {"x": 1}\npay: {"x": 1}\nask: so'
    assert len(server.requests) == 2


WRONG = [
    ({"decisions": []}, 422),
    ({}, 422),
    ({"decisions": [{"id": "other", "approved": True}]}, 422),
    ({"decisions": [{"id": "call_1"}]}, 422),
    ({"decisions": [{"id": "call_1", "answer": "yes"}]}, 422),
    ({"decisions": [{"id": "call_1", "approved": "yes"}]}, 422),
    ({"decisions": [{"id": "call_1", "approved": True, "digest": "0" * 16}]}, 422),
    ({"decisions": [{"id": "call_1", "approved": True, "args": {"sum": 9}}]}, 422),
    ({"decisions": [{"id": "call_1", "approved": True}, {"id": "call_1", "approved": False}]}, 422),
    ({"decisions": [{"id": "call_1", "approved": True}, {"id": "call_2", "approved": True}]}, 422),
]


@pytest.mark.parametrize(("body", "status"), WRONG)
async def test_other_decisions_are_refused_and_the_call_still_waits(body, status):
    async with upstream(answers({})) as server, serving(tools=tools(server.url)) as client:
        answer = await paused(client)
        path = f"/runs/{answer['run_id']}/approvals"
        refused = await client.post(path, body)
        assert refused.status == status, refused.body
        assert server.requests == []
        assert (await client.post(path, approve())).status == 200


async def test_a_question_is_answered_as_its_tool_wants():
    async with serving(tools=tools("http://127.0.0.1:1")) as client:
        answer = await paused(client, "call pick {}")
        path = f"/runs/{answer['run_id']}/approvals"
        wrong = await client.post(path, {"decisions": [{"id": "call_1", "answer": {"n": "x"}}]})
        assert wrong.status == 422
        done = await client.post(path, {"decisions": [{"id": "call_1", "answer": {"n": 3}}]})
    assert done.json["output"] == 'pick: {"n":3}'


async def test_an_answer_that_cannot_be_written_down_is_refused():
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    async with serving(tools=tools("http://127.0.0.1:1")) as client:
        answer = await paused(client, 'call ask {"q": "?"}')
        body = {"decisions": [{"id": "call_1", "answer": deep}]}
        refused = await client.post(f"/runs/{answer['run_id']}/approvals", body)
        assert (refused.status, refused.json["code"]) == (422, "invalid_fields")
        assert "nested too deeply" in refused.json["detail"]
        body = {"decisions": [{"id": "call_1", "answer": [["so"]]}]}
        done = await client.post(f"/runs/{answer['run_id']}/approvals", body)
        assert done.json["output"] == 'ask: [["so"]]'


async def test_wrong_arguments_are_refused_before_anybody_is_asked():
    async with serving(tools=tools("http://127.0.0.1:1")) as client:
        answer = await client.chat('call pay {"sum": "five"}')
    assert answer["finish_reason"] == "stop"
    assert "arguments are invalid" in answer["output"]


async def test_a_session_that_waits_takes_no_other_message():
    async with upstream(answers({})) as server, serving(tools=tools(server.url)) as client:
        answer = await paused(client)
        fields = {"message": "hello", "session_id": answer["session_id"]}
        refused = await client.post("/chat", fields)
        assert (refused.status, refused.json["code"]) == (409, "approval_pending")
        assert refused.json["pending"]["run_id"] == answer["run_id"] == refused.json["run_id"]
        assert (await client.post(f"/runs/{answer['run_id']}/cancel", {})).status == 202
        assert (await client.post(f"/runs/{answer['run_id']}/approvals", approve())).status == 409
        assert (await client.post("/chat", fields)).status == 200
    assert server.requests == []


BOTH = 'call free {}\ncall pay {"sum": 5}'


async def two_paused(client, model: Gated) -> tuple[str, list[dict[str, Any]]]:
    """Let two runs of one session pause that have begun before either did."""
    return await at_once(client, model, *(partial(paused, client, BOTH) for _ in range(2)))


async def at_once(client, model: Gated, *chats: Any) -> tuple[str, list[dict[str, Any]]]:
    """Let runs of one session go on once all have begun."""
    model.gate.set()
    session = (await client.chat("hello"))["session_id"]
    model.gate.clear()
    tasks = [asyncio.create_task(chat(session_id=session)) for chat in chats]
    await until(lambda: model.waiting == len(chats))
    model.gate.set()
    return session, [await task for task in tasks]


def roles(messages: list[Any]) -> list[str]:
    return [item["role"] for item in messages]


TURN = ["user", "assistant", "tool", "assistant"]


@pytest.mark.parametrize("backend", BACKENDS)
async def test_two_runs_of_a_session_that_pause_are_both_kept(backend, request, tmp_path):
    section = memory(backend, request, tmp_path)
    async with upstream(answers({"x": 1})) as server:
        model = Gated()
        async with serving(make=model, tools=tools(server.url), memory=section) as client:
            session, (one, two) = await two_paused(client, model)
            path = f"/sessions/{session}"
            before = (await client.get(f"{path}/messages")).json
            assert roles(before["messages"]) == ["user", "assistant"] * 3
            assert (await client.get(path)).json["messages"] == before["total"] == 6
            page = (await client.get(f"{path}/messages?offset=1&limit=2")).json["messages"]
            assert page == before["messages"][1:3]
            refused = await client.post("/chat", {"message": "x", "session_id": session})
            first = refused.json["run_id"]
            assert first == (await client.get(path)).json["waiting"]
            second = {one["run_id"], two["run_id"]} - {first}
            for run in (*second, first):  # the one that came later first
                body = {"decisions": [{"id": "call_2", "approved": True}]}
                done = await client.post(f"/runs/{run}/approvals", body)
                assert done.json["output"] == 'free: {"x": 1}\npay: {"x": 1}'
                assert (await client.post(f"/runs/{run}/approvals", body)).status == 409
            messages = (await client.get(f"{path}/messages")).json["messages"]
            assert roles(messages) == ["user", "assistant", *TURN, *TURN]
            assert (await client.get(path)).json["waiting"] is None
            assert (await client.chat("on", session_id=session))["finish_reason"] == "stop"
    assert len(server.requests) == 4


async def test_a_run_that_ends_while_another_waits_is_kept():
    model = Gated()
    async with (
        upstream(answers({"x": 1})) as server,
        serving(make=model, tools=tools(server.url)) as client,
    ):
        session, (waiting, said) = await at_once(
            client, model, partial(paused, client), partial(client.chat, "say 2 words")
        )
        assert said["finish_reason"] == "stop"
        done = await client.post(f"/runs/{waiting['run_id']}/approvals", approve())
        assert done.status == 200
        messages = (await client.get(f"/sessions/{session}/messages")).json["messages"]
        assert roles(messages) == ["user", "assistant"] * 2 + TURN


async def test_of_two_that_wait_one_is_cancelled_and_one_is_not():
    model = Gated()
    async with (
        upstream(answers({"x": 1})) as server,
        serving(make=model, tools=tools(server.url)) as client,
    ):
        session, (one, two) = await two_paused(client, model)
        assert (await client.post(f"/runs/{one['run_id']}/cancel", {})).status == 202
        body = {"decisions": [{"id": "call_2", "approved": True}]}
        assert (await client.post(f"/runs/{one['run_id']}/approvals", body)).status == 409
        assert (await client.post(f"/runs/{two['run_id']}/approvals", body)).status == 200
        messages = (await client.get(f"/sessions/{session}/messages")).json["messages"]
        assert roles(messages) == ["user", "assistant", *TURN[:3], *TURN]
        assert "cancelled" in messages[4]["results"][1]["content"]


async def test_calls_whose_run_died_behind_the_decision_are_told(monkeypatch):
    """The decision was taken, and nobody knows whether the call was made."""
    monkeypatch.setattr("fleetform_runtime.runs.sessions.CLAIM_SECONDS", 0.1)
    limits = {"runSeconds": 0.1}
    async with upstream(answers({"x": 1})) as server:
        async with serving(tools=tools(server.url), limits=limits) as client:
            answer = await paused(client)
            sessions = client.application.runs.sessions
            decisions = {"call_1": {"approved": True}}
            await sessions.begin("anonymous", answer["session_id"], decisions, answer["run_id"])
            late = await client.post(f"/runs/{answer['run_id']}/approvals", approve())
            assert (late.status, late.json["code"]) == (409, "approval_used")
            await asyncio.sleep(0.25)
            await client.chat("on", session_id=answer["session_id"])
            path = f"/sessions/{answer['session_id']}/messages"
            messages = (await client.get(path)).json["messages"]
    assert roles(messages) == [*TURN[:3], "user", "assistant"]
    assert "may have been made" in messages[2]["results"][0]["content"]


async def test_a_decision_that_could_not_be_carried_out_can_be_taken_again(monkeypatch):
    async with upstream(answers({"x": 1})) as server, serving(tools=tools(server.url)) as client:
        answer = await paused(client)
        registry = client.application.runs.registry
        put = registry.put

        async def fail(run, seconds=0.0):
            monkeypatch.setattr(registry, "put", put)
            raise StoreError("away")

        monkeypatch.setattr(registry, "put", fail)
        path = f"/runs/{answer['run_id']}/approvals"
        assert (await client.post(path, approve())).status == 503
        assert server.requests == []
        assert (await client.post(path, approve())).status == 200


async def test_nobody_answered_in_time():
    limits = {"approvalSeconds": 0.1}
    async with serving(tools=tools("http://127.0.0.1:1"), limits=limits) as client:
        answer = await paused(client)
        await asyncio.sleep(0.15)
        late = await client.post(f"/runs/{answer['run_id']}/approvals", approve())
        assert late.status in (404, 409)
        again = await client.chat("hello", session_id=answer["session_id"])
        assert again["output"] == "You said: hello (turn 2)"
        session = answer["session_id"]
        messages = (await client.get(f"/sessions/{session}/messages")).json["messages"]
        assert messages[2]["results"][0]["content"] == "Nobody answered in time."


@pytest.mark.parametrize("backend", ["filesystem", "redis", "postgres"])
async def test_a_restart_between_question_and_answer_changes_nothing(backend, request, tmp_path):
    section = memory(backend, request, tmp_path)
    async with upstream(answers({"paid": True})) as server:
        changes = {"tools": tools(server.url), "memory": section}
        async with serving(**changes) as client:
            answer = await paused(client)
        async with serving(**changes) as client:
            assert (await client.get(f"/runs/{answer['run_id']}")).json["status"] == "waiting"
            done = await client.post(f"/runs/{answer['run_id']}/approvals", approve())
    assert done.json["output"] == 'pay: {"paid": true}'
    assert len(server.requests) == 1


@pytest.mark.parametrize("backend", ["redis", "postgres"])
async def test_two_people_on_two_replicas_decide_once(backend, request, tmp_path):
    section = memory(backend, request, tmp_path)
    async with upstream(answers({"paid": True})) as server:
        changes = {"tools": tools(server.url), "memory": section}
        async with serving(**changes) as one, serving(**changes) as two:
            answer = await paused(one)
            path = f"/runs/{answer['run_id']}/approvals"
            replies = await asyncio.gather(
                *(client.post(path, approve()) for client in (one, two) for _ in range(3))
            )
    assert sorted(reply.status for reply in replies) == [200] + [409] * 5
    assert len(server.requests) == 1


@pytest.mark.parametrize("backend", ["redis", "postgres"])
async def test_runs_are_followed_and_cancelled_from_another_replica(backend, request, tmp_path):
    section = memory(backend, request, tmp_path)
    async with serving(memory=section) as one, serving(memory=section) as two:
        reading = asyncio.create_task(one.events("/chat", {"message": "say 5 words"}))
        run = (await reading)[0].data["run_id"]
        assert await two.events(f"/runs/{run}/events", method="GET") == await reading
        rest = await two.events(f"/runs/{run}/events?after=3", method="GET")
        assert rest == (await reading)[3:]
        going = asyncio.create_task(one.events("/chat", {"message": "wait 3600"}))
        run = await live_run(one)
        following = asyncio.create_task(two.events(f"/runs/{run}/events", method="GET"))
        assert (await two.post(f"/runs/{run}/cancel", {})).status == 202
        assert (await going)[-1].data["code"] == "cancelled"
        assert (await following)[-1].data["code"] == "cancelled"
        assert (await two.get(f"/runs/{run}")).json["status"] == "cancelled"


async def test_a_follower_of_another_replica_is_told_when_the_store_goes(tmp_path):
    server = RedisServer()
    with server:
        section = {"type": "redis", "host": "127.0.0.1", "port": server.port}
        model = Gated()
        async with (
            serving(make=model, memory=section) as one,
            serving(memory=section) as two,
        ):
            going = asyncio.create_task(one.events("/chat", {"message": "x"}))
            run = await live_run(one)
            async with two.session.get(f"{two.url}/runs/{run}/events") as following:
                begun = await following.content.readuntil(b"\n\n")
                server.kill()
                last = parse((begun + await following.read()).decode())[-1]
            assert (last.type, last.data["code"]) == ("error", "memory_unavailable")
            model.gate.set()
            assert (await going)[-1].data["code"] == "memory_unavailable"


async def test_no_run_is_given_up_because_the_store_was_away(monkeypatch):
    """Leases end while nobody can renew them; the end of a run is stored when it can be."""
    monkeypatch.setattr("fleetform_runtime.runs.registry.LEASE_SECONDS", 0.4)
    monkeypatch.setattr("fleetform_runtime.runs.registry.BEAT_SECONDS", 0.1)
    server, model = RedisServer(), Gated()
    with server:
        section = {"type": "redis", "host": "127.0.0.1", "port": server.port}
        async with serving(make=model, memory=section) as one, serving(memory=section) as two:
            going = asyncio.create_task(one.events("/chat", {"message": "x"}))
            run = await live_run(one)
            await until(lambda: two.application.runs.registry._beating)
            server.kill()
            await asyncio.sleep(1)
            server.start()
            await until(lambda: two.application.runs.registry._beating)
            for _ in range(10):
                assert (await two.get(f"/runs/{run}")).json["status"] == "running"
                await asyncio.sleep(0.05)
            server.kill()
            model.gate.set()
            assert (await going)[-1].data["code"] == "memory_unavailable"
            server.start()

            async def is_told() -> bool:
                answer = await two.get(f"/runs/{run}")
                return answer.status == 200 and answer.json["status"] == "failed"

            await until(is_told)
            assert (await two.get(f"/runs/{run}")).json["error"]["code"] == "memory_unavailable"


async def test_poisoned_calls_are_never_made(tmp_path, request):
    section = memory("redis", request, tmp_path)
    async with upstream(answers({})) as server:
        async with serving(tools=tools(server.url), memory=section) as client:
            answer = await paused(client)
            store = client.application.store.backend.client
            key = keys_of(section["keyPrefix"], "anonymous", answer["session_id"])[0]
            raw = await store._pool.redis.get(key)
            for old, new in ((b'"approval"', b'"free"'), (b'"expires":', b'"expires":"x","e":')):
                await store._pool.redis.set(key, raw.replace(old, new))
                reply = await client.post(f"/runs/{answer['run_id']}/approvals", approve())
                assert (reply.status, reply.json["code"]) == (409, "unreadable")
                assert (await client.get(f"/sessions/{answer['session_id']}")).status == 409
            await store._pool.redis.set(key, raw)
            assert (
                await client.post(f"/runs/{answer['run_id']}/approvals", approve())
            ).status == 200
        assert len(server.requests) == 1


async def test_poisoned_messages_are_told_and_kept(tmp_path, request):
    section = memory("filesystem", request, tmp_path)
    async with serving(memory=section) as client:
        session = (await client.chat("hello"))["session_id"]
        file = next(Path(section["path"]).glob("sessions/*/*.jsonl"))
        good = file.read_bytes()
        for poison in (
            b"{}\n",
            b'{"role":"system"}\n',
            b'["x"]\n',
            b"\xff\n",
            b'{"role":"tool","at":"","results":[{}]}\n',
        ):
            file.write_bytes(good + poison)
            reply = await client.post("/chat", {"message": "x", "session_id": session})
            assert (reply.status, reply.json["code"]) == (409, "unreadable")
            assert (await client.get(f"/sessions/{session}/messages")).status == 409
            assert file.read_bytes() == good + poison
        assert (await client.ask("DELETE", f"/sessions/{session}")).status == 204


async def test_runs_that_wait_are_listed_for_their_user_alone():
    tools = [{"type": "human", "name": "ask", "description": "Asks."}]
    told = Told(Assistant("", calls=[ToolCall("c1", "ask", "{}")]))
    async with serving(make=told, tools=tools) as client:
        first = await client.chat("one")
        second = await client.chat("two")
        listed = (await client.get("/runs?status=waiting")).json["runs"]
        refused = await client.get("/runs")
    assert {run["run_id"] for run in listed} == {first["run_id"], second["run_id"]}
    assert {run["title"] for run in listed} == {"one", "two"}
    assert listed[0]["calls"][0]["name"] == "ask"
    assert (refused.status, refused.json["code"]) == (400, "invalid_request")


async def test_whoever_approves_may_change_the_arguments():
    async with upstream(answers({"ok": 1})) as service:
        tools = [
            {
                "type": "api",
                "name": "pay",
                "description": "Pays.",
                "endpoint": service.url,
                "method": "POST",
                "requiresApproval": True,
                "parameters": [{"name": "amount", "type": "integer", "in": "body", "maximum": 100}],
            }
        ]
        calls = [ToolCall("c1", "pay", '{"amount": 99}')]
        told = Told(Assistant("", calls=calls), Assistant("done"))
        async with serving(make=told, tools=tools) as client:
            paused = await client.chat("pay")
            path = f"/runs/{paused['run_id']}/approvals"
            wrong = {"id": "c1", "approved": False, "arguments": {"amount": 5}}
            assert (await client.post(path, {"decisions": [wrong]})).status == 422
            edited = {"id": "c1", "approved": True, "arguments": {"amount": 5}}
            await client.post(path, {"decisions": [edited]})
    assert service.bodies == [{"amount": 5}]
    seen = told.asked[1].messages[-1].results[0].content
    assert seen.startswith('[a person changed the arguments to {"amount":5}]')


async def test_an_approval_is_not_used_up_while_its_server_is_away():
    listed = True

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if not listed:
            return web.Response(status=503)
        tool = {"name": "wipe", "inputSchema": {"type": "object"}}
        content = {"content": [{"type": "text", "text": "wiped"}]}
        found = {"tools": [tool], "ttlMs": 1} if body["method"] == "tools/list" else content
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": found})

    async with upstream(handler) as server:
        servers = [
            {
                "name": "s",
                "transport": "streamable-http",
                "url": server.url,
                "requiresApproval": True,
            }
        ]
        told = Told(Assistant("", calls=[ToolCall("c1", "wipe", "{}")]), Assistant("done"))
        async with serving(make=told, mcpServers=servers) as client:
            paused = await client.chat("wipe")
            path = f"/runs/{paused['run_id']}/approvals"
            approve = {"decisions": [{"id": "c1", "approved": True}]}
            held = client.application.tools.servers._servers[0]
            kept, held._tools, listed = held._tools, [], False
            held._until = held._tried = float("-inf")
            refused = await client.post(path, approve)
            held._tools, listed = kept, True
            answer = await client.post(path, approve)
    assert (refused.status, refused.json["code"]) == (503, "not_ready")
    assert answer.json["tool_calls"][0]["content"] == "wiped"


def asking(questions: list[dict[str, Any]], heard: list[Any]):
    """Play a server of protocol 2026-07-28 that asks a person before it answers."""

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if body["method"] == "tools/list":
            result: dict[str, Any] = {
                "tools": [{"name": "book", "inputSchema": {"type": "object"}}]
            }
        else:
            heard.append({n: body["params"].get(n) for n in ("inputResponses", "requestState")})
            done = {"content": [{"type": "text", "text": "booked"}]}
            result = questions[len(heard) - 1] if len(heard) <= len(questions) else done
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": result})

    return handler


def question(state: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"seat": {"type": "integer"}}, "required": ["seat"]}
    params = {"mode": "form", "message": "Which seat?", "requestedSchema": schema}
    asked = {"q1": {"method": "elicitation/create", "params": params}}
    return {"resultType": "input_required", "inputRequests": asked, "requestState": state}


@pytest.mark.parametrize("backend", BACKENDS)
async def test_what_a_server_asks_in_a_call_becomes_a_question(backend, request, tmp_path):
    heard: list[Any] = []
    async with upstream(asking([question("s1"), question("s2")], heard)) as server:
        servers = [{"name": "s", "transport": "streamable-http", "url": server.url}]
        told = Told(Assistant("", calls=[ToolCall("c1", "book", "{}")]), Assistant("done"))
        store = memory(backend, request, tmp_path)
        async with serving(make=told, mcpServers=servers, memory=store) as client:
            paused = await client.chat("book")
            (call,) = paused["pending"]["calls"]
            assert (call["type"], call["asks"]["message"]) == ("question", "Which seat?")
            assert "s1" not in str(paused)
            path = f"/runs/{paused['run_id']}/approvals"
            wrong = await client.post(path, {"decisions": [{"id": "c1", "answer": {"seat": "x"}}]})
            assert wrong.status == 422
            again = (
                await client.post(path, {"decisions": [{"id": "c1", "answer": {"seat": 4}}]})
            ).json
            assert again["finish_reason"] == "approval_required"
            path = f"/runs/{again['run_id']}/approvals"
            answer = (
                await client.post(path, {"decisions": [{"id": "c1", "answer": {"seat": 5}}]})
            ).json
    assert answer["output"] == "done"
    assert [call["content"] for call in answer["tool_calls"]] == ["booked"]
    accepted = [{"q1": {"action": "accept", "content": {"seat": n}}} for n in (4, 5)]
    assert heard == [
        {"inputResponses": None, "requestState": None},
        {"inputResponses": accepted[0], "requestState": "s1"},
        {"inputResponses": accepted[1], "requestState": "s2"},
    ]


async def test_who_cannot_be_asked_is_a_result():
    async with upstream(asking([question("s1")], [])) as server:
        servers = [{"name": "s", "transport": "streamable-http", "url": server.url}]
        told = Told(Assistant("", calls=[ToolCall("c1", "book", "{}")]), Assistant("done"))
        async with serving(make=told, mcpServers=servers) as client:
            body = {"model": "gpt", "messages": [{"role": "user", "content": "x"}]}
            answer = (await client.post("/v1/chat/completions", body)).json
    assert answer["choices"][0]["message"]["content"] == "done"
    assert "asks a person" in told.asked[1].messages[-1].results[0].content
