"""The JSON of the Chat Completions protocol: requests from our messages, answers to them.

What servers really send is read, not only what the protocol says: the corpus in
`runtime/tests/providers` has an example of each, with the report it comes from.
"""

from collections.abc import Collection, Mapping
from typing import Any

from fleetform_runtime import jsons
from fleetform_runtime.messages import (
    Assistant,
    File,
    Message,
    Part,
    State,
    ToolCall,
    ToolResults,
    Usage,
    User,
)
from fleetform_runtime.models import ChatRequest, Kind, ModelError, ToolSpec, failures, history
from fleetform_runtime.sections.model import Model

_FINISH = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "prohibited_content": "content_filter",
    "blocklist": "content_filter",
    "sensitive": "content_filter",
    "refusal": "refusal",
}
_BROKEN: dict[str, Kind] = {
    "error": "server_error",
    "malformed_function_call": "invalid",
    "unexpected_tool_call": "invalid",
}
"""Reasons for which an answer ended that is none."""
READ = frozenset(
    (
        "role",
        "content",
        "tool_calls",
        "function_call",
        "refusal",
        "annotations",
        "audio",
        "images",
        "name",
    )
)
"""Members of an answer that are ours to read; all others go back as they came."""
LARGEST_STATE = 256 * 1024
"""Bytes of what is kept for a provider; more would crowd out the conversation."""
SEEN = frozenset(("images", "files"))
UNSEEN = "this model cannot read it; say so if it matters"
OPTIONAL = ("response_format", "stream_options", "parallel_tool_calls", "prompt_cache_key")
"""Members of a request that we send of our own accord, and leave out where a server refuses them."""


def body(
    model: Model, request: ChatRequest, *, stream: bool, without: Collection[str] = ()
) -> dict[str, Any]:
    """Build the body of a request; unset options are left out.

    Args:
        model: whose settings hold where the request has none of its own.
        request: what is asked.
        stream: whether the answer is to be streamed.
        without: what this server has refused: members, `state`, `images`, `files`.
    """
    limit = _max_tokens_name(model, without)
    asked: dict[str, Any] = {
        "model": model.name,
        "messages": _messages(
            model, request, keep="state" not in without, blind=SEEN.intersection(without)
        ),
        "temperature": model.temperature,
        "top_p": model.top_p,
        "frequency_penalty": model.frequency_penalty,
        "presence_penalty": model.presence_penalty,
        "reasoning_effort": model.reasoning_effort,
        limit: model.max_tokens,
    }
    for name, value in request.overrides.items():
        asked[limit if name == "max_tokens" else name] = value
    if request.tools:
        asked["tools"] = [_tool(tool, strict=model.strict_tools) for tool in request.tools]
        asked["tool_choice"] = request.tool_choice
        asked.setdefault("parallel_tool_calls", model.parallel_tool_calls)
    if request.schema is not None:
        shape = {"name": "answer", "schema": request.schema}
        asked.setdefault("response_format", {"type": "json_schema", "json_schema": shape})
    if stream:
        asked["stream"] = True
        asked["stream_options"] = {"include_usage": True}
    for name in without:
        asked.pop(name, None)
    found = {name: value for name, value in asked.items() if value is not None}
    return {**model.extra_body, **found}


def _tool(tool: ToolSpec, *, strict: bool) -> dict[str, Any]:
    function: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.schema,
    }
    if tool.strict if tool.strict is not None else strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _max_tokens_name(model: Model, without: Collection[str]) -> str:
    """Use the newer name where reasoning models refuse the older one."""
    is_openai = model.provider == "openai" and "openai.com" in (model.endpoint or "openai.com")
    names = ["max_tokens", "max_completion_tokens"]
    if is_openai or model.provider == "azure":
        names.reverse()
    return next((name for name in names if name not in without), names[0])


def _messages(
    model: Model, request: ChatRequest, *, keep: bool, blind: frozenset[str]
) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    if request.system:
        written.append({"role": "system", "content": jsons.whole_text(request.system)})
    source = model.source if keep else ""
    for message in history.valid(request.messages, source, tools=bool(request.tools)):
        written.extend(_written(message, blind))
    if model.prompt_caching and "promptCaching" not in model.facts.ignores:
        _mark_cached(written)
    return written


def _mark_cached(written: list[dict[str, Any]]) -> None:
    """Ask for caching up to the end of the system prompt and of the conversation, as Anthropic's API does.

    Others cache by themselves; gateways pass the mark on or drop it.
    """
    for message in (written[0], written[-1]):
        content = message.get("content")
        if isinstance(content, str) and content:
            message["content"] = content = [{"type": "text", "text": content}]
        if isinstance(content, list) and content:
            content[-1] = {**content[-1], "cache_control": {"type": "ephemeral"}}


