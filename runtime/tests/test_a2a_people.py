"""Approvals and questions over A2A: a task that waits for a person says so, and goes on as one decides."""

import asyncio
from typing import Any

import pytest

from fleetform_runtime.a2a.names import HITL
from runtime.tests.a2a_calls import answer, called, error, result, said, said_before, send, streamed
from runtime.tests.harness import serving
from runtime.tests.stores import SHARED, memory
from runtime.tests.test_approvals import tools
from runtime.tests.upstreams import answers, upstream

pytestmark = pytest.mark.anyio
PAY = 'call pay {"sum": 5}'
WAITING = "TASK_STATE_INPUT_REQUIRED"


def pending(task: dict[str, Any]) -> list[Any]:
    return task["status"]["message"]["parts"][1]["data"]["pending"]["calls"]


def by_data(task: dict[str, Any], name: str = "m2", **fields: Any) -> dict[str, Any]:
    (call,) = pending(task)
    decision = {"id": call["id"], "digest": call["digest"]} | (fields or {"approved": True})
    return said("", name, taskId=task["id"], parts=[{"data": {"decisions": [decision]}}])


def by_extension(task: dict[str, Any], payload: dict[str, Any], name: str = "m2") -> dict[str, Any]:
    metadata = {HITL: payload}
    return said("", name, taskId=task["id"], extensions=[HITL], metadata=metadata)


def request_of(task: dict[str, Any]) -> dict[str, Any]:
    message = task["status"]["message"]
    assert message["extensions"] == [HITL]
    return message["metadata"][HITL]


async def test_a_task_waits_for_a_person_and_goes_on_as_the_same_task():
    async with (
        upstream(answers({"paid": True})) as server,
        serving(tools=tools(server.url)) as client,
    ):
        task = await send(client, said(PAY))
        assert task["status"]["state"] == WAITING
        assert "pay" in task["status"]["message"]["parts"][0]["text"]
        assert server.requests == []
        assert await result(client, "GetTask", {"id": task["id"]}) == task
        busy = await error(
            client, "SendMessage", {"message": said("x", "m9", contextId=task["contextId"])}
        )
        assert busy["code"] == -32004
        for wrong in (said("yes", "m3", taskId=task["id"]), by_data(task, "m4", approved=None),
                      by_data(task, "m5", approved=True, digest="0"), by_data(task, "m6", other=4)):  # fmt: skip
            assert (await error(client, "SendMessage", {"message": wrong}))["code"] == -32602
        other = by_data(task, "m7") | {"contextId": "other"}
        assert (await error(client, "SendMessage", {"message": other}))["code"] == -32602
        done = await send(client, by_data(task))
        assert (done["id"], done["contextId"]) == (task["id"], task["contextId"])
        assert answer(done) == 'pay: {"paid": true}'
        assert await result(client, "GetTask", {"id": task["id"]}) == done
        # Either message sent again attaches to the same task.
        assert await send(client, by_data(task)) == done
        assert await send(client, said(PAY)) == done
        late = await error(client, "SendMessage", {"message": by_data(task, "m8")})
        assert late["code"] == -32004
        assert len(server.requests) == 1


async def test_the_extension_of_kagent_approves_and_refuses():
    async with (
        upstream(answers({"paid": True})) as server,
        serving(tools=tools(server.url)) as client,
    ):
        headers = {"A2A-Extensions": f"https://example.org/other, {HITL}"}
        reply = await called(client, "SendMessage", {"message": said(PAY)}, headers=headers)
        assert reply.headers["A2A-Extensions"] == HITL
        task = reply.json["result"]["task"]
        request = request_of(task)
        (tool,) = request["tools"]
        assert request["type"] == "tool_approval_request"
        assert (tool["name"], tool["args"], tool["call_id"]) == ("pay", {"sum": 5}, "call_1")
        kind = {"type": "tool_approval_response"}
        for wrong in ({}, {"approvals": []}, {"approvals": [{"id": "other", "approved": True}]},
                      {"approvals": [{"id": tool["id"], "approved": "yes"}]},
                      {"approvals": [{"id": tool["id"], "approved": True}] * 2}):  # fmt: skip
            message = by_extension(task, kind | wrong, "wrong" + str(len(str(wrong))))
            assert (await error(client, "SendMessage", {"message": message}))["code"] == -32602
        refusal = {"id": tool["id"], "approved": False, "rejection_reason": "too dear"}
        done = await send(client, by_extension(task, kind | {"approvals": [refusal]}))
        assert "too dear" in answer(done)
        task = await send(client, said(PAY, "n1"))
        (tool,) = request_of(task)["tools"]
        approval = {"approvals": [{"id": tool["id"], "approved": True}]}
        done = await send(client, by_extension(task, kind | approval, "n2"))
        assert "paid" in answer(done)
        assert len(server.requests) == 1


