"""Clients of the Responses API use an agent as a model, whole and streamed, tools included."""

import json
from typing import Any

import openai
import pytest
from aiohttp import web
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from fleetform_runtime.messages import (
    Assistant,
    Image,
    ToolCall,
    ToolResult,
    ToolResults,
    Usage,
    User,
)
from fleetform_runtime.models.build import build
from runtime.tests.harness import Told, serving
from runtime.tests.test_openai import sdk
from runtime.tests.upstreams import answers, completion, delta, streamed, upstream

pytestmark = pytest.mark.anyio
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
TEXT_EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]
WAYS = pytest.mark.parametrize("streams", [False, True])


async def respond(api: openai.AsyncOpenAI, streams: bool, **asked: Any) -> Any:
    """Ask whole, or streamed with what the client makes of the events."""
    if not streams:
        return await api.responses.create(**asked)
    async with api.responses.stream(**asked) as stream:
        return await stream.get_final_response()


@WAYS
async def test_a_text_is_answered(streams):
    async with serving() as client, sdk(client) as api:
        made = await respond(
            api,
            streams,
            model="greeter",
            input="hi",
            instructions="Be brief.",
            max_output_tokens=50,
            metadata={"a": "b"},
        )
        assert (await client.get("/sessions")).json["total"] == 0
    assert (made.output_text, made.status) == ("You said: hi (turn 1)", "completed")
    assert [item.type for item in made.output] == ["message"]
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens > 0
    assert (made.metadata, made.instructions, made.store) == ({"a": "b"}, "Be brief.", False)


async def test_events_come_in_their_order():
    async with serving() as client, sdk(client) as api:
        stream = await api.responses.create(model="gpt", input="say 4 words", stream=True)
        events = [event async for event in stream]
    kinds = [event.type for event in events]
    assert list(dict.fromkeys(kinds)) == TEXT_EVENTS
    assert [event.sequence_number for event in events] == list(range(len(events)))
    told = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert told == events[-1].response.output_text == "word1 word2 word3 word4"
    names = {event.item_id for event in events if hasattr(event, "item_id")}
    assert names == {events[-1].response.output[0].id}


async def test_answers_and_events_are_of_the_official_types():
    body = {"model": "gpt", "input": 'call get_weather {"city": "Paris"}', "tools": [WEATHER]}
    async with serving() as client:
        whole = (await client.post("/v1/responses", body)).json
        raw = (await client.post("/v1/responses", body | {"stream": True})).body.decode()
        text = (await client.post("/v1/responses", {"model": "gpt", "input": "hi"})).json
    Response.model_validate(whole)
    Response.model_validate(text)
    data = [line[6:] for line in raw.split("\n") if line.startswith("data: ")]
    adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    events = [adapter.validate_json(line) for line in data]
    assert events[-1].response.output[-1].name == "get_weather"


@WAYS
async def test_a_conversation_with_functions_of_the_client(streams):
    async with serving() as client, sdk(client) as api:
        items: list[Any] = [{"role": "user", "content": 'call get_weather {"city": "Paris"}'}]
        first = await respond(api, streams, model="greeter", input=items, tools=[WEATHER])
        (call,) = [item for item in first.output if item.type == "function_call"]
        assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})
        assert (first.status, first.tools[0].name) == ("completed", "get_weather")
        items += [item.model_dump(exclude_none=True) for item in first.output]
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
        second = await respond(api, streams, model="greeter", input=items, tools=[WEATHER])
    assert second.output_text == "get_weather: sunny"


async def test_a_call_is_streamed_as_one():
    async with serving() as client, sdk(client) as api:
        asked = 'call get_weather {"city": "Paris"}'
        stream = await api.responses.create(model="gpt", input=asked, tools=[WEATHER], stream=True)
        kinds = [event.type.removeprefix("response.") async for event in stream]
    assert kinds[-5:] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]


async def test_items_become_the_conversation():
    told = Told(Assistant("fine", usage=Usage(5, 2)))
    picture = "data:image/png;base64,AAAA"
    items: list[Any] = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "input_text", "text": "look"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I do"}]},
        {"type": "function_call", "call_id": "a", "name": "one", "arguments": "{}"},
        {"type": "reasoning", "id": "rs_2", "summary": []},
        {"type": "function_call", "call_id": "b", "name": "two", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {
            "type": "function_call_output",
            "call_id": "b",
            "output": [
                {"type": "input_text", "text": "2"},
                {"type": "input_image", "image_url": picture, "detail": "low"},
            ],
        },
    ]  # fmt: skip
    async with serving(make=told) as client, sdk(client) as api:
        await api.responses.create(model="gpt", input=items, instructions="Be brief.")
    (asked,) = told.asked
    assert asked.system == "You help.\n\nBe brief.\n\nBe kind."
    answer = Assistant("I do", calls=[ToolCall("a", "one", "{}"), ToolCall("b", "two", "{}")])
    results = [
        ToolResult("a", "one", "1"),
        ToolResult("b", "two", "2", images=(Image(picture, "low"),)),
    ]
    assert [type(message) for message in asked.messages] == [User, Assistant, ToolResults]
    assert asked.messages[0].content == ["look"]
    assert (asked.messages[1].text, asked.messages[1].calls) == (answer.text, answer.calls)
    assert asked.messages[2].results == results


