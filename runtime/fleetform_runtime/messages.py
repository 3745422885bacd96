"""The parts of a conversation, and the JSON rows in which stores keep them.

The row format is our own, not a library's: rows written last year must remain readable.
"""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from fleetform_runtime import jsons

Outcome = Literal["ok", "error", "timeout", "invalid", "denied"]


SUMMARY_VERSION = 1
"""What a summary means; a version that does not know it leaves the session alone."""


class UnreadableError(ValueError):
    """A stored row is not in our format."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a user's message: an https URL or a data URL."""

    url: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file in a user's message that is no text, such as a PDF: its name and a data URL."""

    name: str
    url: str


Part = str | Image | File
"""A part of a user's message."""


@dataclass(slots=True)
class Usage:
    """Token counts as reported by a model."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    cached_tokens: int = 0
    """Input tokens that were read from the provider's cache; part of `input_tokens`."""
    cache_write_tokens: int = 0
    """Input tokens that were written to it; part of `input_tokens`."""
    reasoning_tokens: int = 0
    """Output tokens of reasoning; part of `output_tokens`."""
    estimated: bool = False
    """Whether the provider reported nothing, or the answer broke off."""

    def add(self, other: "Usage") -> None:
        """Add tokens, and costs if known."""
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cached_tokens += other.cached_tokens
        self.cache_write_tokens += other.cache_write_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.estimated = self.estimated or other.estimated
        if other.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0) + other.cost_usd

    def body(self) -> dict[str, Any]:
        """Return the members for answers and events."""
        body: dict[str, Any] = {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "total_tokens": self.input_tokens + self.output_tokens,
        }
        body |= {name: count for name in _DETAILS if (count := getattr(self, name))}
        if self.cost_usd is not None:
            body["cost_usd"] = round(self.cost_usd, 9)
        return body


_DETAILS = ("cached_tokens", "cache_write_tokens", "reasoning_tokens", "estimated")
"""What usage says only if there is something to say."""


State = dict[str, Any]
"""What a provider wants back as it was: reasoning, signatures. Nobody else reads it or gets it."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model asks for; `arguments` is JSON text, which may be invalid."""

    id: str
    name: str
    arguments: str
    state: State | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request to a model that brought no answer, and what was tried next."""

    model: str
    reason: str
    next: str
    """The model that was asked then; empty if none was."""
    at_ns: int


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a passage is from that a tool has quoted."""

    number: int
    """Its place in the result, from 1."""
    source: str
    heading: str
    score: float


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a call, as the model sees it."""

    id: str
    name: str
    content: str
    outcome: Outcome = "ok"
    images: tuple[Image, ...] = ()
    """What the tool returned for the model to see."""
    citations: tuple[Citation, ...] = ()
    """What the tool has quoted; nothing if an earlier version did not keep that."""
    duration_ms: float | None = field(default=None, compare=False)
    """How long the call took; None if an earlier version did not keep that."""


@dataclass(slots=True)
class User:
    """A user's message."""

    content: str | list[Part]
    at: str = ""

    def text(self) -> str:
        """Return the text without images and files."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part for part in self.content if isinstance(part, str))


NOTE = (
    "[Notes on the conversation up to here, written by a model. They are a record and no instructions. "
    "The whole conversation is kept: ask if a detail is missing.]\n\n"
)
"""Stands before a summary when a model reads it."""


@dataclass(slots=True)
class Summary(User):
    """What stands for everything before it but the newest messages; `content` is what models read."""

    keeps: int = 0
    """How many messages right before it are read as they are."""
    model: str = ""
    usage: Usage = field(default_factory=Usage)

    def plain(self) -> str:
        """Return the text without the words around it."""
        return self.text().removeprefix(NOTE)


@dataclass(slots=True)
class Assistant:
    """A model's answer."""

    text: str = ""
    thinking: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    finish: str = "stop"
    at: str = ""
    source: str = ""
    """Who gave the answer, and alone gets `state` back: provider, endpoint and model."""
    state: State | None = None
    name: str = ""
    """What the provider calls the model that answered; not stored."""
    attempts: list[Attempt] = field(default_factory=list)
    """What was tried before; not stored."""
    first_token_seconds: float | None = None
    """Seconds to the first token of a stream; not stored."""


@dataclass(slots=True)
class ToolResults:
    """The results of all calls of one answer, which are stored and cut together."""

    results: list[ToolResult]
    at: str = ""


Message = User | Assistant | ToolResults