def _written(message: Message, blind: frozenset[str]) -> list[dict[str, Any]]:
    if isinstance(message, User):
        return [{"role": "user", "content": _content(message.content, blind)}]
    if isinstance(message, ToolResults):
        results: list[dict[str, Any]] = [
            {"role": "tool", "tool_call_id": result.id, "content": result.content}
            for result in message.results
        ]
        # A tool's message takes text alone in this protocol: what there is to see comes after.
        seen: list[Part] = []
        for result in message.results:
            if result.images:
                seen += [f"[images of the result of {result.name}]", *result.images]
        return [*results, {"role": "user", "content": _content(seen, blind)}] if seen else results
    answer: dict[str, Any] = {"role": "assistant", "content": message.text or None}
    if message.calls:
        # Reasoning belongs to the calls that it led to: without calls nobody wants it back, and
        # some refuse it.
        answer = {**(message.state or {}), **answer}
        answer["tool_calls"] = [_written_call(call) for call in message.calls]
    return [answer]


def _written_call(call: ToolCall) -> dict[str, Any]:
    state = call.state or {}
    function = {**state.get("function", {}), "name": call.name, "arguments": call.arguments}
    return {**state.get("call", {}), "id": call.id, "type": "function", "function": function}


def _content(content: str | list[Part], blind: frozenset[str]) -> Any:
    return content if isinstance(content, str) else [_part(part, blind) for part in content]


def _part(part: Part, blind: frozenset[str]) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, File):
        if "files" in blind:
            return {"type": "text", "text": f"[file {part.name}: {UNSEEN}]"}
        return {"type": "file", "file": {"filename": part.name, "file_data": part.url}}
    if "images" in blind:
        return {"type": "text", "text": f"[image: {UNSEEN}]"}
    detail = {"detail": part.detail} if part.detail else {}
    return {"type": "image_url", "image_url": {"url": part.url, **detail}}


def read(raw: bytes, what: str, where: str) -> dict[str, Any]:
    """Read one JSON object from a model; `what` it is and `where` an error was are for the message.

    Raises:
        ModelError: it is not an object, or it reports an error.
    """
    try:
        data = jsons.read(raw)
    except ValueError:
        raise ModelError("invalid", f"{what} is not JSON") from None
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict):
        raise ModelError("invalid", f"{what} is not a JSON object")
    if data.get("error") or data.get("object") == "error" or data.get("type") == "error":
        raise failures.inside(raw, where)
    return data


def answer(raw: bytes, key: str, source: str = "") -> Assistant:
    """Read an answer that was not streamed.

    Raises:
        ModelError: it does not follow the protocol; some proxies send errors with status 200.
    """
    data = read(raw, "the answer", "with status 200")
    if not data.get("choices"):
        raise failures.inside(raw, "with status 200", "the answer has no message")
    try:
        choice = data["choices"][0]
        reason = choice.get("finish_reason")
        check_end(reason)
        # A content filter may leave nothing of an answer but why it ended.
        message = choice.get("message") or ({} if reason else choice["message"])
        listed = message.get("tool_calls") or _legacy(message.get("function_call"))
        calls = [_call(item, index) for index, item in enumerate(listed)]
        text, tagged = split_thinking(plain(message.get("content")))
        thinking = reasoning(message) or tagged
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ModelError("invalid", "the answer has no message") from None
    made = Assistant(text, thinking, calls, usage(data.get("usage")), key, source=source)
    made.finish = finish(reason, bool(calls))
    made.state = kept(message)
    made.name = name_of(data)
    return whole(made, refused(message))


def whole(made: Assistant, refusal: Any) -> Assistant:
    """Return an answer whose end is what it says, with a refusal as its text.

    Raises:
        ModelError: it promises calls, and says nothing.
    """
    if isinstance(refusal, str) and refusal and not made.text and not made.calls:
        made.text, made.finish = refusal, "refusal"
    if made.finish == "tool_calls" and not made.calls:
        if not made.text:
            raise ModelError("invalid", "the answer promises calls and has none")
        made.finish = "stop"
    return made


def kept(message: Mapping[str, Any]) -> State | None:
    """Return the members of an answer that its provider wants back, unless they are too large."""
    found = {name: value for name, value in message.items() if name not in READ and value}
    return found if found and len(jsons.write(found)) <= LARGEST_STATE else None


def kept_of_call(item: Mapping[str, Any]) -> State | None:
    """Return the same of a call."""
    function = item.get("function")
    found = {
        "call": {
            n: v for n, v in item.items() if n not in ("id", "type", "index", "function") and v
        },
        "function": {
            n: v
            for n, v in (function.items() if isinstance(function, dict) else ())
            if n not in ("name", "arguments") and v
        },
    }
    found = {name: members for name, members in found.items() if members}
    return found if found and len(jsons.write(found)) <= LARGEST_STATE else None


