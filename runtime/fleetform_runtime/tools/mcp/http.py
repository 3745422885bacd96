"""MCP over streamable HTTP: one POST per request, without a session if the server supports that.

A server is first addressed with protocol 2026-07-28. If it does not support that, the handshake of
the older versions is used, and its session is reopened whenever the server says that it is unknown:
so the first call after a server's restart succeeds.
"""

import asyncio
import itertools
from typing import Any

import aiohttp

from fleetform_runtime.answers import TooLargeError, whole
from fleetform_runtime.tools.mcp import protocol
from fleetform_runtime.tools.mcp.protocol import DownError, EventReader, McpError
from fleetform_runtime.tools.outbound import Outbound

_UNKNOWN_TO_ELDERS = frozenset((400, 404, 405, 406, 415, 422, 501))
_ACCEPT = "application/json, text/event-stream"


class StatusError(Exception):
    """The server answered with an HTTP error."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class HttpTransport:
    """Sends requests to one endpoint."""

    def __init__(self, url: str, outbound: Outbound) -> None:
        self._url = url
        self._outbound = outbound
        self._numbers = itertools.count(1)
        self._is_modern: bool | None = None
        self._session: str | None = None
        self._version = protocol.LEGACY
        self._greeting = asyncio.Lock()
        self._greeted = False

    @property
    def version(self) -> str:
        """Return the protocol version in use."""
        return protocol.MODERN if self._is_modern else self._version

    async def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its result.

        Raises:
            McpError: the server refuses it.
            DownError: the server cannot be reached, or broke off.
        """
        try:
            if self._is_modern is not False:
                return await self._modern(method, params)
            return await self._elder(method, params)
        except StatusError as error:
            raise DownError(f"status {error.status}") from None
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                raise
            raise DownError(type(error).__name__) from None

    async def close(self) -> None:
        """Close the pool."""
        await self._outbound.close()

    async def _modern(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        headers = {"MCP-Protocol-Version": protocol.MODERN, "Mcp-Method": method}
        if "name" in params:
            headers["Mcp-Name"] = str(params["name"])
        try:
            found, _ = await self._post(method, params, headers, modern=True)
        except StatusError as error:
            if self._is_modern or error.status not in _UNKNOWN_TO_ELDERS:
                raise
        except McpError:
            # Older servers reject an unknown version in many ways; the first request only lists
            # tools.
            if self._is_modern:
                raise
        else:
            self._is_modern = True
            return found
        found = await self._elder(method, params)
        self._is_modern = False
        return found

    async def _elder(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        await self._greet(self._session, force=not self._greeted)
        used = self._session
        try:
            return (await self._post(method, params, self._elder_headers(), modern=False))[0]
        except StatusError as error:
            if error.status not in (400, 404):
                raise
        await self._greet(used, force=True)
        return (await self._post(method, params, self._elder_headers(), modern=False))[0]

    async def _greet(self, used: str | None, *, force: bool) -> None:
        """Open a session, unless another task has just done so."""
        if not force:
            return
        async with self._greeting:
            if self._greeted and self._session != used:
                return
            self._session = None
            body, headers = await self._post("initialize", protocol.hello(), {}, modern=False)
            self._session = headers.get("Mcp-Session-Id")
            self._version = str(body.get("protocolVersion") or protocol.LEGACY)
            await self._notify("notifications/initialized")
            self._greeted = True

    def _elder_headers(self) -> dict[str, str]:
        headers = {"MCP-Protocol-Version": self._version}
        if self._session:
            headers["Mcp-Session-Id"] = self._session
        return headers

    async def _notify(self, method: str) -> None:
        async with self._sent(
            protocol.notification(method), await self._all(self._elder_headers())
        ):
            pass

    async def _post(
        self,
        method: str,
        params: dict[str, Any],
        headers: dict[str, str],
        *,
        modern: bool,
        renew: bool = False,
    ) -> tuple[dict[str, Any], Any]:
        number = next(self._numbers)
        body = protocol.request(number, method, params, modern=modern)
        async with self._sent(body, await self._all(headers, renew=renew)) as response:
            kind = response.content_type
            if response.status == 401 and self._outbound.can_renew and not renew:
                return await self._post(method, params, headers, modern=modern, renew=True)
            if response.status >= 400:
                found = protocol.message(await self._whole(response)) if "json" in kind else None
                if found is not None and isinstance(found.get("error"), dict):
                    if response.status in (400, 404) and not modern and self._session:
                        raise StatusError(response.status)
                    protocol.result(found)
                raise StatusError(response.status)
            if kind == "text/event-stream":
                found = await _answer_in_stream(response, number)
            else:
                found = protocol.message(await self._whole(response))
            if found is None:
                raise DownError("the server's answer cannot be read")
            return protocol.result(found), response.headers

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        try:
            return await whole(response, protocol.LARGEST_MESSAGE)
        except TooLargeError:
            raise DownError("the server's answer is too large") from None

    async def _all(self, headers: dict[str, str], *, renew: bool = False) -> dict[str, str]:
        return {
            **await self._outbound.headers(renew=renew),
            "Content-Type": "application/json",
            "Accept": _ACCEPT,
            **headers,
        }

    def _sent(self, body: bytes, headers: dict[str, str]) -> Any:
        return self._outbound.session().post(
            self._url,
            data=body,
            headers=headers,
            ssl=self._outbound.tls(),
            allow_redirects=False,
        )


async def _answer_in_stream(response: aiohttp.ClientResponse, number: int) -> dict[str, Any]:
    """Read events until the response to our request."""
    reader = EventReader()
    async for piece in response.content.iter_any():
        for _, data in reader.feed(piece):
            found = protocol.message(data)
            if found is not None and found.get("id") == number and "method" not in found:
                return found
    raise DownError("the stream ended before the answer")