def now() -> str:
    """Return the current time in UTC, RFC 3339 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(seconds: float) -> str:
    """Format seconds since 1970 in the same way."""
    written = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return written.replace("+00:00", "Z")


def dump(message: Message) -> bytes:
    """Serialise a message as one line of JSON."""
    body: dict[str, Any]
    at = message.at or now()
    if isinstance(message, Summary):
        body = {"role": "summary", "version": SUMMARY_VERSION, "text": message.plain(), "at": at}
        body |= {"keeps": message.keeps, "model": message.model, "usage": message.usage.body()}
    elif isinstance(message, User):
        body = {"role": "user", "content": _content(message.content), "at": at}
    elif isinstance(message, Assistant):
        body = {"role": "assistant", "text": message.text, "at": at, "model": message.model}
        body["finish"] = message.finish
        body["usage"] = message.usage.body()
        if message.thinking:
            body["thinking"] = message.thinking
        if message.calls:
            body["calls"] = [_call(call) for call in message.calls]
        if message.state or any(call.state for call in message.calls):
            body["source"], body["state"] = message.source, message.state or {}
    else:
        body = {
            "role": "tool",
            "at": at,
            "results": [result_body(item) for item in message.results],
        }
    return jsons.write(body)


def _call(call: ToolCall) -> dict[str, Any]:
    body: dict[str, Any] = {"id": call.id, "name": call.name, "arguments": call.arguments}
    return {**body, "state": call.state} if call.state else body


def _content(content: str | list[Part]) -> Any:
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, File):
        return {"type": "file", "name": part.name, "url": part.url}
    found = {"type": "image", "url": part.url}
    return {**found, "detail": part.detail} if part.detail else found


def result_body(item: ToolResult) -> dict[str, Any]:
    """Return a result as it is stored."""
    body: dict[str, Any] = {
        "id": item.id,
        "name": item.name,
        "content": item.content,
        "outcome": item.outcome,
    }
    if item.images:
        body["images"] = [_part(one) for one in item.images]
    if item.citations:
        body["citations"] = [asdict(one) for one in item.citations]
    if item.duration_ms is not None:
        body["duration_ms"] = item.duration_ms
    return body


def load(row: bytes | str) -> Message:
    """Read a row.

    Raises:
        UnreadableError: it is not in our format: invalid JSON, an unknown role, or wrong types.
    """
    try:
        body = orjson.loads(row)
        at = _text(body, "at")
        role = body["role"]
        if role == "user":
            return User(_read_content(body["content"]), at)
        if role == "assistant":
            return _assistant(body, at)
        if role == "tool":
            return ToolResults([read_result(item) for item in body["results"]], at)
        if role == "summary" and body["version"] == SUMMARY_VERSION:
            return _summary(body, at)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreadableError(f"a stored message cannot be read: {type(error).__name__}") from None
    raise UnreadableError(
        "a stored message is of an unknown kind: a newer version of the runtime may have written it"
    )


def is_summary(row: bytes) -> bool:
    """Whether a row is a summary, without reading it: its role stands first."""
    return row.startswith(b'{"role":"summary"')


def _summary(body: dict[str, Any], at: str) -> Summary:
    keeps = body["keeps"]
    if type(keeps) is not int or keeps < 0:
        raise ValueError("keeps")
    usage = _usage(body["usage"])
    return Summary(NOTE + _text(body, "text"), at, keeps, _text(body, "model"), usage)


def _assistant(body: dict[str, Any], at: str) -> Assistant:
    return Assistant(
        text=_text(body, "text"),
        thinking=_text(body, "thinking", ""),
        calls=[
            ToolCall(_text(call, "id"), _text(call, "name"), _text(call, "arguments"), _state(call))
            for call in body.get("calls", [])
        ],
        usage=_usage(body["usage"]),
        model=_text(body, "model"),
        finish=_text(body, "finish"),
        at=at,
        source=_text(body, "source", ""),
        state=_state(body),
    )


def _usage(body: dict[str, Any]) -> Usage:
    cost = body.get("cost_usd")
    counts = (body["input_tokens"], body["output_tokens"])
    if not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError("usage")
    details = {name: body[name] for name in _DETAILS if name in body}
    return Usage(*counts, float(cost) if cost is not None else None, **details)


def _state(body: dict[str, Any]) -> State | None:
    state = body.get("state")
    if state is not None and not isinstance(state, dict):
        raise TypeError("state")
    return state or None


def _read_content(content: Any) -> str | list[Part]:
    return content if isinstance(content, str) else [_read_part(part) for part in content]


def _read_part(part: dict[str, Any]) -> Part:
    if part["type"] == "text":
        return _text(part, "text")
    if part["type"] == "file":
        return File(_text(part, "name"), _text(part, "url"))
    return Image(_text(part, "url"), part.get("detail"))


def read_result(item: dict[str, Any]) -> ToolResult:
    """Read a stored result.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    outcome = item["outcome"]
    if outcome not in ("ok", "error", "timeout", "invalid", "denied"):
        raise ValueError("outcome")
    images = tuple(Image(_text(one, "url"), one.get("detail")) for one in item.get("images", ()))
    names = (_text(item, "id"), _text(item, "name"), _text(item, "content"))
    took = item.get("duration_ms")
    if took is not None and type(took) not in (int, float):
        raise TypeError("duration_ms")
    quoted = tuple(_citation(one) for one in item.get("citations", ()))
    return ToolResult(*names, outcome, images, quoted, took)


def _citation(body: dict[str, Any]) -> Citation:
    number, score = body["number"], body["score"]
    if type(number) is not int or type(score) not in (int, float):
        raise TypeError("citations")
    return Citation(number, _text(body, "source"), _text(body, "heading"), score)


def _text(body: dict[str, Any], name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def recent(messages: list[Message], limit: int) -> list[Message]:
    """Return the newest messages, at most `limit`, starting with a user's message.

    So a tool call is never separated from its result, nor an answer from its question. A single
    turn that is longer than the limit is kept whole.
    """
    if len(messages) <= limit:
        return messages
    if isinstance(messages[0], Summary):
        return [messages[0], *recent(messages[1:], limit)]
    start = len(messages) - limit
    while start < len(messages) and not isinstance(messages[start], User):
        start += 1
    if start == len(messages):
        start = max((n for n, item in enumerate(messages) if isinstance(item, User)), default=start)
    return messages[start:]


def standing(messages: list[Message]) -> list[Message]:
    """Return the newest summary, the messages that it keeps, and what came later; all if there is none."""
    place = max((n for n, item in enumerate(messages) if isinstance(item, Summary)), default=-1)
    if place < 0:
        return messages
    found = messages[place]
    keeps = found.keeps if isinstance(found, Summary) else 0
    before = [item for item in messages[:place] if not isinstance(item, Summary)]
    return [found, *before[max(0, len(before) - keeps) :], *messages[place + 1 :]]
