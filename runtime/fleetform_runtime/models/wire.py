"""The JSON of the Chat Completions protocol: requests from our messages, answers to them."""

from typing import Any

import orjson

from fleetform_runtime.messages import (
    Assistant,
    Image,
    Message,
    ToolCall,
    ToolResults,
    Usage,
    User,
)
from fleetform_runtime.models import ChatRequest, Kind, ModelError
from fleetform_runtime.sections.model import Model

_FINISH = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def body(model: Model, request: ChatRequest, *, stream: bool) -> dict[str, Any]:
    """Build the body of a request; unset options are left out."""
    asked: dict[str, Any] = {
        "model": model.name,
        "messages": _messages(request),
        "temperature": model.temperature,
        "top_p": model.top_p,
        "frequency_penalty": model.frequency_penalty,
        "presence_penalty": model.presence_penalty,
        _max_tokens_name(model): model.max_tokens,
    }
    for name, value in request.overrides.items():
        asked[_max_tokens_name(model) if name == "max_tokens" else name] = value
    if request.tools:
        asked["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.schema,
                },
            }
            for tool in request.tools
        ]
        asked["tool_choice"] = request.tool_choice
    if stream:
        asked["stream"] = True
        asked["stream_options"] = {"include_usage": True}
    return {name: value for name, value in asked.items() if value is not None}


def _max_tokens_name(model: Model) -> str:
    """Use the newer name where reasoning models refuse the older one."""
    is_openai = model.provider == "openai" and "openai.com" in (model.endpoint or "openai.com")
    return "max_completion_tokens" if is_openai or model.provider == "azure" else "max_tokens"


def _messages(request: ChatRequest) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    if request.system:
        written.append({"role": "system", "content": request.system})
    for message in request.messages:
        written.extend(_written(message))
    return written


def _written(message: Message) -> list[dict[str, Any]]:
    if isinstance(message, User):
        return [{"role": "user", "content": _content(message.content)}]
    if isinstance(message, ToolResults):
        return [
            {"role": "tool", "tool_call_id": result.id, "content": result.content}
            for result in message.results
        ]
    answer: dict[str, Any] = {"role": "assistant", "content": message.text or None}
    if message.calls:
        answer["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments or "{}"},
            }
            for call in message.calls
        ]
    elif not message.text:
        answer["content"] = ""
    return [answer]


def _content(content: str | list[str | Image]) -> Any:
    if isinstance(content, str):
        return content
    return [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {
            "type": "image_url",
            "image_url": {"url": part.url, **({"detail": part.detail} if part.detail else {})},
        }
        for part in content
    ]


def read(raw: bytes, what: str, where: str) -> dict[str, Any]:
    """Read one JSON object from a model; `what` it is and `where` an error was are for the message.

    Raises:
        ModelError: it is not an object, or it reports an error.
    """
    try:
        data = orjson.loads(raw)
    except ValueError:
        raise ModelError("invalid", f"{what} is not JSON") from None
    if not isinstance(data, dict):
        raise ModelError("invalid", f"{what} is not a JSON object")
    if data.get("error"):
        raise ModelError("server_error", f"error {where}: {error_text(raw)}")
    return data


def answer(raw: bytes, key: str) -> Assistant:
    """Read an answer that was not streamed.

    Raises:
        ModelError: it does not follow the protocol; some proxies send errors with status 200.
    """
    data = read(raw, "the answer", "with status 200")
    try:
        choice = data["choices"][0]
        message = choice["message"]
        calls = [_call(item, index) for index, item in enumerate(message.get("tool_calls") or [])]
        text, tagged = split_thinking(plain(message.get("content")))
        thinking = plain(message.get("reasoning_content") or message.get("reasoning")) or tagged
        reason = finish(choice.get("finish_reason"), bool(calls))
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ModelError("invalid", "the answer has no message") from None
    made = Assistant(text, thinking, calls, usage(data.get("usage")), key, reason)
    made.name = name_of(data)
    return made


def name_of(data: dict[str, Any]) -> str:
    """Return what a provider calls the model that answered; empty if it says nothing."""
    name = data.get("model")
    return name[:256] if isinstance(name, str) else ""


def _call(item: dict[str, Any], index: int) -> ToolCall:
    function = item["function"]
    arguments = function.get("arguments")
    if not isinstance(arguments, str):  # Ollama and others send an object
        arguments = orjson.dumps(arguments or {}).decode()
    return ToolCall(str(item.get("id") or f"call_{index}"), str(function["name"]), arguments)


def finish(reason: Any, has_calls: bool) -> str:
    """Return our name for why an answer ended."""
    if has_calls:
        return "tool_calls"
    return _FINISH.get(reason, "stop") if isinstance(reason, str) else "stop"


def plain(content: Any) -> str:
    """Return text that is a string, a list of parts, or missing."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(
            part["text"]
            for part in content
            if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    raise TypeError("content")


def split_thinking(text: str) -> tuple[str, str]:
    """Remove a leading <think>...</think>, where open models put their reasoning, from a text."""
    if not text.startswith("<think>"):
        return text, ""
    thinking, closed, rest = text.removeprefix("<think>").partition("</think>")
    return (rest.lstrip("\n"), thinking.strip()) if closed else (text, "")


def usage(data: Any) -> Usage:
    """Read token counts; missing ones count as zero."""
    if not isinstance(data, dict):
        return Usage()
    return Usage(_count(data.get("prompt_tokens")), _count(data.get("completion_tokens")))


def _count(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0


def error_text(raw: bytes) -> str:
    """Return the message of an error body in any of the usual formats, at most 500 characters."""
    try:
        data = orjson.loads(raw)
    except ValueError:
        return raw[:500].decode("utf-8", "replace")
    for _ in range(4):
        if isinstance(data, list) and data:
            data = data[0]
        elif isinstance(data, dict):
            data = next(
                (data[name] for name in ("error", "message", "detail", "msg") if data.get(name)),
                raw.decode("utf-8", "replace"),
            )
    return str(data)[:500]


_CONTEXT = ("context_length", "context window", "maximum context", "too many tokens", "too long")


def error(status: int, raw: bytes, wait: float | None) -> ModelError:
    """Convert an HTTP error to a ModelError; `wait` is what the server asks for, in seconds."""
    text = error_text(raw)
    if status == 429:
        if "insufficient_quota" in text or b"insufficient_quota" in raw[:4096]:
            return ModelError("refused", text, status=status)
        return ModelError("rate_limited", text, status=status, retry_after=wait)
    if status in (408, 409, 425) or status >= 500:
        kind: Kind = "timeout" if status in (408, 504) else "server_error"
        return ModelError(kind, text, status=status, retry_after=wait)
    if status in (401, 403):
        return ModelError("authentication", text, status=status)
    if any(sign in text.lower() for sign in _CONTEXT):
        return ModelError("context", text, status=status)
    return ModelError("refused", text, status=status)
