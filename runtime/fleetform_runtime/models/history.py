"""Conversations as every provider takes them.

What a model or a server once said is sent back with each request: one broken call would end the
session for ever. So everything is looked at again on the way to a provider, where what is stored
stays as it was said, and is repaired as little as any provider's rules allow.
"""

import hashlib
import re
from dataclasses import replace

from fleetform_runtime import jsons
from fleetform_runtime.messages import (
    Assistant,
    Message,
    Part,
    ToolCall,
    ToolResult,
    ToolResults,
    User,
)

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_ODD = re.compile(r"[^A-Za-z0-9_-]+")
_TOKEN = re.compile(r"<\|.*", re.DOTALL)
NOTHING = "(nothing)"
"""Stands for a message without content, which providers refuse."""
NO_RESULT = "No result."
LONGEST_BROKEN = 2_000
"""Characters that are kept of arguments that are no JSON object."""
DEEPEST = 100
"""Levels of nesting of arguments; a provider's own limit is not known."""


def valid(messages: list[Message], source: str = "", *, tools: bool = True) -> list[Message]:
    """Return a conversation that a provider takes.

    Args:
        messages: the conversation, oldest first.
        source: who gets it: answers of others lose their identifiers, of which some providers
            take only those of their own form, and their state.
        tools: whether the request offers any; if not, calls become text, which needs none.
    """
    used: set[str] = set()
    found: list[Message] = []
    for message in _paired(messages):
        if isinstance(message, Assistant):
            answer = _assistant(message, source, used)
            found.append(answer)
        elif isinstance(message, ToolResults):
            found.append(_results(message, answer.calls))
        else:
            _add_user(found, message)
    return found if tools else _told(found)


def _paired(messages: list[Message]) -> list[Message]:
    """Give every call exactly one result, in the order of the calls; drop results without a call."""
    found: list[Message] = []
    for index, message in enumerate(messages):
        if isinstance(message, ToolResults):
            continue
        found.append(message)
        if isinstance(message, Assistant) and message.calls:
            follower = messages[index + 1] if index + 1 < len(messages) else None
            held = {r.id: r for r in follower.results} if isinstance(follower, ToolResults) else {}
            results = [held.get(call.id) or _missing(call) for call in message.calls]
            found.append(ToolResults(results, follower.at if follower else ""))
    return found


def _missing(call: ToolCall) -> ToolResult:
    return ToolResult(call.id, call.name, NO_RESULT, "denied")


def _assistant(message: Assistant, source: str, used: set[str]) -> Assistant:
    """Repair an answer; `used` has the identifiers of all calls before, and then of its own."""
    is_own = bool(source) and message.source == source
    calls: list[ToolCall] = []
    for index, call in enumerate(message.calls):
        name = call.id
        if not (is_own or not message.source) or not _ID.fullmatch(name) or name in used:
            name = _identifier(f"{len(used)} {index} {call.id}")
        used.add(name)
        state = call.state if is_own else None
        calls.append(ToolCall(name, _called(call.name), _arguments(call.arguments), state))
    text = jsons.whole_text(message.text)
    if not text.strip() and not calls:
        text = NOTHING
    return replace(
        message, text=text, thinking="", calls=calls, state=message.state if is_own else None
    )


def _identifier(text: str) -> str:
    """Return nine letters and digits: the strictest provider's form, which all others take too."""
    digest = int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8])
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return "".join(digits[digest // 36**place % 36] for place in range(9))


def _called(name: str) -> str:
    return name if _NAME.fullmatch(name) else _ODD.sub("_", _TOKEN.sub("", name))[:64] or "unknown"


def _arguments(text: str) -> str:
    """Return arguments as the text of a JSON object."""
    found = object_of(text)
    if found is None:
        broken = jsons.whole_text(text)[:LONGEST_BROKEN]
        return jsons.write({"not_a_json_object": broken}).decode()
    # Most models write valid JSON: then it goes back as it came, byte for byte.
    is_valid = text.startswith("{") and text.isascii() and _read(text) is not None
    return text if is_valid else jsons.write(found).decode()


def object_of(text: str) -> dict[str, object] | None:
    """Return the JSON object that a model meant: encoded once or twice, once or repeated; None if none."""
    stripped = text.strip()
    if stripped in ("", "null", '""'):
        return {}
    found = _read(stripped)
    if isinstance(found, str):
        found = {} if not found.strip() else _read(found)
    if found is None and (half := len(stripped) // 2) and stripped[:half] == stripped[-half:]:
        found = _read(stripped[:half])
    if not isinstance(found, dict):
        return None
    return None if jsons.is_deep(found, text, DEEPEST) else found


def _read(text: str) -> object:
    try:
        return jsons.read(text)
    except ValueError:
        return None


def _results(message: ToolResults, calls: list[ToolCall]) -> ToolResults:
    """Repair the results of some calls, which stand in the same order."""
    return ToolResults(
        [
            ToolResult(
                call.id,
                call.name,
                jsons.whole_text(result.content) or NOTHING,
                result.outcome,
                result.images,
            )
            for call, result in zip(calls, message.results, strict=True)
        ],
        message.at,
    )


def _add_user(found: list[Message], message: User) -> None:
    """Add a user's message; to the one before, if that was the user's too: some templates alternate."""
    content = message.content
    parts = [content] if isinstance(content, str) else content
    whole = [jsons.whole_text(part) if isinstance(part, str) else part for part in parts]
    whole = [part for part in whole if not isinstance(part, str) or part.strip()] or [NOTHING]
    before = found[-1] if found else None
    if isinstance(before, User):
        held = [before.content] if isinstance(before.content, str) else before.content
        found[-1] = User(_joined([*held, *whole]), message.at)
    else:
        found.append(User(_joined(whole), message.at))


def _joined(parts: list[Part]) -> str | list[Part]:
    texts = [part for part in parts if isinstance(part, str)]
    return "\n\n".join(texts) if len(texts) == len(parts) else parts


def _told(messages: list[Message]) -> list[Message]:
    """Write calls and results as text, for a request without tools."""
    found: list[Message] = []
    for message in messages:
        if isinstance(message, Assistant) and message.calls:
            called = [f"[called {call.name} with {call.arguments}]" for call in message.calls]
            text = "\n".join([*([message.text] if message.text.strip() else []), *called])
            found.append(replace(message, text=text, calls=[], state=None))
        elif isinstance(message, ToolResults):
            told: list[Part] = [f"[result of {one.name}]\n{one.content}" for one in message.results]
            told += [image for one in message.results for image in one.images]
            _add_user(found, User(told, message.at))
        elif isinstance(message, User):
            _add_user(found, message)
        else:
            found.append(message)
    return found
