"""What a provider means by an error: its status, its codes and its words, in every form that is in use."""

import re
from collections.abc import Iterator
from typing import Any

from fleetform_runtime import jsons
from fleetform_runtime.models import ChatRequest, Kind, ModelError

LONGEST_TEXT = 500
_MEMBERS = (
    "error",
    "message",
    "detail",
    "errors",
    "msg",
    "error_description",
    "fault",
    "faultstring",
    "title",
    "raw",
)
_CODES = ("code", "type", "status", "error_type", "error_code", "reason")
_INSIDE = re.compile(r"\s*(data:\s*)?[{\[]")
"""How a text begins that is JSON in its turn."""
_TITLE = re.compile(rb"<title[^>]*>\s*(.*?)\s*</title>", re.IGNORECASE | re.DOTALL)

_CONTEXT_CODES = frozenset(
    (
        "context_length_exceeded", "context_window_exceeded", "contextwindowexceedederror",
        "exceed_context_size_error", "exceed_context_size", "context_too_long",
        "request_too_large", "max_context_length_exceeded", "model_context_window_exceeded",
        "input_too_long", "prompt_too_long",
    )
)  # fmt: skip
_CONTEXT = re.compile(
    r"context[ _-]?(length|window|size|limit)|maximum context|max(imum)?[ _](model|sequence|prompt|input)[ _]?len"
    r"|longer than the (maximum )?model|too many (input )?tokens|(prompt|input|request|message|messages|conversation|query)"
    r"( is| are| was|'s)?( too)? (long|large)\b|exceed\w* (the )?(maximum|max|model|configured|allowed)?[^.]{0,40}tokens?"
    r"|tokens? (count|length|limit|size)?[^.]{0,60}exceed|token limit|reduce (the|your) (length|prompt|input|message|number of)"
    r"|maximum (allowed )?(prompt|input|number of (input )?tokens)|range of input length|input length[^.]{0,40}(exceed|should be)"
    r"|\bn_ctx\b|tokens`? \+ `?max_new_tokens|must have less than \d+ tokens|\u8d85\u957f"
    r"|\u4e0a\u4e0b\u6587(\u957f\u5ea6|\u7a97\u53e3)|\u8d85\u8fc7[^.]{0,20}(\u957f\u5ea6|token)"
    r"|\u8f93\u5165[^.]{0,10}\u8fc7\u957f|exceeds? max length",
    re.IGNORECASE,
)
_LONG_STRING = "string_above_max_length"
_OF_MESSAGES = re.compile(
    r"'(messages|input|prompt)(\[\d+\])?(\.[\w\[\].]*\b(content|text|output|arguments)\b[\w\[\].]*)?'"
)
"""What is too long is a part of the conversation, not the name of a tool."""
_NOT_CONTEXT = re.compile(r"rate limit|per (minute|day|hour)|quota|\bTPM\b|\bRPM\b", re.IGNORECASE)
_TOO_LARGE_AT_ONCE = re.compile(r"request too large|must be reduced", re.IGNORECASE)
_FILTER = re.compile(
    r"content[ _]?filter|responsible ?ai|content management policy|content[ _]?policy|data_?inspection_?failed|inappropriate content"
    r"|prompt was (blocked|flagged)|safety system|\bmoderation\b|sensitive content|prohibited_content",
    re.IGNORECASE,
)
_SPENT_CODES = frozenset(("insufficient_quota", "billing_hard_limit_reached"))
_SPENT = re.compile(
    r"insufficient_quota|exceeded your current quota|billing|insufficient (balance|credits?)|credit balance|"
    r"payment required|arrearage|out of credits",
    re.IGNORECASE,
)
_MEMBER = re.compile(rb'"n_ctx"\s*:\s*(\d{3,8})\b')
_WINDOW = (
    re.compile(r"(?:>=?|<=) ?(?:n_ctx\W{1,3})?(\d{3,8})\b"),
    re.compile(r"(\d{3,8}) (?:tokens )?max(?:imum)?\b", re.IGNORECASE),
    re.compile(
        r"(?:maximum|max|available|configured)[^.\d]{0,60}?(\d{3,8})\b(?! tokens? in)",
        re.IGNORECASE,
    ),
    re.compile(
        r"(?:limit|context (?:size|window|length))[^.\d]{0,40}?(\d{3,8})\b(?!\))", re.IGNORECASE
    ),
    re.compile(r"less than (\d{3,8}) tokens"),
    re.compile(r"\[\d+, ?(\d{3,8})\]"),
)


def text_of(raw: bytes) -> str:
    """Return the message of an error's body in any of the usual forms, at most 500 characters."""
    try:
        data = _document(raw)
    except ValueError:
        found = _TITLE.search(raw[:65_536])
        return (found[1] if found else raw[:LONGEST_TEXT]).decode("utf-8", "replace")[:LONGEST_TEXT]
    return _said(data, 6)[:LONGEST_TEXT]


def _document(raw: bytes | str) -> Any:
    """Read a body, or a text inside of one: JSON, which some send as the event of a stream.

    Raises:
        ValueError: it is neither.
    """
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    return jsons.read(text.strip().removeprefix("data:"))


