"""Anthropic, Bedrock and Google are asked in their own words, and their errors become ours."""

import json
import tomllib
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fleetform_runtime.messages import Assistant, ToolCall, ToolResult, ToolResults, Usage, User
from fleetform_runtime.models import ChatRequest, ModelError, ToolSpec
from fleetform_runtime.models.foreign import MAKERS, ForeignModel
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.model import PROVIDERS, Model
from runtime.tests.upstreams import answers, upstream
from tests.tools import ROOT

pytestmark = [
    pytest.mark.anyio,
    # The providers' own libraries speak of what they will drop.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
HISTORY = [
    User("first"),
    Assistant("", calls=[ToolCall("c1", "t", '{"a":1}')]),
    ToolResults([ToolResult("c1", "t", "one")]),
    Assistant("fine"),
    User("second"),
]
SPEC = ToolSpec("t", "Does it.", {"type": "object", "properties": {"a": {"type": "integer"}}})
ASK = ChatRequest("Be kind.", HISTORY, [SPEC], {"temperature": 0.5})


@pytest.fixture(autouse=True)
def identity(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-identity")


@asynccontextmanager
async def asked(handler, provider: str, **fields: Any):
    async with upstream(handler) as server:
        settings = {"provider": provider, "name": "m", "endpoint": server.url, "maxTokens": 50}
        settings |= {"timeouts": {"requestSeconds": 300}} | fields
        if provider != "bedrock":  # which takes keys over TLS only; here it is the pod's identity
            settings["apiKey"] = {"env": "KEY"}
        model = Model.model_validate_json(json.dumps(settings))
        made = ForeignModel(model, Secrets({"KEY": "key-of-the-provider"}))
        try:
            yield made, server
        finally:
            await made.close()


ANTHROPIC = {
    "id": "m1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "t1", "name": "t", "input": {"a": 2}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 3},
}
GOOGLE = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [{"text": "Hello"}, {"functionCall": {"name": "t", "args": {"a": 2}}}],
            },
            "finishReason": "STOP",
            "index": 0,
        }
    ],
    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10},
    "modelVersion": "m",
}
BEDROCK = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"text": "Hello"},
                {"toolUse": {"toolUseId": "t1", "name": "t", "input": {"a": 2}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10},
    "metrics": {"latencyMs": 1},
}


@pytest.mark.parametrize(
    ("provider", "reply", "fields"),
    [
        ("anthropic", ANTHROPIC, {}),
        ("google", GOOGLE, {}),
        ("bedrock", BEDROCK, {"region": "eu-central-1"}),
    ],
)
async def test_a_whole_answer_with_a_call(provider, reply, fields):
    async with asked(answers(reply), provider, **fields) as (model, server):
        answer = await model.respond(ASK, None)
    assert (answer.text, answer.finish) == ("Hello", "tool_calls")
    (call,) = answer.calls
    assert (call.name, json.loads(call.arguments)) == ("t", {"a": 2})
    assert answer.usage == Usage(7, 3)
    (sent,) = server.bodies
    text = json.dumps(sent)
    for word in ("Be kind.", "first", "one", "fine", "second", "Does it."):
        assert word in text
    headers = server.requests[0]["headers"]
    assert ("key-of-the-provider" if provider != "bedrock" else "AKIAEXAMPLE") in str(headers)


async def test_bedrock_is_asked_in_its_region():
    async with asked(answers(BEDROCK), "bedrock", region="eu-central-1") as (model, server):
        await model.respond(ASK, None)
    assert "/eu-central-1/bedrock/" in server.requests[0]["headers"]["Authorization"]


def service_account(token_uri: str) -> str:
    """Return the key of a service account, whose tokens come from a URL."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {"type": "service_account", "client_email": "a@b.example", "token_uri": token_uri}
    return json.dumps(account | {"private_key": key.decode(), "private_key_id": "k"})


async def test_a_google_project_is_asked_in_its_region_with_the_identity(tmp_path, monkeypatch):
    async def handler(request: web.Request) -> web.Response:
        token = {"access_token": "of-the-identity", "expires_in": 3600, "token_type": "Bearer"}
        return web.json_response(token if request.path == "/token" else GOOGLE)

    async with upstream(handler) as server:
        account = tmp_path / "account.json"
        account.write_text(service_account(f"{server.url}/token"))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
        place = {"project": "acme-prod", "region": "europe-west4"}
        settings = {"provider": "google", "name": "m", "endpoint": server.url, **place}
        model = ForeignModel(Model.model_validate_json(json.dumps(settings)), Secrets({}))
        try:
            assert (await model.respond(ASK, None)).text == "Hello"
        finally:
            await model.close()
    last = server.requests[-1]
    assert "/projects/acme-prod/locations/europe-west4/" in last["path"]
    assert last["headers"]["Authorization"] == "Bearer of-the-identity"


def sse(*events: dict[str, Any], named: bool) -> Any:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            name = f"event: {event['type']}\n" if named else ""
            await response.write(f"{name}data: {json.dumps(event)}\n\n".encode())
        return response

    return handler


ANTHROPIC_STREAM = [
    {"type": "message_start", "message": ANTHROPIC | {"content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
]
GOOGLE_STREAM = [
    {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}]}
    | ({"usageMetadata": GOOGLE["usageMetadata"]} if text == "lo" else {})
    for text in ("Hel", "lo")
]


@pytest.mark.parametrize(
    ("provider", "handler"),
    [
        ("anthropic", sse(*ANTHROPIC_STREAM, named=True)),
        ("google", sse(*GOOGLE_STREAM, named=False)),
    ],
)
async def test_a_stream_is_heard_as_it_comes(provider, handler):
    heard: list[Any] = []
    async with asked(handler, provider) as (model, _):
        answer = await model.respond(ASK, heard.append)
    assert "".join(text for _, text in heard) == "Hello" == answer.text
    assert answer.usage == Usage(7, 3)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, "rate_limited"), (500, "server_error"), (401, "authentication"), (400, "refused")],
)
async def test_errors_are_of_our_kinds_and_not_repeated_by_the_library(status, kind):
    body = {"type": "error", "error": {"type": "x", "message": "no"}}
    async with asked(answers((status, body, {"retry-after": "3"})), "anthropic") as (model, server):
        with pytest.raises(ModelError) as caught:
            await model.respond(ASK, None)
    assert caught.value.kind == kind
    assert len(server.requests) == 1


async def test_bedrock_is_asked_once():
    async with asked(answers((500, {"message": "no"}, {})), "bedrock", region="eu-central-1") as (
        model,
        server,
    ):
        with pytest.raises(ModelError) as caught:
            await model.respond(ASK, None)
    assert caught.value.kind == "server_error"
    assert len(server.requests) == 1


async def test_a_provider_that_is_not_there_is_a_lost_connection():
    settings = {"provider": "anthropic", "name": "m", "endpoint": "http://127.0.0.1:1"}
    settings |= {"apiKey": {"env": "KEY"}}
    model = ForeignModel(Model.model_validate(settings), Secrets({"KEY": "key-of-the-provider"}))
    with pytest.raises(ModelError) as caught:
        await model.respond(ASK, None)
    await model.close()
    assert caught.value.kind == "connection"


def test_every_provider_with_a_protocol_of_its_own_has_a_maker_and_an_extra():
    foreign = {name for name, row in PROVIDERS.items() if row.module}
    project = tomllib.loads((ROOT / "runtime/pyproject.toml").read_text("utf-8"))["project"]
    assert foreign == {*MAKERS}
    assert foreign <= set(project["optional-dependencies"])
