"""Models are asked, repeated, replaced and counted as the specification says."""

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from fleetform_runtime.messages import (
    Assistant,
    Image,
    ToolCall,
    ToolResult,
    ToolResults,
    Usage,
    User,
)
from fleetform_runtime.models import ChatRequest, ModelError, ToolSpec
from fleetform_runtime.models.build import build
from fleetform_runtime.models.chat_completions import ChatCompletionsModel, url
from fleetform_runtime.models.pricing import cost
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.model import Model
from runtime.tests.harness import Told, serving, until
from runtime.tests.upstreams import USAGE, answers, completion, delta, streamed, upstream

pytestmark = pytest.mark.anyio
ASK = ChatRequest("You help.", [User("hello")])


def model(**fields: Any) -> Model:
    base = {"provider": "openai-compatible", "name": "m", "endpoint": "http://127.0.0.1:1/v1"}
    return Model.model_validate_json(json.dumps(base | fields))


@asynccontextmanager
async def asked(handler, **fields):
    async with upstream(handler) as server:
        settings = model(**({"endpoint": server.url + "/v1"} | fields))
        made = ChatCompletionsModel(settings, Secrets({"KEY": "sk-secret-value"}))
        try:
            yield made, server
        finally:
            await made.close()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"endpoint": "http://h/v1"}, "http://h/v1/chat/completions"),
        ({"endpoint": "http://h/v1/"}, "http://h/v1/chat/completions"),
        ({"endpoint": "http://h/v1/chat/completions"}, "http://h/v1/chat/completions"),
        ({"endpoint": "http://h"}, "http://h/chat/completions"),
        ({"provider": "ollama", "endpoint": "http://h:11434"}, "http://h:11434/v1/chat/completions"),
        ({"provider": "gpustack", "endpoint": "http://h/v1-openai"}, "http://h/v1-openai/chat/completions"),
        (
            {"provider": "azure", "endpoint": "https://x.openai.azure.com", "apiVersion": "v"},
            "https://x.openai.azure.com/openai/deployments/m/chat/completions?api-version=v",
        ),
    ],
)  # fmt: skip
def test_endpoints_are_completed(fields, expected):
    assert url(model(**fields)) == expected


def test_openai_has_a_public_endpoint():
    settings = Model.model_validate({"provider": "openai", "name": "gpt-4o"})
    assert url(settings) == "https://api.openai.com/v1/chat/completions"


async def test_settings_messages_and_tools_are_written_as_the_protocol_wants_them():
    history = [
        User(["look", Image("data:image/png;base64,AAAA", "low")]),
        Assistant("", calls=[ToolCall("c1", "t", '{"a":1}')]),
        ToolResults([ToolResult("c1", "t", "one")]),
        Assistant("fine"),
        User("thanks"),
    ]
    request = ChatRequest("Be kind.", history, [ToolSpec("t", "does", {"type": "object"})])
    fields = {"temperature": 0.5, "topP": 0.9, "maxTokens": 50, "frequencyPenalty": 1}
    fields |= {"presencePenalty": -1, "apiKey": {"env": "KEY"}, "headers": {"X-Team": "a"}}
    async with asked(answers(completion()), **fields) as (made, server):
        answer = await made.respond(request, None)
    (sent,) = server.bodies
    assert answer.text == "Hello"
    assert answer.usage == Usage(7, 3)
    assert [message["role"] for message in sent["messages"]] == [
        "system", "user", "assistant", "tool", "assistant", "user",
    ]  # fmt: skip
    assert sent["messages"][1]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"},
    }
    assert sent["messages"][2]["tool_calls"][0]["function"]["arguments"] == '{"a":1}'
    assert sent["messages"][3] == {"role": "tool", "tool_call_id": "c1", "content": "one"}
    assert (sent["temperature"], sent["top_p"], sent["max_tokens"]) == (0.5, 0.9, 50)
    assert (sent["frequency_penalty"], sent["presence_penalty"]) == (1, -1)
    assert "stream" not in sent
    headers = server.requests[0]["headers"]
    assert headers["Authorization"] == "Bearer sk-secret-value"
    assert headers["X-Team"] == "a"