def _said(data: Any, levels: int) -> str:
    if isinstance(data, str) and _INSIDE.match(data) and levels:
        try:
            return _said(_document(data), levels - 1)
        except ValueError:
            return data
    if isinstance(data, list) and data and levels:
        return _said(data[0], levels - 1)
    if isinstance(data, dict) and levels and (inner := _inner(data)) is not None:
        return _said(inner, levels - 1)
    return data if isinstance(data, str) else jsons.write(data).decode()


def _inner(data: dict[str, Any]) -> Any:
    """Return the member of an error that says the most; None if none does."""
    if isinstance(where := data.get("loc"), list) and isinstance(data.get("msg"), str):
        return f"{'.'.join(map(str, where))}: {data['msg']}"  # one of a list of what is wrong
    behind = data.get("metadata")
    if isinstance(behind, dict) and behind.get("raw"):  # what a gateway was told in its turn
        return behind["raw"]
    return next((data[name] for name in _MEMBERS if data.get(name)), None)


def codes_of(raw: bytes) -> set[str]:
    """Return the codes and types that an error's body has, in lower case."""
    try:
        data = _document(raw)
    except ValueError:
        return set()
    return {str(code).lower() for code in _codes(data, 6)}


def _codes(data: Any, levels: int) -> Iterator[Any]:
    if not levels:
        return
    if isinstance(data, dict):
        for name, value in data.items():
            if isinstance(value, dict | list):
                yield from _codes(value, levels - 1)
            elif name in _CODES and isinstance(value, str | int):
                yield value
            elif isinstance(value, str) and _INSIDE.match(value):
                try:
                    yield from _codes(_document(value), levels - 1)
                except ValueError:
                    continue
    elif isinstance(data, list):
        for value in data[:10]:
            yield from _codes(value, levels - 1)


def failure(status: int, raw: bytes, wait: float | None = None) -> ModelError:
    """Return what an HTTP error means; `wait` is what the server asks for, in seconds."""
    text, codes = text_of(raw), codes_of(raw)
    kind = _kind(status, text, codes)
    made = ModelError(kind, text, status=status, retry_after=wait)
    if kind == "context":
        made.window = _window(raw, text)
    return made


def inside(raw: bytes, where: str, otherwise: str = "") -> ModelError:
    """Return what an error means that came in a body of status 200, or in a stream."""
    codes = codes_of(raw)
    status = next((int(code) for code in codes if code.isdigit() and 400 <= int(code) < 600), 0)
    text = text_of(raw)
    words = {
        "rate_limit_error": 429, "rate_limit_exceeded": 429, "overloaded_error": 529,
        "authentication_error": 401, "invalid_request_error": 400, "not_found_error": 404,
    }  # fmt: skip
    status = status or next((words[code] for code in codes if code in words), 500)
    if otherwise and not codes:
        return ModelError("invalid", f"{otherwise}: {text}")
    found = failure(status, raw)
    found.detail = f"error {where}: {text}"
    found.args = (f"{found.kind}: {found.detail}",)
    return found


def _kind(status: int, text: str, codes: set[str]) -> Kind:
    """Return what an error is, by the first sign of the table that it shows."""
    is_filter = bool(_FILTER.search(text)) or any(_FILTER.search(code) for code in codes)
    is_long = bool(_CONTEXT.search(text)) and not _NOT_CONTEXT.search(text)
    signs: tuple[tuple[Kind, bool], ...] = (
        ("authentication", status in (401, 403) and not is_filter),
        ("refused", status == 402 or bool(_SPENT.search(text)) or bool(codes & _SPENT_CODES)),
        ("context", status == 413 or bool(codes & _CONTEXT_CODES)),
        ("context", _LONG_STRING in codes and bool(_OF_MESSAGES.search(text))),
        ("context", status == 429 and bool(_TOO_LARGE_AT_ONCE.search(text))),
        ("rate_limited", status == 429),
        ("context", is_long),
        ("filtered", status < 500 and is_filter),
        ("timeout", status in (408, 504)),
        ("server_error", status in (409, 425) or status >= 500),
    )
    return next((kind for kind, is_so in signs if is_so), "refused")


def _window(raw: bytes, text: str) -> int | None:
    """Return the size of the window in tokens, if an error tells it: in a member, or in words."""
    if member := _MEMBER.search(raw):
        return int(member[1])
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    return next((int(found[1]) for form in _WINDOW if (found := form.search(plain))), None)


_SAMPLING = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
"""Settings of a request that some models refuse, by names that mean nothing else."""


def of_setting(error: ModelError, request: ChatRequest) -> ModelError:
    """Return that a model does not take what the caller chose, if that is why it refused; else the error itself."""
    if error.status not in (400, 422):
        return error
    chosen = [name for name in _SAMPLING if request.overrides.get(name) is not None]
    refused = next((name for name in chosen if re.search(rf"\b{name}\b", error.detail)), None)
    if refused is None:
        return error
    return ModelError("unsupported", f"{refused}: the model does not take it", status=error.status)
