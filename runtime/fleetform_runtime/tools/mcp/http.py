"""MCP over streamable HTTP: one POST per request, without a session if the server supports that.

A server is first addressed with protocol 2026-07-28. If it does not support that - or no longer
does, since it was replaced by an older one - the handshake of the older versions is used, and its
session is reopened whenever the server says that it is unknown: so the first call after a server's
restart succeeds.
"""

import asyncio
import itertools
from typing import Any

from fleetform_runtime.net import NetError
from fleetform_runtime.net.client import Client, Reply
from fleetform_runtime.tools.mcp import protocol, questions
from fleetform_runtime.tools.mcp.listening import Listener
from fleetform_runtime.tools.mcp.protocol import DownError, EventReader, Hear, McpError
from fleetform_runtime.tools.mcp.questions import Questions

_UNKNOWN_TO_ELDERS = frozenset((400, 404, 405, 406, 415, 422, 501))
_ACCEPT = "application/json, text/event-stream"
_JSON = {"Content-Type": "application/json", "Accept": _ACCEPT}
MOST_RESUMED = 100
"""Times that one answer's stream is opened again; each brings at least an event or ends it."""
LONGEST_RETRY = 5.0


class StatusError(Exception):
    """The server answered with an HTTP error."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class HttpTransport:
    """Sends requests to one endpoint."""

    def __init__(self, url: str, client: Client) -> None:
        self._url = url
        self._client = client
        self._numbers = itertools.count(1)
        self._is_modern: bool | None = None
        self._session: str | None = None
        self._version = protocol.LEGACY
        self._greeting = asyncio.Lock()
        self._greeted = False
        self.hear: Hear = protocol.ignore
        self._listener = Listener(url, client, lambda found: self._asked(found, None))

    @property
    def version(self) -> str:
        """Return the protocol version in use."""
        return protocol.MODERN if self._is_modern else self._version

    async def request(
        self, method: str, params: dict[str, Any], most: int = protocol.LARGEST_MESSAGE
    ) -> dict[str, Any]:
        """Send a request and return its result, of at most `most` bytes.

        Raises:
            McpError: the server refuses it.
            DownError: the server cannot be reached, or broke off.
        """
        try:
            if self._is_modern is False:
                try:
                    return await self._elder(method, params, most)
                except (StatusError, McpError):
                    if self._is_modern is False:
                        raise
            return await self._modern(method, params, most)
        except StatusError as error:
            raise DownError(f"status {error.status}") from None
        except NetError as error:
            raise DownError(str(error)) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._listener.close()
        await self._client.close()

    async def _modern(self, method: str, params: dict[str, Any], most: int) -> dict[str, Any]:
        headers = {"MCP-Protocol-Version": protocol.MODERN, "Mcp-Method": method}
        if "name" in params:
            headers["Mcp-Name"] = str(params["name"])
        refused: StatusError | McpError
        try:
            found, _ = await self._post(method, params, headers, modern=True, most=most)
        except StatusError as error:
            if error.status not in _UNKNOWN_TO_ELDERS:
                raise
            refused = error
        except McpError as error:
            # Older servers reject an unknown version in many ways; the first request only lists
            # tools. One that has spoken this version before says so by the status too.
            if self._is_modern and error.status not in _UNKNOWN_TO_ELDERS:
                raise
            refused = error
        else:
            self._is_modern = True
            return found
        return await self._as_elder(method, params, most, refused)

    async def _as_elder(
        self, method: str, params: dict[str, Any], most: int, refused: StatusError | McpError
    ) -> dict[str, Any]:
        """Repeat a request that was refused, and so not served, in the older way."""
        if self._is_modern:
            try:
                await self._greet(self._session, force=True)
            except (StatusError, McpError, DownError):
                raise refused from None
        found = await self._elder(method, params, most)
        self._is_modern = False
        return found

    async def _elder(self, method: str, params: dict[str, Any], most: int) -> dict[str, Any]:
        await self._greet(self._session, force=not self._greeted)
        used = self._session
        try:
            return await self._ask(method, params, most)
        except StatusError as error:
            if error.status not in (400, 404):
                raise
        try:
            await self._greet(used, force=True)
        except (StatusError, McpError):
            self._is_modern, self._greeted = None, False  # it may be a newer server by now
            raise
        return await self._ask(method, params, most)

    async def _ask(self, method: str, params: dict[str, Any], most: int) -> dict[str, Any]:
        """Send a request of the older versions, whose server may ask something before it answers."""
        asking = Questions(params)
        try:
            found, _ = await self._post(
                method, asking.params, self._elder_headers(), most=most, asking=asking
            )
        except McpError:
            if not asking.is_open:
                raise
            found = {}
        return asking.asked() if asking.is_open else found

    async def _greet(self, used: str | None, *, force: bool) -> None:
        """Open a session, unless another task has just done so."""
        if not force:
            return
        async with self._greeting:
            if self._greeted and self._session != used:
                return
            self._session = None
            body, headers = await self._post("initialize", protocol.hello(), {})
            self._session = headers.get("Mcp-Session-Id")
            self._version = str(body.get("protocolVersion") or protocol.LEGACY)
            await self._tell(protocol.notification("notifications/initialized"))
            self._greeted = True
            self._listener.start(body, self._elder_headers())

    def _elder_headers(self) -> dict[str, str]:
        headers = {"MCP-Protocol-Version": self._version}
        if self._session:
            headers["Mcp-Session-Id"] = self._session
        return headers

    async def _tell(self, body: bytes) -> None:
        """Send a message that has no answer."""
        headers = {**_JSON, **self._elder_headers()}
        async with self._client.open("POST", self._url, headers=headers, body=body):
            pass

    async def _post(
        self,
        method: str,
        params: dict[str, Any],
        headers: dict[str, str],
        *,
        modern: bool = False,
        most: int = protocol.LARGEST_MESSAGE,
        asking: Questions | None = None,
    ) -> tuple[dict[str, Any], Any]:
        number = next(self._numbers)
        body = protocol.request(number, method, params, modern=modern)
        async with self._client.open(
            "POST", self._url, headers={**_JSON, **headers}, body=body
        ) as reply:
            if reply.status >= 400:
                await self._refused(reply, modern=modern)
            if reply.media == "text/event-stream":
                found, place = await self._in_stream(reply, number, most, asking)
            else:
                found = protocol.answer_to(number, await reply.whole(most))
                place = None
        if found is None and place is not None and not modern:
            found = await self._resumed(number, place, asking)
        if found is None:
            raise DownError("the server's answer cannot be read")
        return protocol.result(found), reply.headers

    async def _refused(self, reply: Reply, *, modern: bool) -> None:
        """Raise what an HTTP error says."""
        raw = await reply.start(protocol.LARGEST_MESSAGE) if "json" in reply.media else b""
        for found in protocol.messages(raw):
            if isinstance(found.get("error"), dict):
                if reply.status in (400, 404) and not modern and self._session:
                    raise StatusError(reply.status)
                try:
                    protocol.result(found)
                except McpError as error:
                    error.status = reply.status
                    raise
        raise StatusError(reply.status)

    async def _in_stream(
        self, reply: Reply, number: int, most: int, asking: Questions | None
    ) -> tuple[dict[str, Any] | None, EventReader | None]:
        """Read events until the answer; else return the place behind which the server goes on."""
        reader = EventReader(most)
        async for piece in reply.pieces():
            for _, data in reader.feed(piece):
                for found in protocol.messages(data):
                    if "method" in found:
                        await self._asked(found, asking)
                    elif found.get("id") == number:
                        return found, None
        if not reader.last_id:
            raise DownError("the stream ended before the answer")
        return None, reader

    async def _asked(self, found: dict[str, Any], asking: Questions | None) -> None:
        """Answer what the server asks while it works; or hear what it tells."""
        if (answer := questions.reply(found, asking)) is not None:
            await self._tell(answer)
        else:
            self.hear(found)

    async def _resumed(
        self, number: int, place: EventReader, asking: Questions | None
    ) -> dict[str, Any]:
        """Read on behind the last event: a server may end a stream and continue it later."""
        for _ in range(MOST_RESUMED):
            await asyncio.sleep(min(place.retry, LONGEST_RETRY))
            headers = {
                **self._elder_headers(),
                "Accept": "text/event-stream",
                "Last-Event-ID": place.last_id,
            }
            async with self._client.open("GET", self._url, headers=headers) as reply:
                if reply.status != 200:
                    raise DownError(f"status {reply.status} for the rest of a stream")
                found, after = await self._in_stream(
                    reply, number, protocol.LARGEST_MESSAGE, asking
                )
            if found is not None:
                return found
            place = after or place
        raise DownError("the stream ended too often before the answer")
