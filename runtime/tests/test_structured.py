"""Answers match the schema of the specification or the request, or the caller is told that they do not."""

from typing import Any

import pytest
from aiohttp import web

from fleetform_runtime.messages import Assistant, ToolCall, User
from fleetform_runtime.models.build import build
from fleetform_runtime.runs.structured import MismatchError, bare, wanted
from runtime.tests.harness import Told, serving
from runtime.tests.upstreams import answers, completion, upstream

pytestmark = pytest.mark.anyio
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
GOOD = '{"city": "Oslo", "people": 700000}'
VALUE = {"city": "Oslo", "people": 700000}
ASK = {"message": "x", "output_schema": SCHEMA}


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```",
        f"Here it is:\n{GOOD}\nAnything else?",
        f"  {GOOD}\n",
    ],
)
async def test_an_answer_is_the_value_whatever_is_around_it(text):
    async with serving(make=Told(Assistant(text))) as client:
        answer = (await client.post("/chat", ASK)).json
    assert answer["data"] == VALUE
    assert answer["output"] == '{"city":"Oslo","people":700000}'


async def test_an_answer_that_does_not_match_is_asked_for_again_and_forgotten():
    told = Told(Assistant('{"city": "Oslo"}'), Assistant("no"), Assistant(GOOD), Assistant("next"))
    async with serving(make=told) as client:
        answer = (await client.post("/chat", ASK)).json
        session = answer["session_id"]
        await client.chat("and then?", session_id=session)
        shown = (await client.get(f"/sessions/{session}/messages")).json["messages"]
    assert answer["data"] == VALUE
    said = [m.text() for m in told.asked[2].messages if isinstance(m, User)]
    assert '"people" is a required property' in said[1]
    assert "not JSON" in said[2]
    assert [message["role"] for message in shown] == ["user", "assistant", "user", "assistant"]
    assert "JSON Schema" in told.asked[0].system
    assert "JSON Schema" not in told.asked[3].system


async def test_who_never_answers_right_ends_with_the_reason():
    told = Told(Assistant("no"))
    async with serving(make=told, output={"schema": SCHEMA, "repairs": 1}) as client:
        answer = await client.post("/chat", {"message": "x"})
    assert (answer.status, answer.json["code"]) == (422, "output_invalid")
    assert len(told.asked) == 2


async def test_a_stream_tells_only_what_matches():
    told = Told(Assistant("no"), Assistant(GOOD))
    async with serving(make=told) as client:
        events = await client.events("/chat", {**ASK, "stream": True})
    tokens = [event.data["content"] for event in events if event.type == "token"]
    assert tokens == ['{"city":"Oslo","people":700000}']
    assert events[-1].data["data"] == VALUE


async def test_tools_are_called_before_the_answer():
    tools = [{"type": "human", "name": "ask", "description": "Asks."}]
    told = Told(Assistant("", calls=[ToolCall("c1", "ask", "{}")]), Assistant(GOOD))
    async with serving(make=told, tools=tools) as client:
        paused = (await client.post("/chat", ASK)).json
        decisions = {"decisions": [{"id": "c1", "answer": "Oslo"}]}
        answer = (await client.post(f"/runs/{paused['run_id']}/approvals", decisions)).json
    assert "data" not in paused
    assert answer["data"] == VALUE


async def test_a_provider_is_told_the_schema_and_one_that_refuses_it_is_asked_without():
    async def refusing(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if "response_format" in body:
            error = {"message": "response_format is not supported with tools"}
            return web.json_response({"error": error}, status=400)
        return web.json_response(completion(GOOD))

    for handler, count in ((answers(completion(GOOD)), 1), (refusing, 2)):
        async with upstream(handler) as server:
            model = {"provider": "openai-compatible", "name": "m", "endpoint": server.url}
            async with serving(make=build, model=model) as client:
                assert (await client.post("/chat", ASK)).json["data"] == VALUE
        assert len(server.bodies) == count
        shape = server.bodies[0]["response_format"]["json_schema"]
        assert shape["schema"] == SCHEMA


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"$ref": "#"},
        {"description": "x" * 70_000},
        {"$ref": "https://example.org/x.json"},
        {"properties": {"a": {"pattern": "("}}},
        {"patternProperties": {"((a{100}){100}){100}": {}}},
    ],
)
async def test_schemas_that_nothing_can_be_compared_with_are_refused(schema: Any):
    async with serving(make=Told(Assistant("{}"))) as client:
        answer = await client.post("/chat", {"message": "x", "output_schema": schema})
    assert (answer.status, answer.json["code"]) in ((422, "invalid_fields"),)
    assert "output_schema" in answer.json["detail"]


def test_values_of_every_type_are_found():
    assert wanted({"type": "array"}, 0).value("Sure: [1, 2]") == [1, 2]
    assert wanted({"type": "integer"}, 0).value("7") == 7
    assert wanted({"type": "string"}, 0).value('"x"') == "x"
    assert bare("no braces") == "no braces"


@pytest.mark.parametrize("text", ["99999999999999999999", '{"a": [-99999999999999999999]}'])
async def test_an_integer_that_cannot_be_handed_on_is_asked_for_again(text: str):
    with pytest.raises(MismatchError, match="64 bits"):
        wanted({}, 1).value(text)
    told = Told(Assistant(text), Assistant('{"a": "99999999999999999999"}'))
    async with serving(make=told) as client:
        answer = await client.post("/chat", {"message": "x", "output_schema": {}})
    assert (answer.status, answer.json["data"]) == (200, {"a": "99999999999999999999"})