async def test_questions_are_answered_by_text_by_data_and_by_the_extension():
    async with upstream(answers({})) as server, serving(tools=tools(server.url)) as client:
        ask = 'call ask {"q": "Which city?"}'
        task = await send(client, said(ask))
        assert task["status"]["message"]["parts"][0]["text"] == "Which city?"
        assert answer(await send(client, said("Oslo", "m2", taskId=task["id"]))) == "ask: Oslo"
        task = await send(client, said(ask, "n1"))
        request = request_of(task)
        assert request["questions"] == [
            {"question": "Which city?", "choices": [], "multiple": False}
        ]
        reply = {
            "type": "ask_user_response",
            "id": request["id"],
            "answers": [{"answer": ["Rome"]}],
        }
        for wrong in (
            {"id": "other"},
            {"answers": []},
            {"answers": [{}]},
            {"answers": 4},
            {"type": "other"},
        ):
            message = by_extension(task, reply | wrong, "w" + str(len(str(wrong))))
            assert (await error(client, "SendMessage", {"message": message}))["code"] == -32602
        assert answer(await send(client, by_extension(task, reply, "n2"))) == "ask: Rome"
        task = await send(client, said("call pick {}", "o1"))
        wrong = await error(client, "SendMessage", {"message": said("x", "o2", taskId=task["id"])})
        assert wrong["code"] == -32602
        assert "pick" in answer(await send(client, by_data(task, "o3", answer={"n": 4})))
        task = await send(client, said("call pick {}", "p1"))
        assert "4" in answer(await send(client, said('{"n": 4}', "p2", taskId=task["id"])))


async def test_streams_end_where_a_person_is_needed_in_both_versions():
    async with (
        upstream(answers({"paid": True})) as server,
        serving(tools=tools(server.url)) as client,
    ):
        told = await streamed(client, "SendStreamingMessage", {"message": said(PAY)})
        last = told[-1]["result"]["statusUpdate"]
        assert last["status"]["state"] == WAITING
        task = {"id": last["taskId"], "status": last["status"]}
        told = await streamed(client, "SendStreamingMessage", {"message": by_data(task)})
        assert told[0]["result"]["task"]["id"] == task["id"]
        assert told[-1]["result"]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
        old = await streamed(client, "message/stream", {"message": said_before(PAY, "n1")})
        last = old[-1]["result"]
        assert (last["status"]["state"], last["final"]) == ("input-required", True)
        assert last["status"]["message"]["parts"][1]["kind"] == "data"
        cancelled = await result(client, "tasks/cancel", {"id": last["taskId"]})
        assert cancelled["status"]["state"] == "canceled"
        assert (await client.get("/runs?status=waiting")).json["runs"] == []


@pytest.mark.parametrize("backend", SHARED)
async def test_of_two_who_approve_on_two_replicas_one_wins(backend, request, tmp_path):
    section = memory(backend, request, tmp_path)
    async with (
        upstream(answers({"paid": True})) as server,
        serving(tools=tools(server.url), memory=section) as one,
        serving(tools=tools(server.url), memory=section) as other,
    ):
        task = await send(one, said(PAY))
        replies = await asyncio.gather(
            *(
                called(client, "SendMessage", {"message": by_data(task, f"d{n}")})
                for n, client in enumerate((one, other, one, other))
            )
        )
        won = [reply.json["result"]["task"] for reply in replies if "result" in reply.json]
        lost = [reply.json["error"]["code"] for reply in replies if "error" in reply.json]
        assert (len(won), lost) == (1, [-32004] * 3)
        assert len(server.requests) == 1
        for client in (one, other):
            assert await result(client, "GetTask", {"id": task["id"]}) == won[0]


async def test_a_decision_elsewhere_goes_on_with_the_task():
    async with (
        upstream(answers({"paid": True})) as server,
        serving(tools=tools(server.url)) as client,
    ):
        task = await send(client, said('call pay {"sum": 1}\ncall ask {"q": "Why?"}'))
        assert "extensions" not in task["status"]["message"]
        first, second = pending(task)
        body = {
            "decisions": [
                {"id": first["id"], "approved": True},
                {"id": second["id"], "answer": "so"},
            ]
        }
        await client.post(f"/runs/{task['id']}/approvals", body)
        done = await result(client, "GetTask", {"id": task["id"]})
        assert done["status"]["state"] == "TASK_STATE_COMPLETED"
        assert "so" in answer(done)
