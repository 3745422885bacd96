"""Agents as tools: what the agent that was called waits for reaches the caller's person, and the decision goes back."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from fleetform_runtime.a2a.answers import Seen
from fleetform_runtime.a2a.waiting import waits_of
from fleetform_runtime.tools import DecisionNeededError
from runtime.tests.harness import Client, serving, until
from runtime.tests.stores import SHARED, memory
from runtime.tests.test_access import AUTH, KEYS, as_
from runtime.tests.test_approvals import approve, tools
from runtime.tests.upstreams import answers, upstream

pytestmark = pytest.mark.anyio
PAY = 'call pay {"sum": 5}'
CALLS_B = "call b " + json.dumps({"message": PAY})


def peer(client: Client, name: str = "b", **fields: Any) -> dict[str, Any]:
    return {"type": "agent", "name": name, "description": "Asks.", "url": client.url, **fields}


async def waiting(client: Client, **options: Any) -> list[Any]:
    return (await client.get("/runs?status=waiting", **options)).json["runs"]


def decided(item: dict[str, Any], **fields: Any) -> dict[str, Any]:
    one = {"id": item["id"], "digest": item["digest"]}
    return {"decisions": [one | (fields or {"approved": True})]}


async def test_a_callers_person_decides_for_the_agent_that_it_called():
    async with (
        upstream(answers({"paid": True})) as server,
        serving(tools=tools(server.url)) as b,
        serving(tools=[peer(b)]) as a,
    ):
        first = await a.chat(CALLS_B)
        (item,) = first["pending"]["calls"]
        shown = {name: item[name] for name in ("id", "type", "agent", "name", "args")}
        assert shown == {
            "id": "call_1/call_1", "type": "approval", "agent": "b", "name": "pay", "args": {"sum": 5},
        }  # fmt: skip
        assert len(await waiting(b)) == len(await waiting(a)) == 1
        path = f"/runs/{first['run_id']}/approvals"
        for wrong in (approve(), decided(item, approved=None), decided(item | {"digest": "0"})):
            assert (await a.post(path, wrong)).status == 422
        assert server.requests == []
        done = (await a.post(path, decided(item, approved=True, arguments={"sum": 3}))).json
        assert done["finish_reason"] == "stop"
        assert "[a person changed the arguments" in done["output"]
        again = await a.post(path, decided(item))
        assert (again.status, again.json["code"]) == (409, "approval_used")
        assert await waiting(b) == await waiting(a) == []
    assert [request["json"] for request in server.requests] == [{"sum": 3}]


async def test_a_refusal_and_an_answer_go_back_too():
    async with (
        upstream(answers({})) as server,
        serving(tools=tools(server.url)) as b,
        serving(tools=[peer(b)]) as a,
    ):
        first = await a.chat(CALLS_B)
        (item,) = first["pending"]["calls"]
        body = decided(item, approved=False, reason="too dear")
        done = (await a.post(f"/runs/{first['run_id']}/approvals", body)).json
        assert "too dear" in done["output"]
        asked = await a.chat("call b " + json.dumps({"message": "call pick {}"}))
        (item,) = asked["pending"]["calls"]
        assert item["type"] == "question"
        path = f"/runs/{asked['run_id']}/approvals"
        wrong = (await a.post(path, decided(item, answer={"n": "x"}))).json
        # What the other agent does not take uses nothing up: it is asked again, with the reason.
        assert wrong["finish_reason"] == "approval_required"
        assert "n" in wrong["pending"]["problem"]
        done = await a.post(f"/runs/{wrong['run_id']}/approvals", decided(item, answer={"n": 4}))
        assert '{"n":4}' in done.json["output"].replace('\\"', '"').replace(" ", "")
        assert await waiting(b) == []
    assert server.requests == []


async def test_through_three_agents():
    async with (
        upstream(answers({"paid": True})) as server,
        serving(tools=tools(server.url)) as c,
        serving(tools=[peer(c, "c")]) as b,
        serving(tools=[peer(b)]) as a,
    ):
        inner = "call c " + json.dumps({"message": PAY})
        first = await a.chat("call b " + json.dumps({"message": inner}))
        (item,) = first["pending"]["calls"]
        assert (item["agent"], item["id"]) == ("b/c", "call_1/call_1/call_1")
        done = (await a.post(f"/runs/{first['run_id']}/approvals", decided(item))).json
        assert "paid" in done["output"]
        for client in (a, b, c):
            assert await waiting(client) == []
    assert len(server.requests) == 1


@pytest.mark.parametrize("backend", ["filesystem", "redis"])
async def test_the_decision_outlives_both(backend, request, tmp_path):
    async with upstream(answers({"paid": True})) as server:
        store = memory(backend, request, tmp_path)
        other = {"type": "filesystem", "path": str(tmp_path / "b")}
        async with serving(tools=tools(server.url), memory=other) as b:
            async with serving(tools=[peer(b)], memory=store) as a:
                first = await a.chat(CALLS_B)
        async with (
            serving(tools=tools(server.url), memory=other) as b,
            serving(tools=[peer(b)], memory=store) as a,
        ):
            (item,) = (await waiting(a))[0]["calls"]
            done = (await a.post(f"/runs/{first['run_id']}/approvals", decided(item))).json
            assert "paid" in done["output"]
    assert len(server.requests) == 1


async def test_the_approvers_of_the_agent_that_was_called_still_decide():
    approvals = {"approvers": {"keys": ["bob"]}}
    auth = {"type": "bearer", "token": {"env": "ANN"}}
    async with (
        upstream(answers({"paid": True})) as server,
        serving(tools=tools(server.url), auth=AUTH, environment=KEYS, approvals=approvals) as b,
        serving(tools=[peer(b, auth=auth)], environment=KEYS) as a,
    ):
        first = await a.chat(CALLS_B)
        (item,) = first["pending"]["calls"]
        again = (await a.post(f"/runs/{first['run_id']}/approvals", decided(item))).json
        assert again["finish_reason"] == "approval_required"
        assert "its own approvers decide" in again["pending"]["problem"]
        assert server.requests == []
        (there,) = await waiting(b, headers=as_("BOB"))
        assert there["asked_by"] == "ann"
        path = f"/runs/{there['run_id']}/approvals"
        assert (await b.post(path, approve(), headers=as_("BOB"))).status == 202
        done = (await a.post(f"/runs/{again['run_id']}/approvals", decided(item))).json
        assert "paid" in done["output"]
        # To refuse withdraws it there: whoever asked may.
        other = await a.chat(CALLS_B)
        (item,) = other["pending"]["calls"]
        body = decided(item, approved=False, reason="not today")
        done = (await a.post(f"/runs/{other['run_id']}/approvals", body)).json
        assert "not today" in done["output"]
        assert await waiting(b, headers=as_("BOB")) == []
    assert len(server.requests) == 1


async def test_what_is_withdrawn_here_is_withdrawn_there():
    async with (
        upstream(answers({})) as server,
        serving(tools=tools(server.url)) as b,
        serving(tools=[peer(b)]) as a,
    ):
        first = await a.chat(CALLS_B)
        assert len(await waiting(b)) == 1
        assert (await a.post(f"/runs/{first['run_id']}/cancel", None)).status == 202
        assert await waiting(b) == []
        second = await a.chat(f"{CALLS_B}\n{CALLS_B}")
        assert len(await waiting(b)) == 2
        assert (await a.ask("DELETE", f"/sessions/{second['session_id']}")).status == 204
        assert await waiting(b) == []
        # Nobody can be asked: nothing is left waiting.
        body = {"model": "gpt", "messages": [{"role": "user", "content": CALLS_B}]}
        answer = (await a.post("/v1/chat/completions", body)).json
        assert "not available here" in answer["choices"][0]["message"]["content"]
        assert await waiting(b) == []
    assert server.requests == []


async def test_a_decision_whose_answer_was_lost_is_found_again():
    """The connection breaks, or the caller is impatient: what was decided is not decided again."""
    gate = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        await gate.wait()
        return web.json_response({"paid": True})

    async with (
        upstream(slow) as server,
        serving(tools=tools(server.url)) as b,
        serving(tools=[peer(b, timeoutSeconds=0.3)]) as a,
    ):
        first = await a.chat(CALLS_B)
        (item,) = first["pending"]["calls"]
        late = (await a.post(f"/runs/{first['run_id']}/approvals", decided(item))).json
        assert late["finish_reason"] == "approval_required"
        assert "still at work" in late["pending"]["problem"]
        gate.set()
        await until(lambda: not b.application.runs.registry.running)
        # What is said now changes nothing: it was decided.
        body = decided(item, approved=False)
        done = (await a.post(f"/runs/{late['run_id']}/approvals", body)).json
        assert "paid" in done["output"]
    assert len(server.requests) == 1


async def test_an_agent_that_is_away_uses_nothing_up(tmp_path):
    store = {"type": "filesystem", "path": str(tmp_path / "a")}
    other = {"type": "filesystem", "path": str(tmp_path / "b")}
    async with upstream(answers({"paid": True})) as server:
        async with serving(tools=tools(server.url), memory=other) as b:
            address = b.url
            async with serving(tools=[peer(b)], memory=store) as a:
                first = await a.chat(CALLS_B)
        away = {"type": "agent", "name": "b", "description": "Asks.", "url": address}
        async with serving(tools=[away], memory=store) as a:
            (item,) = first["pending"]["calls"]
            again = (await a.post(f"/runs/{first['run_id']}/approvals", decided(item))).json
            assert again["finish_reason"] == "approval_required"
            assert "cannot be reached" in again["pending"]["problem"]
        async with (
            serving(tools=tools(server.url), memory=other) as b,
            serving(tools=[peer(b)], memory=store) as a,
        ):
            done = (await a.post(f"/runs/{again['run_id']}/approvals", decided(item))).json
            assert "paid" in done["output"]
    assert len(server.requests) == 1


async def test_a_run_that_is_gone_is_a_result():
    async with upstream(answers({})) as server, serving(tools=tools(server.url)) as b:
        async with serving(tools=[peer(b)]) as a:
            first = await a.chat(CALLS_B)
            (item,) = first["pending"]["calls"]
            (there,) = await waiting(b)
            await b.post(f"/runs/{there['run_id']}/cancel", None)
            done = (await a.post(f"/runs/{first['run_id']}/approvals", decided(item))).json
            assert "was cancelled" in done["output"]
    assert server.requests == []


async def test_what_expires_here_is_withdrawn_there():
    async with (
        upstream(answers({})) as server,
        serving(tools=tools(server.url)) as b,
        serving(tools=[peer(b)], limits={"approvalSeconds": 0.05}) as a,
    ):
        first = await a.chat(CALLS_B)
        await asyncio.sleep(0.06)
        (item,) = first["pending"]["calls"]
        late = await a.post(f"/runs/{first['run_id']}/approvals", decided(item))
        assert late.status in (404, 409)
        assert await a.application.runs.expire() == 1
        assert await waiting(b) == []


async def test_nothing_waits_here_longer_than_there():
    async with (
        upstream(answers({})) as server,
        serving(tools=tools(server.url), limits={"approvalSeconds": 100}) as b,
        serving(tools=[peer(b)]) as a,
    ):
        first = await a.chat(CALLS_B)
        (there,) = await waiting(b)
        assert first["pending"]["expires_at"] == there["expires_at"]


CALL = {"id": "c", "type": "approval", "name": "n", "digest": "d", "args": {}}


@pytest.mark.parametrize(
    "pending",
    [
        {}, {"run_id": "r"}, {"run_id": "r", "calls": []}, {"run_id": "r", "calls": 5},
        {"run_id": "r", "calls": [5]},
        {"run_id": "r", "calls": [CALL | {"type": "other"}]}, {"run_id": "r", "calls": [CALL | {"id": 5}]},
        {"run_id": "r", "calls": [CALL, CALL]}, {"run_id": "r", "calls": [CALL] * 65},
        {"run_id": "r", "calls": [CALL | {"args": "x" * 300_000}]},
        {"run_id": "r", "calls": [{**CALL, "agent": 5}]}, {"run_id": "r", "calls": [CALL | {"asks": {"message": 5}}]},
        {"run_id": "r", "calls": [CALL | {"id": "c" * 3000}]},
        {"run_id": "r", "calls": [CALL | {"args": json.loads("[" * 250 + "]" * 250)}]},
    ],
)  # fmt: skip
async def test_what_cannot_be_shown_is_not_waited_for(pending):
    cancelled = []
    part = {"data": {"pending": pending}}
    status = {"state": "TASK_STATE_INPUT_REQUIRED", "message": {"parts": [part]}}
    task = {"id": "t", "contextId": "c", "status": status}

    async def other(request: web.Request) -> web.Response:
        body = await request.json()
        if body["method"] == "CancelTask":
            cancelled.append(body["params"]["id"])
        return web.json_response({"jsonrpc": "2.0", "id": 1, "result": {"task": task}})

    seen = Seen()
    seen.take({"task": task})
    with pytest.raises(ValueError, match=r"does not say|too large"):
        waits_of(seen)
    async with upstream(other) as server:
        url = {"type": "agent", "name": "b", "description": "Asks.", "url": server.url}
        async with serving(tools=[url]) as a:
            answer = await a.chat(CALLS_B)
    assert "waits for people" in answer["output"]
    assert cancelled == ["t"]


@pytest.mark.parametrize("expires", [None, 5, "x", "9999-99-99", "-1"])
def test_an_odd_expiry_is_none(expires):
    pending = {"run_id": "r", "calls": [CALL], "expires_at": expires}
    status = {
        "state": "TASK_STATE_INPUT_REQUIRED",
        "message": {"parts": [{"data": {"pending": pending}}]},
    }
    seen = Seen()
    seen.take({"task": {"id": "t", "status": status}})
    found = waits_of(seen)
    assert "expires" not in found
    assert DecisionNeededError(found).waits is found


async def test_the_callers_own_approvers_decide_for_the_agent_that_was_called():
    approvals = {"approvers": {"keys": ["bob"]}}
    async with (
        upstream(answers({"paid": True})) as server,
        serving(tools=tools(server.url)) as b,
        serving(tools=[peer(b)], auth=AUTH, environment=KEYS, approvals=approvals) as a,
    ):
        body = {"message": CALLS_B}
        first = (await a.post("/chat", body, headers=as_("ANN"))).json
        (item,) = first["pending"]["calls"]
        path = f"/runs/{first['run_id']}/approvals"
        assert (await a.post(path, decided(item), headers=as_("ANN"))).status == 403
        assert server.requests == []
        (seen,) = await waiting(a, headers=as_("BOB"))
        assert (seen["asked_by"], seen["calls"][0]["agent"]) == ("ann", "b")
        reply = await a.post(path, decided(item), headers=as_("BOB"))
        assert reply.status == 202
        await until(lambda: not a.application.runs.registry.running)
        run = reply.json["decision"]["run_id"]
        last = (await a.get(f"/runs/{run}", headers=as_("ANN"))).json
        assert "paid" in last["output"]
    assert len(server.requests) == 1


async def test_a_call_that_needs_approval_here_and_there_is_approved_twice():
    async with (
        upstream(answers({"paid": True})) as server,
        serving(tools=tools(server.url)) as b,
        serving(tools=[peer(b, requiresApproval=True), *tools(server.url)]) as a,
    ):
        first = await a.chat(f'{CALLS_B}\ncall pay {{"sum": 1}}')
        assert [item["id"] for item in first["pending"]["calls"]] == ["call_1", "call_2"]
        both = [{"id": item["id"], "approved": True} for item in first["pending"]["calls"]]
        second = (await a.post(f"/runs/{first['run_id']}/approvals", {"decisions": both})).json
        (item,) = second["pending"]["calls"]
        assert (item["id"], item["agent"]) == ("call_1/call_1", "b")
        assert [request["json"] for request in server.requests] == [{"sum": 1}]
        done = (await a.post(f"/runs/{second['run_id']}/approvals", decided(item))).json
        assert done["finish_reason"] == "stop"
    assert [request["json"] for request in server.requests] == [{"sum": 1}, {"sum": 5}]


@pytest.mark.parametrize("backend", SHARED)
async def test_on_two_replicas_of_both_a_decision_is_passed_on_once(backend, request, tmp_path):
    (tmp_path / "a").mkdir()
    store, other = memory(backend, request, tmp_path / "a"), memory(backend, request, tmp_path)
    async with (
        upstream(answers({"paid": True})) as server,
        serving(tools=tools(server.url), memory=other) as b,
        serving(tools=[peer(b)], memory=store) as one,
        serving(tools=[peer(b)], memory=store) as two,
    ):
        first = await one.chat(CALLS_B)
        (item,) = first["pending"]["calls"]
        path = f"/runs/{first['run_id']}/approvals"
        replies = await asyncio.gather(
            *(client.post(path, decided(item)) for client in (one, two) for _ in range(3))
        )
        assert sorted(reply.status for reply in replies) == [200] + [409] * 5
    assert len(server.requests) == 1
