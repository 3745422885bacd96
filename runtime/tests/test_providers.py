"""What providers of models really send: each file of `providers` is one behaviour, tried whole and streamed.

A file has these members:

- `report`: the public thread that it stands for, as OWNER/REPOSITORY#NUMBER; `says`: what happens, in one sentence.
- `whole`, `stream`: what the server answers to a request, and to one for a stream; where one is missing, the
  other is sent to both. A list is answered in turn, the last for ever. An answer has a `status` and
  `headers` besides one of: `json`; `text`; `message` or `choice`, of which a completion is made with its
  `finish_reason` and `usage`; `deltas`, of which a stream is made in the same way; `events`, whose texts are sent
  as they are and whose objects as data. `done: false` leaves out `[DONE]`; `cut: true` breaks the connection.
- `expect`: `text`, `thinking`, `calls` (name and arguments of each), `finish` and, where they matter, `usage`, `ids`,
  `requests` (how many there are), `told` (the text as it was streamed, if it turns out to be another) and `back`
  (members that the provider finds in the answer when it comes back);
  or an `error`, with its `window` and words of its `detail`. `whole` and `stream` in it say what is other there.
"""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from ruamel.yaml import YAML

from fleetform_runtime.messages import Assistant, ToolResult, ToolResults, User
from fleetform_runtime.models import ChatRequest, Delta, ModelError, ToolSpec
from fleetform_runtime.models.chat_completions import ChatCompletionsModel
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.model import Model
from runtime.tests.upstreams import Handler, Upstream, upstream

pytestmark = pytest.mark.anyio
FOLDER = Path(__file__).parent / "providers"
WAYS = ["whole", "stream"]
CASES = {path.stem: YAML(typ="safe").load(path) for path in sorted(FOLDER.glob("*.yaml"))}
TOOLS = [ToolSpec("look_up", "Looks up.", {"type": "object"})]
ASK = ChatRequest("You help.", [User("hello")], TOOLS)
USAGE = {"prompt_tokens": 7, "completion_tokens": 3}
FEWEST = 90
MEMBERS = {"report", "says", "whole", "stream", "expect"}
EXPECTED = {
    "text", "thinking", "calls", "finish", "usage", "ids", "requests", "back",
    "error", "window", "detail", "told", "whole", "stream",
}  # fmt: skip


def _fails(case: dict[str, Any]) -> bool:
    return "error" in case["expect"]


def test_there_are_enough_behaviours_each_with_its_report():
    assert len(CASES) >= FEWEST
    for name, case in CASES.items():
        assert re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", case["report"]), name
        assert case["says"].endswith("."), name
        assert set(case) <= MEMBERS, name
        assert {"whole", "stream"} & set(case), name
        assert set(case["expect"]) <= EXPECTED, name


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not _fails(case)])
async def test_an_answer_is_understood(name, way):
    expected = CASES[name]["expect"] | CASES[name]["expect"].get(way, {})
    told: list[Delta] = []
    async with asked(CASES[name], way) as (model, server):
        answer = await model.respond(ASK, told.append if way == "stream" else None)
        assert seen(answer) == wanted(expected)
        if way == "stream":
            heard = "".join(text for kind, text in told if kind == "text")
            assert heard == expected.get("told", answer.text)
        if "usage" in expected:
            assert usage(answer) == expected["usage"]
        if "ids" in expected:
            assert [call.id for call in answer.calls] == expected["ids"]
        assert len(server.requests) == expected.get("requests", 1)
        await check_what_goes_back(model, server, answer, expected.get("back", {}))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if _fails(case)])
async def test_an_error_is_understood(name, way):
    expected = CASES[name]["expect"]
    async with asked(CASES[name], way) as (model, _):
        with pytest.raises(ModelError) as caught:
            await model.respond(ASK, [].append if way == "stream" else None)
    assert (caught.value.kind, caught.value.window) == (expected["error"], expected.get("window"))
    assert re.search(expected.get("detail", ""), caught.value.detail)