async def test_what_is_understood_is_passed_on():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    form = {"type": "json_schema", "name": "thing", "schema": schema, "strict": True}
    async with upstream(answers(completion('{"a": "b"}'))) as server:
        model = {"provider": "openai-compatible", "name": "m", "endpoint": server.url}
        async with serving(make=build, model=model) as client, sdk(client) as api:
            made = await api.responses.create(
                model="m",
                input="x",
                text={"format": form, "verbosity": "low"},
                reasoning={"effort": "low", "summary": "auto"},
                tools=[WEATHER | {"strict": True}],
                tool_choice={"type": "function", "name": "get_weather"},
                parallel_tool_calls=False,
                max_output_tokens=9,
                temperature=0.5,
                top_p=0.5,
                store=False,
                truncation="auto",
                user="u1",
            )
    (sent,) = server.bodies
    wishes = {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "thing", "schema": schema, "strict": True},
        },
        "verbosity": "low",
        "reasoning_effort": "low",
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "parallel_tool_calls": False,
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.5,
        "user": "u1",
    }
    assert {name: sent.get(name) for name in wishes} == wishes
    assert sent["tools"][0]["function"]["strict"] is True
    assert not {"store", "truncation"} & sent.keys()
    assert (made.text.format.name, made.reasoning.effort) == ("thing", "low")
    assert made.parallel_tool_calls is False


class Thing(BaseModel):
    a: str


async def test_the_client_parses_what_it_has_asked_for():
    async with upstream(answers(completion('{"a": "b"}'))) as server:
        model = {"provider": "openai-compatible", "name": "m", "endpoint": server.url}
        async with serving(make=build, model=model) as client, sdk(client) as api:
            made = await api.responses.parse(model="m", input="x", text_format=Thing)
    assert made.output_parsed == Thing(a="b")


@WAYS
async def test_reasoning_is_told_as_a_summary(streams):
    thought = streamed(
        delta(reasoning_content="Hm"), delta(reasoning_content="."), delta("stop", content="Hi")
    )
    handler = thought if streams else answers(completion("Hi", reasoning_content="Hm."))
    async with upstream(handler) as server:
        model = {"provider": "openai-compatible", "name": "m", "endpoint": server.url}
        async with serving(make=build, model=model) as client, sdk(client) as api:
            made = await respond(api, streams, model="m", input="x")
    assert [item.type for item in made.output] == ["reasoning", "message"]
    assert made.output[0].summary[0].text == "Hm."
    assert made.output_text == "Hi"


