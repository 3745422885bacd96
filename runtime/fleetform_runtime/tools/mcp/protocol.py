"""The messages of the Model Context Protocol: versions, requests, results."""

from typing import Any

import orjson

from fleetform_runtime import __version__
from fleetform_runtime.tools import ToolError

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
CLIENT = {"name": "fleetform-runtime", "version": __version__}
LARGEST_MESSAGE = 16 * 1024 * 1024

_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}


class McpError(Exception):
    """A server answered with a protocol error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class DownError(Exception):
    """A server cannot be reached, or broke off."""


def request(number: int, method: str, params: dict[str, Any], *, modern: bool) -> bytes:
    """Serialise a request."""
    if modern:
        params = {**params, "_meta": _META}
    return orjson.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def notification(method: str) -> bytes:
    """Serialise a notification."""
    return orjson.dumps({"jsonrpc": "2.0", "method": method})


def hello() -> dict[str, Any]:
    """Return the parameters of the handshake of older versions."""
    return {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT}


def message(raw: bytes) -> dict[str, Any] | None:
    """Parse a message; None if it is invalid."""
    try:
        found = orjson.loads(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


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


def text_of(body: dict[str, Any]) -> str:
    """Return the text of a tool's result for the model.

    Raises:
        ToolError: the tool reports a failure, or asks for input that we cannot give.
    """
    if body.get("resultType") == "input_required":
        raise ToolError("The tool asks for input that cannot be given here.")
    content = body.get("content")
    parts = (
        [_part(item) for item in content if isinstance(item, dict)]
        if isinstance(content, list)
        else []
    )
    text = "\n".join(part for part in parts if part)
    if not text and body.get("structuredContent") is not None:
        text = orjson.dumps(body["structuredContent"]).decode()
    if body.get("isError"):
        raise ToolError(text or "The tool failed.")
    return text


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

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._event = b"message"

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """Return the complete events."""
        lines = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) + sum(map(len, self._data)) > LARGEST_MESSAGE:
            raise DownError("an event of the server is too large")
        found: list[tuple[str, bytes]] = []
        for line in lines:
            if not line:
                if self._data:
                    found.append((self._event.decode(), b"\n".join(self._data)))
                self._data, self._event = [], b"message"
            elif line.startswith(b"data:"):
                self._data.append(line[5:].lstrip())
            elif line.startswith(b"event:"):
                self._event = line[6:].strip()
        return found
