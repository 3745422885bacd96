"""Tools that are one HTTP request each."""

import asyncio
import random
from typing import Any
from urllib.parse import quote, urlencode, urljoin

import aiohttp
import orjson
from yarl import URL

from fleetform_runtime.answers import TooLargeError, whole
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.tools import ApiParameter, ApiTool, Parameter
from fleetform_runtime.tools import CallContext, Kind, ToolError
from fleetform_runtime.tools.guard import origin
from fleetform_runtime.tools.outbound import Outbound

LARGEST_ANSWER = 8 * 1024 * 1024
MOST_HOPS = 3
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
        self._settings = settings
        self._outbound = Outbound(
            settings.endpoint,
            secrets,
            headers=settings.headers,
            auth=settings.auth,
            tls=settings.tls,
        )

    async def run(self, arguments: dict[str, Any], context: CallContext) -> str:
        """Send the request, with retries if they can help."""
        settings = self._settings
        url, headers, body = request(settings, arguments)
        if settings.idempotency_key and settings.method != "GET":
            headers[settings.idempotency_header] = context.key
        if context.traceparent:
            headers["traceparent"] = context.traceparent
        async with asyncio.timeout(settings.timeout_seconds):
            return await self._tried(url, headers, body)

    @property
    def _can_repeat(self) -> bool:
        """Whether the service can tell a retry from a second call."""
        return self._settings.idempotency_key or self._settings.method not in UNSAFE

    async def close(self) -> None:
        """Close the pool."""
        await self._outbound.close()

    async def _tried(self, url: str, headers: dict[str, str], body: bytes | None) -> str:
        tries = 1 + (self._settings.retries if self._can_repeat else 0)
        for attempt in range(tries):
            is_last = attempt + 1 == tries
            pause: float | None = None
            try:
                status, answer, asked = await self._sent(url, headers, body)
            except (aiohttp.ClientError, OSError) as error:
                if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                    raise
                if is_last:
                    raise ToolError("The tool's service cannot be reached.") from None
            else:
                if is_last or not (status == 429 or status >= 500):
                    return self._read(status, answer)
                pause = asked
            await asyncio.sleep(_pause(attempt, pause))
        raise AssertionError("a loop of at least one try")  # pragma: no cover

    async def _sent(
        self, url: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, bytes, float | None]:
        """Send once, following redirects that stay on the specified origin."""
        renewed = False
        hops = 0
        while True:
            credentials = await self._outbound.headers(renew=renewed)
            async with self._outbound.session().request(
                self._settings.method,
                URL(url, encoded=True),
                data=body,
                headers={**headers, **credentials},
                ssl=self._outbound.tls(),
                allow_redirects=False,
            ) as response:
                location = response.headers.get("Location")
                if response.status in (301, 302, 303, 307, 308) and location:
                    url = self._redirected(url, location)
                    hops += 1
                    if hops > MOST_HOPS:
                        raise ToolError("The tool's service redirects in a loop.")
                    continue
                if response.status == 401 and self._outbound.can_renew and not renewed:
                    renewed = True
                    continue
                answer = await self._whole(response)
                return response.status, answer, _asked(response.headers.get("Retry-After"))

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        try:
            return await whole(response, LARGEST_ANSWER)
        except TooLargeError:
            raise ToolError("The service's response is too large.") from None

    def _redirected(self, url: str, location: str) -> str:
        target = urljoin(url, location)
        if origin(target) != self._outbound.origin:
            raise ToolError("The tool's service redirects to another host.")
        if self._settings.method not in ("GET",):
            raise ToolError("The tool's service redirects a request that has side effects.")
        return target

    def _read(self, status: int, answer: bytes) -> str:
        if not 200 <= status < 300:
            shown = answer[:SHOWN_OF_AN_ERROR].decode("utf-8", "replace").strip()
            raise ToolError(f"The service answered {status}. {shown}".strip())
        if not answer.strip():
            return f"Done ({status}, no content)."
        if self._settings.output is None:
            return answer.decode("utf-8", "replace")
        try:
            document = orjson.loads(answer)
        except ValueError:
            raise ToolError("The service did not answer with JSON.") from None
        return orjson.dumps(filtered(document, self._settings.output)).decode()


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
    return url, headers, orjson.dumps(members)


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
    return orjson.dumps(value).decode()


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


def _asked(header: str | None) -> float | None:
    try:
        return float(header) if header else None
    except ValueError:
        return None


def _pause(attempt: int, asked: float | None) -> float:
    if asked is not None and asked >= 0:
        return min(asked, LONGEST_PAUSE)
    return random.uniform(0.1, 0.2) * float(2**attempt)  # noqa: S311 - not a secret