def _legacy(call: Any) -> list[dict[str, Any]]:
    """Return the one call of the protocol before tools."""
    return [{"function": call}] if isinstance(call, dict) and call.get("name") else []


def _call(item: dict[str, Any], index: int) -> ToolCall:
    function = item["function"]
    name = called(function["name"])
    if not name:
        raise TypeError("name")
    return ToolCall(
        str(item.get("id") or f"call_{index}"),
        name,
        arguments(function.get("arguments")),
        kept_of_call(item),
    )


def called(name: Any) -> str:
    """Return the name of a call without the tokens of a template that some servers leave in it."""
    return str(name or "").partition("<|")[0].strip()


def arguments(value: Any) -> str:
    """Return arguments as text, in whatever form they came: text, an object, nothing."""
    if isinstance(value, str):
        found = history.object_of(value) if value.lstrip()[:1] in ('"', "n", "") else None
        return value if found is None else jsons.write(found).decode()
    return jsons.write(value if value is not None else {}).decode()


def finish(reason: Any, has_calls: bool) -> str:
    """Return our name for why an answer ended."""
    if has_calls:
        return "tool_calls"
    return _FINISH.get(reason.lower(), "stop") if isinstance(reason, str) else "stop"


def check_end(reason: Any, *, started: bool = False) -> None:
    """Check that an answer came to an end of its own.

    Raises:
        ModelError: the provider gave up; `started` says whether a part of the answer was told.
    """
    kind = _BROKEN.get(reason.lower()) if isinstance(reason, str) else None
    if kind is not None:
        raise ModelError(kind, f"the provider gave up: {reason}", started=started)


def refused(message: Mapping[str, Any]) -> str:
    """Return a refusal, which is a member of a message or a part of its content."""
    if isinstance(found := message.get("refusal"), str) and found:
        return found
    parts = message.get("content")
    listed = [p for p in parts if isinstance(p, dict)] if isinstance(parts, list) else []
    return "".join(str(p.get("refusal") or "") for p in listed if p.get("type") == "refusal")


def plain(content: Any) -> str:
    """Return text that is a string, a part, a list of either, or missing."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(plain(part) for part in content if isinstance(part, str | dict))
    if isinstance(content, dict):
        return plain(content.get("text")) if content.get("type") != "thinking" else ""
    raise TypeError("content")


def reasoning(message: Mapping[str, Any]) -> str:
    """Return the reasoning of an answer, or of a piece of one, wherever a server puts it."""
    for name in ("reasoning_content", "reasoning", "reasoning_text"):
        if isinstance(found := message.get(name), str) and found:
            return found
        if isinstance(found, dict) and isinstance(found.get("content") or found.get("text"), str):
            return str(found.get("content") or found.get("text"))
    content = message.get("content")
    if isinstance(content, list):
        parts = [p for p in content if isinstance(p, dict) and p.get("type") == "thinking"]
        return "".join(plain(part.get("thinking")) for part in parts)
    return ""


def split_thinking(text: str) -> tuple[str, str]:
    """Separate a text from its reasoning, which open models put in <think>...</think> before it.

    Templates that begin the reasoning for the model leave an answer with the closing tag alone.
    """
    start = text.lstrip()
    before, closed, rest = text.partition("</think>")
    if not closed or ("<think>" in before and not start.startswith("<think>")):
        return text, ""
    return rest.lstrip("\n"), before.lstrip().removeprefix("<think>").strip()


def usage(data: Any) -> Usage:
    """Read token counts; missing ones count as zero."""
    if not isinstance(data, dict):
        return Usage()
    asked, answered = data.get("prompt_tokens_details"), data.get("completion_tokens_details")
    cached = _count(data, "prompt_cache_hit_tokens", "cache_read_input_tokens", "cached_tokens")
    found = Usage(
        _count(data, "prompt_tokens", "input_tokens"),
        _count(data, "completion_tokens", "output_tokens"),
        cached_tokens=_count(asked, "cached_tokens") or cached,
        cache_write_tokens=_count(data, "cache_creation_input_tokens"),
        reasoning_tokens=_count(answered, "reasoning_tokens") or _count(data, "reasoning_tokens"),
    )
    if not found.output_tokens and found.input_tokens:  # the sum is all that some tell
        found.output_tokens = max(0, _count(data, "total_tokens") - found.input_tokens)
    return found


def _count(data: Any, *names: str) -> int:
    """Return the first count that is one: an integer, a float or its text, of at most 15 digits."""
    for name in names:
        value = data.get(name) if isinstance(data, dict) else None
        try:
            if value and not isinstance(value, bool) and 0 < float(value) < 1e15:
                return int(float(value))
        except (TypeError, ValueError):
            continue
    return 0


def name_of(data: Mapping[str, Any]) -> str:
    """Return what a provider calls the model that answered; empty if it says nothing."""
    name = data.get("model")
    return name[:256] if isinstance(name, str) else ""