def seen(answer: Assistant) -> dict[str, Any]:
    """Return what counts of an answer, arguments as JSON where they are."""
    return {
        "text": answer.text,
        "thinking": answer.thinking,
        "calls": [[call.name, _json(call.arguments)] for call in answer.calls],
        "finish": answer.finish,
    }


def wanted(expected: dict[str, Any]) -> dict[str, Any]:
    calls = expected.get("calls", [])
    finish = expected.get("finish", "tool_calls" if calls else "stop")
    return {"text": "", "thinking": "", "calls": calls, "finish": finish} | {
        name: expected[name] for name in ("text", "thinking") if name in expected
    }


def usage(answer: Assistant) -> list[int]:
    used = answer.usage
    return [used.input_tokens, used.output_tokens, used.cached_tokens, used.reasoning_tokens]


async def check_what_goes_back(
    model: ChatCompletionsModel, server: Upstream, answer: Assistant, back: dict[str, Any]
) -> None:
    """Every answer can be continued: calls have identifiers of their own, and their arguments are objects."""
    results = [ToolResult(call.id, call.name, "found") for call in answer.calls]
    history = [User("hello"), answer, ToolResults(results) if results else User("more")]
    with suppress(ModelError):  # the server goes on as before; what it was sent is what counts here
        await model.respond(ChatRequest("You help.", history, TOOLS), None)
    sent = next(m for m in server.bodies[-1]["messages"] if m["role"] == "assistant")
    calls = sent.get("tool_calls", [])
    assert len({call["id"] for call in calls}) == len(calls)
    assert all(isinstance(json.loads(call["function"]["arguments"]), dict) for call in calls)
    assert {name: sent.get(name) for name in back if name != "call"} == {
        name: value for name, value in back.items() if name != "call"
    }
    for name, value in back.get("call", {}).items():
        assert calls[0].get(name) == value


@asynccontextmanager
async def asked(
    case: dict[str, Any], way: str
) -> AsyncIterator[tuple[ChatCompletionsModel, Upstream]]:
    replies = case.get(way) or case.get("stream") or case["whole"]
    async with upstream(serves(replies)) as server:
        base = {"provider": "openai-compatible", "name": "m", "endpoint": server.url + "/v1"}
        model = ChatCompletionsModel(Model.model_validate(base), Secrets({}))
        try:
            yield model, server
        finally:
            await model.close()


def serves(replies: Any) -> Handler:
    left = list(replies) if isinstance(replies, list) else [replies]

    async def handler(request: web.Request) -> web.StreamResponse:
        reply = left.pop(0) if len(left) > 1 else left[0]
        kind, raw = written(reply)
        headers = {"Content-Type": kind} | reply.get("headers", {})
        response = web.StreamResponse(status=reply.get("status", 200), headers=headers)
        await response.prepare(request)
        await response.write(raw)
        if reply.get("cut") and request.transport is not None:
            request.transport.abort()
        return response

    return handler


def written(reply: dict[str, Any]) -> tuple[str, bytes]:
    """Return the media type and the bytes of an answer."""
    if "text" in reply:
        return "text/html", reply["text"].encode()
    if "events" in reply or "deltas" in reply:
        events = reply["events"] if "events" in reply else _chunks(reply)
        lines = [one if isinstance(one, str) else f"data: {json.dumps(one)}" for one in events]
        done = ["data: [DONE]"] if reply.get("done", True) else []
        return "text/event-stream", ("\n\n".join([*lines, *done]) + "\n\n").encode()
    if "json" in reply:
        return "application/json", json.dumps(reply["json"]).encode()
    choice = reply.get("choice") or {
        "index": 0,
        "message": {"role": "assistant", **reply["message"]},
        "finish_reason": reply.get("finish_reason", "stop"),
    }
    usage = reply.get("usage", USAGE)
    return "application/json", json.dumps({"choices": [choice], "usage": usage}).encode()


def _chunks(reply: dict[str, Any]) -> list[Any]:
    made = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in reply["deltas"]
    ]
    if reason := reply.get("finish_reason", "stop"):
        made.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    if (usage := reply.get("usage", USAGE)) is not None:
        made.append({"choices": [], "usage": usage})
    return made


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
