"""What servers of older protocols ask in the middle of a call: a person answers, however long that takes."""

import json
from typing import Any

import pytest

from fleetform_runtime.messages import Assistant, ToolCall
from fleetform_runtime.tools.mcp.questions import Questions, reply
from runtime.tests.harness import Told, serving, until
from runtime.tests.test_approvals import BACKENDS, memory
from runtime.tests.test_mcp import McpProcess, stdio

pytestmark = pytest.mark.anyio
ELDERS = ("legacy", "sse")


def booking(*calls: str) -> Told:
    """Return a model that books, once or several times at once, and is done."""
    wanted = [ToolCall(name, "book", "{}") for name in calls or ("c1",)]
    return Told(Assistant("", calls=wanted), Assistant("done"))


async def answered(client: Any, paused: dict[str, Any], **decision: Any) -> dict[str, Any]:
    """Decide about the one call that waits."""
    (call,) = paused["pending"]["calls"]
    path = f"/runs/{paused['run_id']}/approvals"
    found = await client.post(path, {"decisions": [{"id": call["id"], **decision}]})
    assert found.status == 200, found.json
    return found.json


async def booked(client: Any) -> None:
    """Book, with two questions on the way."""
    paused = await client.chat("book")
    (call,) = paused["pending"]["calls"]
    assert (call["type"], call["asks"]["message"]) == ("question", "Which seat?")
    assert call["asks"]["schema"]["properties"]["seat"]["type"] == "integer"
    again = await answered(client, paused, answer={"seat": 4})
    (call,) = again["pending"]["calls"]
    assert call["asks"]["message"] == "Which meal at seat 4?"
    done = await answered(client, again, answer={"meal": "soup"})
    assert [call["content"] for call in done["tool_calls"]] == ["booked 4 with soup"]
    assert done["output"] == "done"


@pytest.mark.parametrize("kind", ELDERS)
async def test_a_server_of_older_protocols_asks_a_person(kind):
    with McpProcess(kind) as server:
        async with serving(make=booking(), mcpServers=[server.section()]) as client:
            await booked(client)


async def test_a_child_process_asks_a_person():
    async with serving(make=booking(), mcpServers=[stdio()]) as client:
        await until(lambda: client.application.tools.servers.unreachable() == [])
        await booked(client)


@pytest.mark.parametrize("backend", BACKENDS)
async def test_the_answer_outlives_both_the_server_and_the_agent(backend, request, tmp_path):
    store = memory(backend, request, tmp_path)
    with McpProcess("legacy") as server:
        section = server.section()
        async with serving(make=booking(), mcpServers=[section], memory=store) as client:
            paused = await client.chat("book")
            again = await answered(client, paused, answer={"seat": 4})
            server.kill()
            server.start()
            if backend == "in-memory":
                done = await answered(client, again, answer={"meal": "soup"})
        if backend != "in-memory":
            told = Told(Assistant("done"))
            async with serving(make=told, mcpServers=[section], memory=store) as client:
                done = await answered(client, again, answer={"meal": "soup"})
    assert [call["content"] for call in done["tool_calls"]] == ["booked 4 with soup"]


async def test_a_refusal_reaches_the_model_and_nothing_is_called_again():
    told = booking()
    with McpProcess("legacy") as server:
        async with serving(make=told, mcpServers=[server.section()]) as client:
            paused = await client.chat("book")
            done = await answered(client, paused, approved=False, reason="too dear")
    assert done["output"] == "done"
    assert told.asked[1].messages[-1].results[0].content == "too dear"


async def test_who_cannot_be_asked_is_told_so():
    told = booking()
    with McpProcess("legacy") as server:
        async with serving(make=told, mcpServers=[server.section()]) as client:
            body = {"model": "gpt", "messages": [{"role": "user", "content": "x"}]}
            answer = (await client.post("/v1/chat/completions", body)).json
    assert answer["choices"][0]["message"]["content"] == "done"
    assert "asks a person" in told.asked[1].messages[-1].results[0].content


async def test_calls_at_once_over_http_ask_for_themselves():
    with McpProcess("legacy") as server:
        async with serving(make=booking("c1", "c2"), mcpServers=[server.section()]) as client:
            paused = await client.chat("book")
            assert [call["id"] for call in paused["pending"]["calls"]] == ["c1", "c2"]


async def test_calls_at_once_over_one_channel_are_cancelled_rather_than_confused():
    told = booking("c1", "c2")
    async with serving(make=told, mcpServers=[stdio()]) as client:
        await until(lambda: client.application.tools.servers.unreachable() == [])
        answer = await client.chat("book")
        while answer["finish_reason"] == "approval_required":
            # The last one that waits can be asked.
            answer = await answered(client, answer, approved=False)
    contents = [item.content for item in told.asked[1].messages[-1].results]
    assert "nothing was booked" in contents


def form(message: str = "Which?", **params: Any) -> dict[str, Any]:
    """Return a request for a form."""
    asked = {"message": message, "requestedSchema": {"type": "object"}, **params}
    return {"jsonrpc": "2.0", "id": 7, "method": "elicitation/create", "params": asked}


def said(found: dict[str, Any], asking: Questions | None) -> dict[str, Any]:
    answer = reply(found, asking)
    assert answer is not None
    body: dict[str, Any] = json.loads(answer)
    assert (body.pop("jsonrpc"), body.pop("id")) == ("2.0", found["id"])
    return body


def test_of_several_forms_one_is_asked_at_a_time():
    first = Questions({"name": "book", "arguments": {}})
    assert [said(form(text), first)["result"] for text in "ab"] == [{"action": "cancel"}] * 2
    asked = first.asked()
    ((key, one),) = asked["inputRequests"].items()
    assert one["params"]["message"] == "a"
    filled = {"inputResponses": {key: {"action": "accept", "content": {"x": 1}}}}
    second = Questions({"name": "book", "arguments": {}, **filled})
    assert second.params == {"name": "book", "arguments": {}}
    assert said(form("a"), second)["result"] == filled["inputResponses"][key]
    assert not second.is_open
    assert said(form("b"), second)["result"] == {"action": "cancel"}
    ((later, _),) = second.asked()["inputRequests"].items()
    third = Questions(
        {
            "requestState": second.asked()["requestState"],
            "inputResponses": {later: {"action": "accept"}},
        }
    )
    assert [said(form(text), third)["result"]["action"] for text in "ab"] == ["accept"] * 2


@pytest.mark.parametrize(
    ("found", "body"),
    [
        ({"id": 1, "method": "ping"}, {"result": {}}),
        ({"id": "x", "method": "roots/list"}, {"error": {"code": -32601}}),
        (form(mode="url"), {"error": {"code": -32602}}),
        ({"id": 1, "method": "elicitation/create"}, {"error": {"code": -32602}}),
        ({"id": 1, "method": "elicitation/create", "params": []}, {"error": {"code": -32602}}),
    ],
)
@pytest.mark.parametrize("asking", [None, Questions({})])
def test_other_requests_get_an_answer_too(found, body, asking):
    answer = said(found, asking)
    answer.get("error", {}).pop("message", None)
    assert answer == body


def test_a_form_that_belongs_to_no_call_is_cancelled():
    assert said(form(), None) == {"result": {"action": "cancel"}}
    assert reply({"method": "notifications/message"}, None) is None


@pytest.mark.parametrize("state", [None, 7, "", "no json", "[1]", "[" * 5_000])
def test_a_state_that_is_not_ours_is_passed_over(state):
    asking = Questions({"requestState": state, "inputResponses": "none"})
    assert said(form(), asking)["result"] == {"action": "cancel"}
    assert "requestState" not in asking.asked()