@WAYS
@pytest.mark.parametrize(
    ("reason", "why"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
async def test_an_answer_that_was_cut_is_incomplete(streams, reason, why):
    whole = completion("I wou")
    whole["choices"][0]["finish_reason"] = reason
    handler = streamed(delta(content="I wou"), delta(reason)) if streams else answers(whole)
    async with upstream(handler) as server:
        model = {"provider": "openai-compatible", "name": "m", "endpoint": server.url}
        async with serving(make=build, model=model) as client, sdk(client) as api:
            if streams:
                stream = await api.responses.create(model="m", input="x", stream=True)
                made = [event async for event in stream][-1].response
            else:
                made = await api.responses.create(model="m", input="x")
    assert (made.status, made.incomplete_details.reason) == ("incomplete", why)
    assert (made.output_text, made.output[0].status) == ("I wou", "incomplete")


async def test_a_refusal_is_one():
    async with upstream(answers(completion(None, refusal="I will not."))) as server:
        model = {"provider": "openai-compatible", "name": "m", "endpoint": server.url}
        async with serving(make=build, model=model) as client, sdk(client) as api:
            made = await api.responses.create(model="m", input="x")
    assert made.output[0].content[0].refusal == "I will not."


async def test_what_the_agent_says_before_a_tool_of_its_own_is_an_item():
    calls = streamed(
        delta(content="Let me see."),
        delta(tool_calls=[{"index": 0, "id": "1", "function": {"name": "own", "arguments": "{}"}}]),
        delta("tool_calls"),
    )
    turns = [calls, streamed(delta("stop", content="It is 1."))]

    async def model(request: web.Request) -> web.StreamResponse:
        return await (turns.pop(0))(request)

    async with upstream(model) as server, upstream(answers({"own": 1})) as service:
        tools = [
            {
                "type": "api",
                "name": "own",
                "description": "Own.",
                "endpoint": service.url,
                "method": "GET",
            }
        ]
        settings = {"provider": "openai-compatible", "name": "m", "endpoint": server.url}
        async with serving(make=build, model=settings, tools=tools) as client, sdk(client) as api:
            made = await respond(api, True, model="m", input="x")
    texts = [item.content[0].text for item in made.output]
    assert texts == ["Let me see.", "It is 1."]
    assert len({item.id for item in made.output}) == 2


PICTURE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
PAPER = {
    "type": "input_file",
    "filename": "a.pdf",
    "file_data": "data:application/pdf;base64,JVBERi0=",
}
CALL = {"type": "function_call", "call_id": "a", "name": "t", "arguments": "{}"}
CALLED = {"type": "function_call_output", "call_id": "a"}
BAD: list[tuple[Any, str]] = [
    ({"model": "gpt"}, "input"),
    ({"model": "gpt", "input": []}, "input"),
    ({"model": "gpt", "input": 5}, "input"),
    ({"model": "gpt", "input": [5]}, "input"),
    ({"model": "gpt", "input": [{"role": "alien", "content": "x"}]}, r"input\.0\.role"),
    ({"model": "gpt", "input": [{"role": "user"}]}, r"input\.0\.content"),
    ({"model": "gpt", "input": [{"type": "item_reference", "id": "x"}]}, "item_reference"),
    ({"model": "gpt", "input": [{"type": "computer_call"}]}, "computer_call"),
    ({"model": "gpt", "input": [{"type": "function_call", "call_id": "a"}]}, r"input\.0\.name"),
    (
        {"model": "gpt", "input": [{"type": "function_call_output", "call_id": "a", "output": "x"}]},
        r"input\.0\.call_id",
    ),
    ({"model": "gpt", "input": "x", "store": True}, "store"),
    ({"model": "gpt", "input": "x", "previous_response_id": "resp_1"}, "previous_response_id"),
    ({"model": "gpt", "input": "x", "conversation": "c"}, "conversation"),
    ({"model": "gpt", "input": "x", "background": True}, "background"),
    ({"model": "gpt", "input": "x", "include": ["reasoning.encrypted_content"]}, "include"),
    ({"model": "gpt", "input": "x", "truncation": "disabled"}, "truncation"),
    ({"model": "gpt", "input": "x", "max_tool_calls": 3}, "max_tool_calls"),
    ({"model": "gpt", "input": "x", "prompt": {"id": "p"}}, "prompt"),
    ({"model": "gpt", "input": "x", "tools": [{"type": "web_search"}]}, "web_search"),
    ({"model": "gpt", "input": "x", "tools": [{"type": "mcp", "server_label": "s"}]}, "mcp"),
    ({"model": "gpt", "input": "x", "tools": [{"type": "function"}]}, "name"),
    ({"model": "gpt", "input": "x", "tool_choice": {"type": "file_search"}}, "tool_choice"),
    ({"model": "gpt", "input": "x", "text": {"format": {"type": "grammar"}}}, "text"),
    ({"model": "gpt", "input": "x", "reasoning": {"budget": 5}}, "reasoning"),
    ({"model": "gpt", "input": "x", "text": {"format": {"type": "json_schema"}}}, "schema"),
    ({"model": "gpt", "input": "x", "tools": [WEATHER | {"defer_loading": True}]}, "defer_loading"),
    ({"model": "gpt", "input": [{"role": "system", "content": [PICTURE]}]}, r"input\.0\.content"),
    ({"model": "gpt", "input": [{"role": "assistant", "content": [PICTURE]}]}, r"input\.0\.content"),
    ({"model": "gpt", "input": [CALL, CALLED | {"output": [PAPER]}]}, r"input\.1\.output"),
    ({"model": "gpt", "input": "x", "temperature": "hot"}, "temperature"),
    ([], ""),
]  # fmt: skip


@pytest.mark.parametrize(("body", "word"), BAD)
async def test_what_is_not_served_is_refused_by_name(body, word):
    async with serving() as client:
        reply = await client.post("/v1/responses", body)
    assert (reply.status, reply.json["error"]["code"]) == (422, "invalid_fields"), reply.body
    assert word.replace("\\", "") in reply.json["error"]["message"]


async def test_failures_are_those_that_clients_know():
    broken = (400, {"error": {"code": "context_length_exceeded", "message": "m"}}, {})
    async with upstream(answers(broken)) as server:
        model = {"provider": "openai-compatible", "name": "m", "endpoint": server.url}
        async with serving(make=build, model=model) as client, sdk(client) as api:
            with pytest.raises(openai.BadRequestError) as caught:
                await api.responses.create(model="m", input="x")
            stream = await api.responses.create(model="m", input="x", stream=True)
            events = [event async for event in stream]
            with pytest.raises(openai.NotFoundError):
                await api.responses.create(model="none", input="x")
    assert caught.value.code == "context_length_exceeded"
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.failed",
    ]
    assert events[-1].response.status == "failed"
    assert events[-1].response.error.code == "context_length_exceeded"
