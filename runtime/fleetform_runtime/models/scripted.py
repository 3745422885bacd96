"""A scripted model: deterministic answers for demonstrations and tests, no key, no network.

It answers according to the words of the last message:

- ``call NAME {"a": 1}`` calls that tool; any line of the message may be such a call;
- ``say N words`` streams N words; ``wait S`` waits S seconds first;
- ``fail KIND`` fails as a provider would: rate_limited, server_error, timeout, connection, ...;
- ``what do you know`` repeats the notes that stand before the message; else they are not looked at;
- asked what to remember, it takes what the user has said that begins with "I " or "My ";
- after tools have answered, their results are repeated;
- asked for notes on a conversation, it repeats the words in it that have a digit;
- asked for JSON of a schema, it answers with the smallest value that matches, in which every text is what it would
  have said otherwise;
- anything else is echoed, with the number of the turn.
"""

import asyncio
import re
from typing import Any, cast, get_args

import orjson

from fleetform_runtime.memories.notes import LEARNING, without
from fleetform_runtime.messages import Assistant, ToolCall, ToolResults, Usage, User
from fleetform_runtime.models import ChatRequest, Kind, Listener, ModelError

_CALL = re.compile(r"^\s*call ([A-Za-z0-9_-]{1,64})(?: (.*))?$", re.MULTILINE)
_WORDS = re.compile(r"\bsay (\d{1,6}) words\b")
_WAIT = re.compile(r"\bwait (\d+(?:\.\d+)?)\b")
_NOTES = '{"role":"'
_FACT = re.compile(r"[A-Za-z][\w.-]*\d(?:[\w.-]*\w)?")
_FAIL = re.compile(r"\bfail ([a-z_]+)\b")


class ScriptedModel:
    """Answers by fixed rules."""

    def __init__(self, key: str, seconds_per_word: float = 0.0) -> None:
        self.key = key
        self._pace = seconds_per_word

    async def respond(self, request: ChatRequest, listener: Listener | None) -> Assistant:
        """Answer the last message."""
        last = request.messages[-1] if request.messages else None
        if isinstance(last, User) and not last.text().startswith(_NOTES):
            await _obey(without(last.text()))
            calls = _calls(without(last.text()))
            if calls:
                return Assistant(
                    calls=calls, usage=_usage(request, ""), model=self.key, finish="tool_calls"
                )
        text = _answer(request)
        if request.schema is not None and not _is_json(text):
            text = orjson.dumps(_smallest(request.schema, text)).decode()
        if listener is not None:
            await self._tell(text, listener)
        return Assistant(text=text, usage=_usage(request, text), model=self.key)

    async def close(self) -> None:
        """Nothing to close."""

    async def _tell(self, text: str, listener: Listener) -> None:
        for word in re.findall(r"\S+\s*|\s+", text):
            listener(("text", word))
            await asyncio.sleep(self._pace)


async def _obey(text: str) -> None:
    if wait := _WAIT.search(text):
        await asyncio.sleep(float(wait[1]))
    if (fail := _FAIL.search(text)) and fail[1] in get_args(Kind):
        raise ModelError(cast(Kind, fail[1]), "as the message asked")


def _calls(text: str) -> list[ToolCall]:
    return [
        ToolCall(f"call_{index}", found[1], found[2] or "{}")
        for index, found in enumerate(_CALL.finditer(text), 1)
    ]


def _answer(request: ChatRequest) -> str:
    last = request.messages[-1] if request.messages else None
    if isinstance(last, ToolResults):
        return "\n".join(f"{result.name}: {result.content}" for result in last.results)
    whole = last.text() if isinstance(last, User) else ""
    text = without(whole)
    if text.startswith(_NOTES):
        return "Notes: " + ", ".join(dict.fromkeys(_FACT.findall(text)))
    if request.system.startswith(LEARNING):
        return _learned(whole)
    if text.strip() == "what do you know":
        return whole.removesuffix(text).strip() or "nothing"
    if words := _WORDS.search(text):
        return " ".join(f"word{index}" for index in range(1, int(words[1]) + 1))
    turn = sum(isinstance(message, User) for message in request.messages)
    return f"You said: {text} (turn {turn})"


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


def _smallest(schema: Any, text: str) -> Any:
    """Return the smallest value that matches a schema, as far as a demonstration needs it."""
    if not isinstance(schema, dict):
        return text
    for name in ("const", "enum", "anyOf", "oneOf"):
        if name in schema:
            found = schema[name] if name == "const" else schema[name][0]
            return _smallest(found, text) if name.endswith("Of") else found
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        members = schema.get("properties", {})
        return {name: _smallest(members.get(name), text) for name in schema.get("required", ())}
    if kind == "array":
        return [_smallest(schema.get("items"), text)] * schema.get("minItems", 0)
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    return {"boolean": False, "null": None}.get(str(kind), text[: schema.get("maxLength")])


def _learned(document: str) -> str:
    try:
        said = [str(one["user"]) for one in orjson.loads(document)["conversation"]]
    except (ValueError, KeyError, TypeError):
        return "{}"
    lines = [line.strip() for text in said for line in text.splitlines()]
    kept = [{"text": line} for line in lines if line.startswith(("I ", "My "))]
    return orjson.dumps({"add": kept}).decode()


def _usage(request: ChatRequest, text: str) -> Usage:
    heard = len(request.system.split()) + sum(
        len(message.text().split()) for message in request.messages if isinstance(message, User)
    )
    return Usage(heard, len(text.split()))