@pytest.mark.parametrize(
    ("reply", "text", "thinking", "calls"),
    [
        (completion("x"), "x", "", []),
        (completion(None), "", "", []),
        (completion([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), "ab", "", []),
        (completion("x", reasoning_content="why"), "x", "why", []),
        (completion("<think>why</think>\nx"), "x", "why", []),
        (completion(None, [("", "t", {"a": 1})]), "", "", [ToolCall("call_0", "t", '{"a":1}')]),
        (completion("x", [("i", "t", "")]), "x", "", [ToolCall("i", "t", "{}")]),
        (completion("x") | {"usage": None}, "x", "", []),
        (completion("x") | {"usage": {"prompt_tokens": "7"}}, "x", "", []),
    ],
)
async def test_answers_are_read_in_every_form(reply, text, thinking, calls):
    async with asked(answers(reply)) as (made, _):
        answer = await made.respond(ASK, None)
    assert (answer.text, answer.thinking, answer.calls) == (text, thinking, calls)


BROKEN = [
    ((200, "not json", {}), "invalid"),
    ((200, "[]", {}), "invalid"),
    ((200, {}, {}), "invalid"),
    ((200, {"choices": []}, {}), "invalid"),
    ((200, {"choices": [{"message": None}]}, {}), "invalid"),
    ((200, {"choices": [{"message": {"content": 5}}]}, {}), "invalid"),
    ((200, {"choices": [{"message": {"tool_calls": [{}]}}]}, {}), "invalid"),
    ((200, {"error": {"message": "boom"}}, {}), "server_error"),
    ((429, {"error": {"message": "slow down"}}, {}), "rate_limited"),
    ((429, {"error": {"code": "insufficient_quota", "message": "pay"}}, {}), "refused"),
    ((500, "<html>oops</html>", {}), "server_error"),
    ((502, "", {}), "server_error"),
    ((503, {"detail": [{"msg": "x"}]}, {}), "server_error"),
    ((504, b"\xff\xfe", {}), "timeout"),
    ((408, "null", {}), "timeout"),
    ((400, {"error": "maximum context length is 8192 tokens"}, {}), "context"),
    ((400, {"message": "no"}, {}), "refused"),
    ((401, {"error": None}, {}), "authentication"),
    ((403, "[[[[]]]]", {}), "authentication"),
    ((404, "{}", {}), "refused"),
    ((302, "", {"Location": "http://169.254.169.254/"}), "refused"),
]


@pytest.mark.parametrize(("reply", "kind"), BROKEN)
@pytest.mark.parametrize("streams", [False, True])
async def test_broken_answers_are_errors_of_a_kind(reply, kind, streams):
    heard = []
    async with asked(answers(reply)) as (made, server):
        with pytest.raises(ModelError) as caught:
            await made.respond(ASK, heard.append if streams else None)
    assert caught.value.kind == kind
    assert not caught.value.started
    assert len(server.requests) == 1
    assert heard == []


async def test_a_stream_is_heard_as_it_comes_and_put_together():
    chunks = (
        delta(role="assistant"),
        delta(reasoning_content="hm"),
        delta(content="Hel"),
        delta(content="lo"),
        b": comment\n\n",
        delta(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "t", "arguments": ""}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a"'}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}]),
        delta(tool_calls=[{"index": 1, "id": "c2", "function": {"name": "u", "arguments": "{}"}}]),
        delta("tool_calls"),
        USAGE,
    )
    heard = []
    async with asked(streamed(*chunks, pause=0.01)) as (made, server):
        answer = await made.respond(ASK, heard.append)
    assert server.bodies[0]["stream_options"] == {"include_usage": True}
    assert "".join(text for kind, text in heard if kind == "text") == "Hello" == answer.text
    assert ("thinking", "hm") in heard
    assert answer.calls == [ToolCall("c1", "t", '{"a":1}'), ToolCall("c2", "u", "{}")]
    assert answer.finish == "tool_calls"
    assert answer.usage == Usage(7, 3)


async def test_thinking_in_tags_is_told_apart_while_it_streams():
    pieces = ["<th", "ink>so", " what</thi", "nk>\nHel", "lo <think>"]
    heard = []
    chunks = [delta(content=piece) for piece in pieces]
    async with asked(streamed(*chunks, delta("stop"), pause=0.005)) as (made, _):
        answer = await made.respond(ASK, heard.append)
    assert answer.text == "Hello <think>"
    assert answer.thinking == "so what"
    assert "".join(text for kind, text in heard if kind == "text") == answer.text


@pytest.mark.parametrize(
    ("handler", "kind", "started"),
    [
        (streamed(cut=True), "connection", False),
        (streamed(delta(role="assistant"), cut=True), "connection", False),
        (streamed(delta(content="He"), cut=True, pause=0.05), "connection", True),
        (streamed(delta(content="He"), done=False, pause=0.05), "connection", True),
        (streamed(done=False), "connection", False),
        (streamed(b"data: {nonsense\n\n"), "invalid", False),
        (streamed(delta(content="He"), b'data: {"error": {"message": "x"}}\n\n', pause=0.05), "server_error", True),
        (streamed({"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]}, delta("stop")), "invalid", False),
        (streamed({"choices": [7]}), "invalid", False),
    ],
)  # fmt: skip
async def test_streams_that_break_say_whether_they_had_begun(handler, kind, started):
    heard = []
    async with asked(handler) as (made, _):
        with pytest.raises(ModelError) as caught:
            await made.respond(ASK, heard.append)
    assert (caught.value.kind, caught.value.started) == (kind, started)
    assert bool(heard) == started


async def test_a_server_that_does_not_stream_is_heard_at_once():
    heard = []
    async with asked(answers(completion("Hello"))) as (made, _):
        assert (await made.respond(ASK, heard.append)).text == "Hello"
    assert heard == [("text", "Hello")]


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    raise AssertionError


async def stall(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(f"data: {json.dumps(delta(content='He'))}\n\n".encode())
    return await hang(request)


@pytest.mark.parametrize(
    ("handler", "streams", "timeouts"),
    [
        (hang, False, {"requestSeconds": 0.1, "firstTokenSeconds": 3600}),
        (hang, True, {"requestSeconds": 3600, "firstTokenSeconds": 0.1}),
    ],
)
async def test_every_wait_has_an_end(handler, streams, timeouts):
    heard = []
    async with asked(answers(handler), timeouts=timeouts) as (made, _):
        with pytest.raises(ModelError) as caught:
            await made.respond(ASK, heard.append if streams else None)
    assert (caught.value.kind, caught.value.started) == ("timeout", False)


async def test_a_stream_that_stalls_behind_its_first_token_has_an_end(monkeypatch):
    deadlines: dict[float | None, asyncio.Timeout] = {}

    def noted(seconds: float | None, make=asyncio.timeout) -> asyncio.Timeout:
        return deadlines.setdefault(seconds, make(seconds))

    monkeypatch.setattr(asyncio, "timeout", noted)
    heard = []
    timeouts = {"requestSeconds": 3000, "firstTokenSeconds": 3001}
    async with asked(answers(stall), timeouts=timeouts) as (made, _):
        asking = asyncio.create_task(made.respond(ASK, heard.append))
        await until(lambda: heard)
        deadlines[3000].reschedule(asyncio.get_running_loop().time())
        with pytest.raises(ModelError) as caught:
            await asking
    assert (caught.value.kind, caught.value.started) == ("timeout", True)


async def test_nobody_there_is_a_lost_connection():
    made = ChatCompletionsModel(model(), Secrets({}))
    with pytest.raises(ModelError) as caught:
        await made.respond(ASK, None)
    await made.close()
    assert caught.value.kind == "connection"


def remote(server, **fields):
    return {
        "provider": "openai-compatible",
        "name": "m",
        "endpoint": server.url,
        "retries": 2,
        "timeouts": {"requestSeconds": 120, "firstTokenSeconds": 120},
    } | fields


async def test_requests_are_repeated_where_that_can_help():
    handler = answers((429, "{}", {"Retry-After": "0"}), (500, "{}", {}), completion())
    async with upstream(handler) as server, serving(make=build, model=remote(server)) as client:
        assert (await client.chat("hi"))["output"] == "Hello"
        assert await client.metric("agent_llm_retries_total", reason="rate_limited") == 1
        assert await client.metric("agent_llm_retries_total", reason="server_error") == 1
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("reply", "status", "code", "requests"),
    [
        ((500, "secret detail", {}), 502, "model_failed", 3),
        ((429, "{}", {"Retry-After": "3600"}), 502, "model_failed", 1),
        ((401, "secret detail", {}), 502, "model_refused", 1),
        ((400, "context window exceeded", {}), 422, "context_too_long", 1),
        ((504, "secret detail", {}), 504, "timeout", 3),
    ],
)
async def test_a_providers_error_is_never_ours(reply, status, code, requests):
    async with upstream(answers(reply)) as server:
        async with serving(make=build, model=remote(server)) as client:
            refused = await client.post("/chat", {"message": "hi"})
            events = await client.events("/chat", {"message": "hi"})
    assert (refused.status, refused.json["code"]) == (status, code)
    assert refused.json["run_id"]
    assert b"secret" not in refused.body
    assert (events[-1].type, events[-1].data["code"]) == ("error", code)
    assert len(server.requests) == 2 * requests


async def test_a_fallback_answers_when_the_first_cannot():
    async with (
        upstream(answers((500, "{}", {}))) as first,
        upstream(answers(completion("B"))) as second,
    ):
        changes = {
            "model": remote(first, retries=0, id="a"),
            "fallbacks": [remote(second, id="b")],
        }
        async with serving(make=build, **changes) as client:
            assert (await client.chat("hi"))["output"] == "B"
            events = await client.events("/chat", {"message": "hi"})
            assert await client.metric("agent_llm_fallbacks_total", model="a") == 2
            assert await client.metric("agent_llm_tokens_total", model="b", type="input") == 14
    assert events[-1].data["output"] == "B"


async def test_a_fallback_that_takes_no_temperature_is_asked_without():
    async with (
        upstream(answers((500, "{}", {}))) as first,
        upstream(answers(completion("B"))) as second,
    ):
        changes = {
            "model": remote(first, retries=0, id="a"),
            "fallbacks": [remote(second, id="b", reasoningEffort="low")],
        }
        async with serving(make=build, **changes) as client:
            assert (await client.chat("hi", temperature=0.5))["output"] == "B"
    assert first.bodies[0]["temperature"] == 0.5
    assert "temperature" not in second.bodies[0]


async def test_a_breaker_keeps_requests_from_a_model_that_is_down():
    async with (
        upstream(answers((500, "{}", {}))) as first,
        upstream(answers(completion("B"))) as second,
    ):
        changes = {"model": remote(first, retries=0), "fallbacks": [remote(second)]}
        async with serving(make=build, **changes) as client:
            for _ in range(9):
                assert (await client.chat("hi"))["output"] == "B"
    assert len(first.requests) == 5


async def test_a_cut_behind_the_first_token_ends_in_an_error_that_may_be_retried():
    async with upstream(streamed(delta(content="He"), cut=True, pause=0.05)) as server:
        async with serving(make=build, model=remote(server)) as client:
            events = await client.events("/chat", {"message": "hi"})
    assert [event.type for event in events] == ["run_start", "token", "usage", "error"]
    assert events[-1].data["retryable"] is True
    assert len(server.requests) == 1


async def test_costs_follow_the_price_table():
    told = Told(Assistant("x", usage=Usage(1_000_000, 500_000)))
    pricing = {"inputPerMillion": 2, "outputPerMillion": 4}
    async with upstream(answers(completion())) as server:
        async with serving(make=build, model=remote(server, pricing=pricing)) as client:
            answer = await client.chat("hi")
            assert await client.metric("agent_llm_cost_usd_total") == pytest.approx(26e-6)
    assert answer["usage"]["cost_usd"] == pytest.approx(26e-6)
    assert told.key == "gpt"


async def test_keys_are_read_again_when_their_file_changes(tmp_path, monkeypatch):
    monkeypatch.setattr("fleetform_runtime.secrets.RECHECK_SECONDS", 0)
    key = tmp_path / "key"
    key.write_text("first-key\n")
    async with asked(answers(completion()), apiKey={"file": str(key)}) as (made, server):
        await made.respond(ASK, None)
        key.write_text("second-key")
        await made.respond(ASK, None)
        key.unlink()
        await made.respond(ASK, None)
    sent = [request["headers"]["Authorization"] for request in server.requests]
    assert sent == ["Bearer first-key", "Bearer second-key", "Bearer second-key"]


async def test_a_history_is_cut_to_the_models_window():
    async with upstream(answers(completion("the words of a long answer " * 110))) as server:
        settings = remote(server, contextTokens=2600, maxTokens=100)
        async with serving(make=build, model=settings) as client:
            session = (await client.chat("one"))["session_id"]
            for word in ("two", "three", "four"):
                await client.chat(word, session_id=session)
    counts = [len(body["messages"]) for body in server.bodies]
    assert counts[:2] == [2, 4]
    assert counts[3] < 8
    assert server.bodies[3]["messages"][1]["role"] == "user"


def refusing(size: int, body: Any, status: int = 400):
    """Play a model that takes bodies of at most `size` bytes."""

    async def handler(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        if len(raw) > size:
            return web.json_response(body, status=status)
        if b'"stream":true' in raw:
            return await streamed(delta(content="fine"), delta("stop"))(request)
        return web.json_response(completion("fine"))

    return handler


TOO_LONG = {"error": {"message": "too many tokens", "code": "context_length_exceeded"}}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_that_outgrew_its_model_goes_on(stream):
    async with upstream(refusing(6_000, TOO_LONG)) as server:
        async with serving(make=build, model=remote(server)) as client:
            session = (await client.chat("word " * 300))["session_id"]
            for n in range(12):
                body = {"message": f"{n} " + "word " * 300, "session_id": session}
                if stream:
                    events = await client.events("/chat", body)
                    assert events[-1].type == "done", events
                else:
                    assert (await client.post("/chat", body)).json["output"] == "fine"


async def test_a_step_of_a_run_that_is_too_long_is_cut_and_asked_again():
    big = "a long result of many words " * 600

    async def handler(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        if len(raw) > 20_000:
            return web.json_response(TOO_LONG, status=413)
        asked = json.loads(raw)["messages"]
        done = sum(message["role"] == "tool" for message in asked)
        calls = [(f"c{done}", "t", "{}")] if done < 3 else None
        return web.json_response(completion(None if calls else "done", calls))

    async with upstream(handler) as server, upstream(answers((200, big, {}))) as api:
        tools = [
            {"type": "api", "name": "t", "description": "x", "endpoint": api.url, "method": "GET"}
        ]
        async with serving(make=build, model=remote(server), tools=tools) as client:
            answer = (await client.post("/chat", {"message": "go"})).json
    assert answer["output"] == "done"
    assert len(api.requests) == 3


async def test_a_message_that_is_too_long_by_itself_is_told_to_be():
    async with upstream(refusing(500, TOO_LONG)) as server:
        async with serving(make=build, model=remote(server)) as client:
            answer = await client.post("/chat", {"message": "word " * 500})
            assert (answer.status, answer.json["code"]) == (422, "context_too_long")
            assert (await client.post("/chat", {"message": "hi"})).json["output"] == "fine"


async def test_what_a_server_refuses_of_our_own_wishes_is_left_out_from_then_on():
    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        for name in ("stream_options", "max_tokens"):
            if name in body:
                said = f"Unsupported parameter: '{name}' is not supported with this model."
                return web.json_response({"error": {"message": said}}, status=400)
        return await streamed(delta(content="fine"), delta("stop"))(request)

    async with upstream(handler) as server:
        async with serving(make=build, model=remote(server, maxTokens=50)) as client:
            for _ in range(2):
                assert (await client.events("/chat", {"message": "x"}))[-1].type == "done"
    assert len(server.bodies) == 4
    assert server.bodies[-1]["max_completion_tokens"] == 50


async def test_a_setting_of_the_caller_that_a_model_refuses_is_the_callers_problem():
    """The text is our own: what a provider says is for the log."""

    async def handler(request: web.Request) -> web.StreamResponse:
        if "temperature" in await request.json():
            said = "Unsupported value: 'temperature' does not support 0.5 with model-7."
            return web.json_response({"error": {"message": said}}, status=400)
        return await streamed(delta(content="fine"), delta("stop"))(request)

    async with upstream(handler) as server:
        async with serving(make=build, model=remote(server)) as client:
            refused = await client.post("/chat", {"message": "x", "temperature": 0.5})
            assert (refused.status, refused.json["code"]) == (422, "invalid_fields")
            assert refused.json["detail"] == "temperature: the model does not take it"
            assert (await client.events("/chat", {"message": "x"}))[-1].type == "done"


async def test_settings_of_a_model_reach_it():
    fields = {
        "reasoningEffort": "high",
        "parallelToolCalls": False,
        "strictTools": True,
        "promptCaching": True,
        "extraBody": {"chat_template_kwargs": {"thinking": True}, "top_k": 5},
    }
    request = ChatRequest("Be kind.", [User("q")], [ToolSpec("t", "does", {"type": "object"})])
    async with asked(answers(completion()), **fields) as (made, server):
        await made.respond(request, None)
    (sent,) = server.bodies
    assert sent["reasoning_effort"] == "high"
    assert sent["parallel_tool_calls"] is False
    assert sent["tools"][0]["function"]["strict"] is True
    assert sent["top_k"] == 5
    assert sent["chat_template_kwargs"] == {"thinking": True}
    mark = {"type": "ephemeral"}
    assert [message["content"][-1]["cache_control"] for message in sent["messages"]] == [mark, mark]


def test_cached_tokens_cost_what_they_cost():
    pricing = {"inputPerMillion": 10, "outputPerMillion": 20}
    pricing |= {"cachedInputPerMillion": 1, "cacheWritePerMillion": 12}
    priced = model(pricing=pricing)
    usage = Usage(1_000_000, 0, cached_tokens=500_000, cache_write_tokens=100_000)
    assert cost(priced, usage) == pytest.approx(0.4 * 10 + 0.5 * 1 + 0.1 * 12)


async def test_a_refusal_that_was_streamed_as_text_is_told_once():
    told = []
    async with asked(streamed(delta(content="I will not."), delta("refusal"))) as (made, _):
        answer = await made.respond(ASK, told.append)
    assert (answer.text, answer.finish, told) == (
        "I will not.",
        "refusal",
        [("text", "I will not.")],
    )
