"""Tools that are one HTTP request each."""

import asyncio
import base64
from typing import Any
from urllib.parse import quote, urlencode

from fleetform_runtime import jsons
from fleetform_runtime.messages import Image
from fleetform_runtime.net import NetError, again
from fleetform_runtime.net.build import client
from fleetform_runtime.net.client import Answer
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.tools import ApiParameter, ApiTool, Parameter
from fleetform_runtime.tools import IMAGES, LARGEST_IMAGE, CallContext, Kind, Output, ToolError
from fleetform_runtime.tools.failures import tool_error

LARGEST_ANSWER = 8 * 1024 * 1024
LONGEST_PAUSE = 10.0
SHOWN_OF_AN_ERROR = 2_000
_SCHEMA_FIELDS = (
    "type", "description", "default", "enum", "format", "pattern", "min_length", "max_length",
    "minimum", "maximum", "min_items", "max_items", "items", "properties",
)  # fmt: skip


def arguments_schema(parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    """Return the JSON Schema of a tool's arguments."""
    properties = {}
    for item in parameters:
        properties[item.name] = {
            type(item).model_fields[name].alias or name: value
            for name in _SCHEMA_FIELDS
            if (value := getattr(item, name)) is not None
        }
        if "enum" in properties[item.name]:
            properties[item.name]["enum"] = list(item.enum or ())
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required := [item.name for item in parameters if item.required]:
        schema["required"] = required
    schema["additionalProperties"] = False
    return schema


WHO = "The tool's service"
UNSAFE = frozenset({"POST", "PATCH"})
"""Methods that are not idempotent."""


class HttpTool:
    """Calls one endpoint."""

    kind: Kind = "api"
    server = ""

    def __init__(self, settings: ApiTool, secrets: Secrets) -> None:
        self.name = settings.name
        self.description = settings.description
        self.requires_approval = settings.requires_approval
        self.schema = arguments_schema(settings.parameters)
        self.checked: dict[str, Any] | None = self.schema
        self._settings = settings
        self._client = client(
            settings.endpoint,
            secrets,
            headers=settings.headers,
            auth=settings.auth,
            tls=settings.tls,
        )

    async def run(self, arguments: dict[str, Any], context: CallContext) -> Output | str:
        """Send the request, with retries if they can help."""
        settings = self._settings
        url, headers, body = request(settings, arguments)
        if settings.idempotency_key and settings.method != "GET":
            headers[settings.idempotency_header] = context.key
        try:
            async with asyncio.timeout(settings.timeout_seconds):
                return self._read(await self._tried(url, headers, body))
        except NetError as error:
            raise tool_error(error, WHO) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    @property
    def _can_repeat(self) -> bool:
        """Whether the service can tell a retry from a second call."""
        return self._settings.idempotency_key or self._settings.method not in UNSAFE

    async def _tried(self, url: str, headers: dict[str, str], body: bytes | None) -> Answer:
        """Send until there is an answer that another try would not better."""
        settings = self._settings
        tries = 1 + (settings.retries if self._can_repeat else 0)
        return await again.sent(
            lambda: self._client.send(
                settings.method,
                url,
                seconds=settings.timeout_seconds,
                most=LARGEST_ANSWER,
                headers=headers,
                body=body,
            ),
            tries,
            lambda status: status == 429 or status >= 500,
            longest=LONGEST_PAUSE,
        )

    def _read(self, answer: Answer) -> Output | str:
        text = answer.text()
        if not 200 <= answer.status < 300:
            shown = (text or "").strip()[:SHOWN_OF_AN_ERROR]
            raise ToolError(f"The service answered {answer.status}. {shown}".strip())
        if not answer.body.strip():
            return f"Done ({answer.status}, no content)."
        if self._settings.output is None:
            return text if text is not None else not_text(answer)
        try:
            document = jsons.read(text or "")
        except ValueError:
            raise ToolError("The service did not answer with JSON.") from None
        return jsons.write(filtered(document, self._settings.output)).decode()


def not_text(answer: Answer) -> Output:
    """Return an answer that is no text: an image to see, or what can be said of it."""
    told = f"[{answer.media or 'data of an unknown type'}, {len(answer.body)} bytes: not text]"
    if answer.media not in IMAGES or len(answer.body) > LARGEST_IMAGE:
        return Output(told)
    data = base64.b64encode(answer.body).decode()
    return Output(told, (Image(f"data:{answer.media};base64,{data}"),))


def request(
    settings: ApiTool, arguments: dict[str, Any]
) -> tuple[str, dict[str, str], bytes | None]:
    """Put the arguments where the specification says: URL, headers, body.

    Raises:
        ToolError: one of them is not valid there.
    """
    url = settings.endpoint
    query: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    members: dict[str, Any] = {}
    for item in settings.parameters:
        value = arguments.get(item.name, item.default)
        if value is None:
            continue
        if item.location == "path":
            url = url.replace(f"{{{item.name}}}", _segment(item, value))
        elif item.location == "query":
            query += [(item.name, one) for one in _many(value)]
        elif item.location == "header":
            headers[item.name] = _header(item, value)
        else:
            members[item.name] = value
    if "{" in url:
        raise ToolError("An argument that is part of the URL is missing.", "invalid")
    if query:
        url += ("&" if "?" in url else "?") + urlencode(query, quote_via=quote, safe="")
    has_body = any(item.location == "body" for item in settings.parameters)
    if not has_body:
        return url, headers, None
    headers.setdefault("Content-Type", "application/json")
    return url, headers, jsons.write(members)


def _segment(item: ApiParameter, value: Any) -> str:
    """Encode one segment of a path so that it stays one and cannot climb."""
    text = _one(value)
    if text.strip() in ("", ".", "..") or any(ord(mark) < 32 for mark in text):
        raise ToolError(f"{item.name}: this value cannot be part of the URL.", "invalid")
    return quote(text, safe="")


def _header(item: ApiParameter, value: Any) -> str:
    text = _one(value)
    if any(ord(mark) < 32 or ord(mark) > 126 for mark in text):
        raise ToolError(f"{item.name}: a header can only contain printable ASCII.", "invalid")
    return text


def _many(value: Any) -> list[str]:
    return [_one(item) for item in value] if isinstance(value, list) else [_one(value)]


def _one(value: Any) -> str:
    if isinstance(value, str):
        return value
    return jsons.write(value).decode()


def filtered(document: Any, schema: dict[str, Any]) -> Any:
    """Remove members that a schema does not list; what it does not cover is kept."""
    if isinstance(document, list) and isinstance(schema.get("items"), dict):
        return [filtered(item, schema["items"]) for item in document]
    properties = schema.get("properties")
    if not isinstance(document, dict) or not isinstance(properties, dict):
        return document
    return {
        name: filtered(document[name], inner) if isinstance(inner, dict) else document[name]
        for name, inner in properties.items()
        if name in document
    }
