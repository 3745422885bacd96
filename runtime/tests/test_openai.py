"""The official client uses an agent as a model, tools included."""

import asyncio
import json

import openai
import pytest
from aiohttp import web

from fleetform_runtime.messages import Assistant, Image, ToolCall, Usage
from fleetform_runtime.models import ModelError
from fleetform_runtime.models.build import build
from runtime.tests.harness import Told, serving, until
from runtime.tests.test_access import AUTH, KEYS
from runtime.tests.upstreams import answers, completion, upstream

pytestmark = pytest.mark.anyio
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def sdk(client, key: str = "unused") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=client.url + "/v1", api_key=key, max_retries=0)


async def test_models_and_a_plain_completion():
    async with serving() as client, sdk(client) as api:
        listed = await api.models.list()
        answer = await api.chat.completions.create(
            model="greeter",
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "hi"},
            ],
            temperature=0.1,
            max_tokens=5,
            user="somebody",
        )
        assert (await client.get("/sessions")).json["total"] == 0
        assert (await api.models.retrieve("gpt")).id == "gpt"
        with pytest.raises(openai.NotFoundError):
            await api.models.retrieve("other")
    assert [item.id for item in listed.data] == ["greeter", "gpt"]
    assert answer.choices[0].message.content == "You said: hi (turn 1)"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_a_stream_with_usage():
    async with serving() as client, sdk(client) as api:
        stream = await api.chat.completions.create(
            model="gpt",
            messages=[{"role": "user", "content": "say 4 words"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "word1 word2 word3 word4"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == 4


@pytest.mark.parametrize("streams", [False, True])
async def test_a_conversation_with_tools_of_the_client_and_of_the_agent(streams):
    tools = [
        {"type": "api", "name": "own", "description": "Own.", "endpoint": "x", "method": "GET"}
    ]
    async with upstream(answers({"own": 1})) as server:
        tools[0]["endpoint"] = server.url
        async with serving(tools=tools) as client, sdk(client) as api:
            messages = [{"role": "user", "content": 'call get_weather {"city": "Paris"}'}]
            first = await complete(api, messages, streams)
            (call,) = first.tool_calls
            assert first.finish_reason == "tool_calls"
            assert (call.function.name, json.loads(call.function.arguments)) == (
                "get_weather",
                {"city": "Paris"},
            )
            messages += [
                {
                    "role": "assistant",
                    "content": first.content,
                    "tool_calls": [
                        {
                            "id": call.id,
                            "type": "function",
                            "function": {
                                "name": call.function.name,
                                "arguments": call.function.arguments,
                            },
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
            ]
            second = await complete(api, messages, streams)
            assert second.content == "get_weather: sunny"
            own = await complete(api, [{"role": "user", "content": "call own {}"}], streams)
            assert json.loads(own.content.removeprefix("own: ")) == {"own": 1}
    assert len(server.requests) == 1


class Whole:
    def __init__(self, content, tool_calls, finish_reason):
        self.content, self.tool_calls, self.finish_reason = content, tool_calls, finish_reason


async def complete(api, messages, streams):
    if streams:
        async with api.chat.completions.stream(
            model="greeter", messages=messages, tools=[WEATHER]
        ) as stream:
            choice = (await stream.get_final_completion()).choices[0]
    else:
        answer = await api.chat.completions.create(
            model="greeter", messages=messages, tools=[WEATHER], tool_choice="auto"
        )
        choice = answer.choices[0]
    return Whole(choice.message.content, choice.message.tool_calls, choice.finish_reason)


async def test_pictures_and_settings_reach_the_model():
    told = Told(Assistant("a cat", usage=Usage(5, 2)))
    content = [
        {"type": "text", "text": "what is it"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
    ]
    async with serving(make=told) as client, sdk(client) as api:
        await api.chat.completions.create(
            model="gpt",
            messages=[{"role": "user", "content": content}],
            stop=["x"],
            seed=7,
            max_completion_tokens=9,
        )
    (asked,) = told.asked
    assert asked.messages[0].content == ["what is it", Image("data:image/png;base64,AAAA", "low")]
    assert asked.overrides == {"stop": ["x"], "seed": 7, "max_tokens": 9}
    assert asked.system == "You help."


async def test_errors_are_those_that_the_client_knows():
    told = Told(ModelError("refused", "x"))
    async with serving(make=told, auth=AUTH, environment=KEYS) as client:
        async with sdk(client, "wrong") as api:
            with pytest.raises(openai.AuthenticationError):
                await api.models.list()
        async with sdk(client, KEYS["ANN"]) as api:
            hello = [{"role": "user", "content": "x"}]
            with pytest.raises(openai.NotFoundError, match="models: gpt"):
                await api.chat.completions.create(model="none", messages=hello)
            with pytest.raises(openai.UnprocessableEntityError):
                await api.chat.completions.create(model="gpt", messages=[])
            with pytest.raises(openai.InternalServerError) as caught:
                await api.chat.completions.create(model="gpt", messages=hello)
            assert (caught.value.status_code, caught.value.code) == (502, "model_refused")
            with pytest.raises(openai.APIError, match="refused"):
                async for _ in await api.chat.completions.create(
                    model="gpt", messages=hello, stream=True
                ):
                    pass


BAD = [
    {"model": "gpt"},
    {"model": "gpt", "messages": "x"},
    {"model": "gpt", "messages": [{"role": "alien", "content": "x"}]},
    {"model": "gpt", "messages": [{"role": "tool", "tool_call_id": "1", "content": "x"}]},
    {"model": "gpt", "messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
    {"model": "gpt", "messages": [{"role": "user", "content": "x"}], "n": 2},
    {"model": "gpt", "messages": [{"role": "user", "content": "x"}], "temperature": "hot"},
    {"model": "gpt", "messages": [{"role": "user", "content": "x"}], "tools": [{"type": "x"}]},
    {"model": 5, "messages": [{"role": "user", "content": "x"}]},
    {"model": "gpt", "messages": [{"role": "user", "content": "x"}], "logprobs": True},
    {"model": "gpt", "messages": [{"role": "user", "content": "x"}], "store": True},
    {"model": "gpt", "messages": [{"role": "user", "content": "x"}], "web_search_options": {}},
    {"model": "gpt", "messages": [{"role": "user", "content": "x"}], "provider": {"order": ["x"]}},
    [],
]


@pytest.mark.parametrize("body", BAD)
async def test_bad_requests_are_refused(body):
    async with serving() as client:
        reply = await client.post("/v1/chat/completions", body)
    assert reply.status == 422, reply.body
    assert reply.json["error"]["code"] == "invalid_fields"


async def test_tools_that_want_a_person_are_denied_here():
    calls = [ToolCall("1", "ask", "{}")]
    told = Told(Assistant("", calls=calls), Assistant("fine"))
    tools = [{"type": "human", "name": "ask", "description": "Asks."}]
    async with serving(make=told, tools=tools) as client, sdk(client) as api:
        answer = await api.chat.completions.create(
            model="gpt", messages=[{"role": "user", "content": "x"}]
        )
    assert answer.choices[0].message.content == "fine"
    assert "needs human approval" in told.asked[1].messages[-1].results[0].content


USER = [{"role": "user", "content": "x"}]


@pytest.mark.parametrize(
    "messages",
    [[{"role": "system", "content": "x"}], [*USER, {"role": "assistant", "content": "and"}]],
)
async def test_conversations_that_end_otherwise_are_answered_too(messages):
    async with serving(make=Told(Assistant("fine"))) as client, sdk(client) as api:
        answer = await api.chat.completions.create(model="gpt", messages=messages)
    assert answer.choices[0].message.content == "fine"


async def test_what_is_understood_is_passed_on():
    wishes = {
        "parallel_tool_calls": False,
        "reasoning_effort": "low",
        "verbosity": "low",
        "logit_bias": {"5": 1},
        "service_tier": "flex",
        "user": "u1",
        "prompt_cache_key": "k",
    }
    extra = {"top_k": 3, "chat_template_kwargs": {"enable_thinking": False}}
    tool = {
        "type": "function",
        "function": {"name": "t", "strict": True, "parameters": {"type": "object"}},
    }
    async with upstream(answers(completion("fine"))) as server:
        model = {"provider": "openai-compatible", "name": "m", "endpoint": server.url}
        async with serving(make=build, model=model) as client, sdk(client) as api:
            await api.chat.completions.create(
                model="m",
                messages=USER,
                tools=[tool],
                **wishes,
                extra_body={**extra, "n": 1, "store": False},
            )
    (sent,) = server.bodies
    assert {name: sent.get(name) for name in {**wishes, **extra}} == {**wishes, **extra}
    assert sent["tools"][0]["function"]["strict"] is True
    assert not {"n", "store"} & sent.keys()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "said"), [("chat/completions", {"messages": USER}), ("responses", {"input": "x"})]
)
async def test_a_client_that_hangs_up_stops_its_run(path, said, stream):
    left = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        try:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(b'data: {"choices": [{"delta": {"content": "word"}}]}\n\n')
            await asyncio.sleep(3600)
        finally:
            left.set()

    async with upstream(slow) as server:
        model = {"provider": "openai-compatible", "name": "m", "endpoint": server.url}
        async with serving(make=build, model=model) as client:
            body = {"model": "m", "stream": stream} | said
            asking = asyncio.create_task(client.post(f"/v1/{path}", body))
            await until(lambda: server.requests)
            asking.cancel()
            async with asyncio.timeout(20):
                await left.wait()
            await until(lambda: not client.application.runs.registry.running)


async def test_own_tools_are_not_called_beside_those_of_the_client():
    calls = [ToolCall("1", "add", "{}"), ToolCall("2", "mine", "{}")]
    told = Told(Assistant("", calls=calls), Assistant("fine"))
    theirs = [{"type": "function", "function": {"name": "mine", "parameters": {"type": "object"}}}]
    async with upstream(answers({"ok": 1})) as service:
        tools = [
            {
                "type": "api",
                "name": "add",
                "description": "Adds.",
                "endpoint": service.url,
                "method": "POST",
            }
        ]
        async with serving(make=told, tools=tools) as client, sdk(client) as api:
            first = await api.chat.completions.create(model="gpt", messages=USER, tools=theirs)
            message = first.choices[0].message
            assert [call.function.name for call in message.tool_calls] == ["mine"]
            assert service.requests == []
            history = [
                *USER,
                message,
                {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "r"},
            ]
            second = await api.chat.completions.create(model="gpt", messages=history, tools=theirs)
    assert second.choices[0].message.content == "fine"


async def test_a_tool_of_the_client_with_a_name_of_the_agents_is_refused():
    tools = [{"type": "human", "name": "ask", "description": "Asks."}]
    theirs = [{"type": "function", "function": {"name": "ask"}}]
    async with serving(tools=tools) as client:
        body = {"model": "gpt", "messages": USER, "tools": theirs}
        reply = await client.post("/v1/chat/completions", body)
    assert (reply.status, reply.json["error"]["code"]) == (422, "invalid_fields")
    assert "ask" in reply.json["error"]["message"]


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (
            (400, {"error": {"code": "context_length_exceeded", "message": "m"}}, {}),
            400,
            "context_length_exceeded",
        ),
        ((400, {"error": {"code": "content_filter", "message": "m"}}, {}), 400, "content_filter"),
    ],
)
async def test_failures_have_the_codes_that_clients_look_for(answer, status, code):
    async with upstream(answers(answer)) as server:
        model = {"provider": "openai-compatible", "name": "m", "endpoint": server.url}
        async with serving(make=build, model=model) as client, sdk(client) as api:
            with pytest.raises(openai.BadRequestError) as caught:
                await api.chat.completions.create(model="m", messages=USER)
    assert (caught.value.status_code, caught.value.code) == (status, code)


async def test_a_refusal_is_one():
    refusal = completion(None, refusal="I will not.")
    async with upstream(answers(refusal)) as server:
        model = {"provider": "openai-compatible", "name": "m", "endpoint": server.url}
        async with serving(make=build, model=model) as client, sdk(client) as api:
            message = (
                (await api.chat.completions.create(model="m", messages=USER)).choices[0].message
            )
            chat = await client.chat("x")
    assert (message.refusal, message.content) == ("I will not.", None)
    assert (chat["output"], chat["finish_reason"]) == ("I will not.", "refusal")


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
CALLED = [
    *USER,
    {
        "role": "assistant",
        "tool_calls": [{"id": "a", "function": {"name": "t", "arguments": "{}"}}],
    },
]


async def test_what_a_tool_of_the_client_returned_to_be_seen_is_seen():
    told = Told(Assistant("fine"))
    result = {"role": "tool", "tool_call_id": "a", "content": [PICTURE]}
    async with serving(make=told) as client:
        body = {"model": "gpt", "messages": [*CALLED, result]}
        assert (await client.post("/v1/chat/completions", body)).status == 200
    (seen,) = told.asked[0].messages[-1].results
    assert seen.images == (Image("data:image/png;base64,AAAA"),)


@pytest.mark.parametrize("role", ["system", "assistant"])
async def test_pictures_where_no_model_takes_them_are_refused(role):
    messages = [*USER, {"role": role, "content": [PICTURE]}]
    async with serving() as client:
        reply = await client.post("/v1/chat/completions", {"model": "gpt", "messages": messages})
    assert reply.status == 422
    assert "messages.1.content" in reply.json["error"]["message"]
