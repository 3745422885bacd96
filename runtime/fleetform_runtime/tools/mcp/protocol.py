"""The messages of the Model Context Protocol: versions, requests, results."""

import re
from collections.abc import Callable
from typing import Any

import orjson

from fleetform_runtime import __version__, jsons
from fleetform_runtime.messages import Image
from fleetform_runtime.net.client import traceparent
from fleetform_runtime.net.lines import Lines
from fleetform_runtime.tools import (
    IMAGES,
    LARGEST_IMAGE,
    MOST_IMAGES,
    InputNeededError,
    Output,
    ToolError,
)

Hear = Callable[[dict[str, Any]], None]
"""Takes a notification of the server."""

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
CLIENT = {"name": "fleetform-runtime", "version": __version__}
LARGEST_MESSAGE = 8 * 1024 * 1024
LONGEST_QUESTION = 4_000
"""Characters of what a server asks a person."""
LINE_COST = 64
"""Bytes that a line of an event costs us besides its content."""

FORMS: dict[str, Any] = {"elicitation": {"form": {}}}
"""What we can do for a server: have people fill in forms."""
_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": CLIENT,
    "io.modelcontextprotocol/clientCapabilities": FORMS,
}


class McpError(Exception):
    """A server answered with a protocol error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = 200
        """The HTTP status that came with it."""


class DownError(Exception):
    """A server cannot be reached, or broke off."""


def ignore(notification: dict[str, Any]) -> None:
    """Hear nothing of what a server tells."""
    del notification


def request(number: int, method: str, params: dict[str, Any], *, modern: bool) -> bytes:
    """Serialise a request; the trace's context goes with it, as SEP-414 says."""
    meta: dict[str, Any] = dict(_META) if modern else {}
    if trace := traceparent.get():
        meta["traceparent"] = trace
    if meta:
        params = {**params, "_meta": meta}
    return jsons.write({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def notification(method: str) -> bytes:
    """Serialise a notification."""
    return orjson.dumps({"jsonrpc": "2.0", "method": method})


def hello() -> dict[str, Any]:
    """Return the parameters of the handshake of older versions."""
    return {"protocolVersion": LEGACY, "capabilities": FORMS, "clientInfo": CLIENT}


def messages(raw: bytes) -> list[dict[str, Any]]:
    """Parse a message, or the batch of messages of protocol 2025-03-26; none if it is invalid."""
    try:
        found = jsons.read(raw)
    except ValueError:
        return []
    return [
        item for item in (found if isinstance(found, list) else [found]) if isinstance(item, dict)
    ]


def answer_to(number: int, raw: bytes) -> dict[str, Any] | None:
    """Return the response to one of our requests; None if there is none."""
    found = [item for item in messages(raw) if "method" not in item]
    fitting = [item for item in found if item.get("id") == number]
    return next(iter(fitting or found), None)


def result(found: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a response.

    Raises:
        McpError: it is an error.
        DownError: it is not a response.
    """
    error = found.get("error")
    if isinstance(error, dict):
        code = error.get("code")
        raise McpError(code if isinstance(code, int) else 0, str(error.get("message", ""))[:500])
    body = found.get("result")
    if not isinstance(body, dict):
        raise DownError("the server's message is not a response")
    return body


def output_of(body: dict[str, Any]) -> Output:
    """Return a tool's result for the model.

    Raises:
        ToolError: the tool reports a failure, or asks for input that we cannot give.
    """
    if body.get("resultType") == "input_required":
        raise _needed(body)
    content = body.get("content")
    items = (
        [item for item in content if isinstance(item, dict)] if isinstance(content, list) else []
    )
    images = [image for item in items if (image := _image(item)) is not None][:MOST_IMAGES]
    text = "\n".join(part for part in map(_part, items) if part)
    if not text and body.get("structuredContent") is not None:
        text = jsons.write(body["structuredContent"]).decode()
    if body.get("isError"):
        raise ToolError(text or "The tool failed.")
    return Output(text, tuple(images))


def _needed(body: dict[str, Any]) -> Exception:
    """Return what a server asks a person: one form, which becomes a question."""
    asked, state = body.get("inputRequests"), body.get("requestState")
    forms = list(asked.items()) if isinstance(asked, dict) else []
    if len(forms) == 1 and isinstance(forms[0][1], dict):
        key, one = forms[0]
        params = one.get("params")
        is_form = isinstance(params, dict) and params.get("mode", "form") == "form"
        if one.get("method") == "elicitation/create" and is_form:
            schema = params.get("requestedSchema")
            return InputNeededError(
                str(key)[:200],
                jsons.whole_text(str(params.get("message", "")))[:LONGEST_QUESTION],
                schema if isinstance(schema, dict) else {"type": "object"},
                state if isinstance(state, str) else None,
            )
    return ToolError("The tool asks for input that cannot be given here.")


def reply_to(needed: dict[str, Any], answer: Any) -> dict[str, Any]:
    """Return the parameters that a repeated call has besides its own: a person's answer to a form."""
    content = answer if isinstance(answer, dict) else {"answer": answer}
    found: dict[str, Any] = {
        "inputResponses": {needed["key"]: {"action": "accept", "content": content}}
    }
    return {**found, "requestState": needed["state"]} if "state" in needed else found


def _image(item: dict[str, Any]) -> Image | None:
    """Return the image of a part, if it is one that models take."""
    resource = item.get("resource")
    found = resource if item.get("type") == "resource" and isinstance(resource, dict) else item
    media = str(found.get("mimeType", "")).lower()
    data = found.get("blob" if found is resource else "data")
    if media not in IMAGES or not isinstance(data, str) or len(data) > LARGEST_IMAGE * 4 // 3 + 4:
        return None
    return Image(f"data:{media};base64,{data}") if _BASE64.fullmatch(data) else None


_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


def _part(item: dict[str, Any]) -> str:
    kind = item.get("type")
    if kind == "text":
        return str(item.get("text", ""))
    resource = item.get("resource")
    if kind == "resource" and isinstance(resource, dict):
        return str(resource.get("text") or f"[resource {resource.get('uri', '')}]")
    if kind == "resource_link":
        return f"[resource {item.get('uri', '')}]"
    if kind in ("image", "audio"):
        return f"[{kind} {item.get('mimeType', '')}, {len(str(item.get('data', '')))} characters]"
    return ""


class EventReader:
    """Parses server-sent events."""

    def __init__(self, most: int = LARGEST_MESSAGE) -> None:
        self._most = most
        self._lines = Lines()
        self._data: list[bytes] = []
        self._size = 0
        self._event = b"message"
        self.last_id = ""
        """Identifier of the last event that has one: the place from which a server can go on."""
        self.retry = 0.0
        """Seconds that the server asks to wait before that."""

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """Return the complete events.

        Raises:
            DownError: one is larger than a message may be, lines without content counted too.
        """
        lines = self._lines.feed(data)
        found: list[tuple[str, bytes]] = []
        for line in lines:
            if line:
                self._field(line)
                continue
            if self._data:
                found.append((self._event.decode("utf-8", "replace"), b"\n".join(self._data)))
            self._data, self._size, self._event = [], 0, b"message"
        if self._lines.held + self._size > self._most:
            raise DownError("an event of the server is too large")
        return found

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value) + LINE_COST
        elif name == b"event":
            self._event = value.strip()[:100]
        elif name == b"id":
            self.last_id = value.decode("latin-1")[:1_000]
        elif name == b"retry" and value.strip().isdigit():
            self.retry = int(value[:9]) / 1000
