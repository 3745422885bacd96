"""The client of one upstream: bounded, guarded, with a deadline, credentials and the trace's context."""

import asyncio
import contextvars
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from fleetform_runtime.forms import Redact
from fleetform_runtime.net import NetError, TooLargeError, texts
from fleetform_runtime.net.addresses import GuardedResolver, Origin, check_host, origin
from fleetform_runtime.net.credentials import Credentials
from fleetform_runtime.net.proxies import proxy_of
from fleetform_runtime.net.tls import TlsFiles
from fleetform_runtime.sections.base import Tls

CONNECT_SECONDS = 5.0
MOST_HOPS = 3
LARGE = 2**20
"""Larger bodies are sent in pieces, so that they do not block the event loop."""
READ_BUFFER = 2**18

traceparent: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "traceparent", default=None
)
"""The W3C header that lets the other side continue the trace; set by whoever opens a span."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    media: str
    """Media type in lower case without parameters; empty if there is none."""
    charset: str | None

    def text(self) -> str | None:
        """Return the body as text, or None if it is none."""
        return texts.text_of(self.body, self.media, self.charset)


class Reply:
    """An answer whose body has not been read yet."""

    def __init__(self, response: aiohttp.ClientResponse, redact: Redact) -> None:
        self._response = response
        self._redact = redact
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.media = response.content_type.lower() if "Content-Type" in response.headers else ""

    async def whole(self, most: int) -> bytes:
        """Return the body.

        A connection gives what has arrived so far: one read of it is not the body, but its first
        packets.

        Raises:
            TooLargeError: it has more than `most` bytes, of which no more are read.
        """
        pieces, size = [], 0
        async for piece in self.pieces():
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise TooLargeError(b"".join(pieces)[:most])
        return b"".join(pieces)

    async def start(self, most: int) -> bytes:
        """Return the first bytes of the body, which is all that anybody wants of an error."""
        try:
            return await self.whole(most)
        except TooLargeError as error:
            return error.start

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives."""
        while piece := await self.some():
            yield piece

    async def some(self) -> bytes:
        """Return what has arrived, waiting for the first byte of it; empty at the end."""
        try:
            return await self._response.content.readany()
        except _FAILURES as error:
            raise _net_error(error, self._redact) from None

    def at_end(self) -> bool:
        """Whether everything has been read."""
        return self._response.content.at_eof()

    async def answer(self, most: int) -> Answer:
        """Read the body to its end.

        Raises:
            TooLargeError: it has more than `most` bytes.
        """
        body = await self.whole(most)
        return Answer(self.status, self.headers, body, self.media, self._response.charset)


class Client:
    """Sends requests to one origin, and follows its redirects as long as they stay there."""

    def __init__(
        self,
        url: str,
        credentials: Credentials | None = None,
        *,
        tls: Tls | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        redact: Redact = str,
        direct: bool = False,
    ) -> None:
        self._credentials = credentials
        self._direct = direct
        self._tls = TlsFiles(tls)
        self._connect = connect_seconds
        self._redact = redact
        self._session: aiohttp.ClientSession | None = None
        self.origin: Origin = origin(url.replace("{", "x").replace("}", "x"))

    @asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> AsyncIterator[Reply]:
        """Send a request; its answer is read inside the context, by a reader with its own deadlines.

        Args:
            method: HTTP method.
            url: an absolute URL of the client's origin, percent-encoded.
            headers: headers besides the credentials, which they override.
            body: bytes to send.

        Raises:
            NetError: there is no answer, or it broke off while it was read.
        """
        try:
            response = await self._answered(method, url, headers or {}, body)
        except _FAILURES as error:
            raise _net_error(error, self._redact) from None
        async with response:
            yield Reply(response, self._redact)

    async def send(
        self,
        method: str,
        url: str,
        *,
        seconds: float,
        most: int,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send a request and return its answer, read to its end.

        Raises:
            NetError: there is none within `seconds`, or it has more than `most` bytes.
        """
        try:
            async with asyncio.timeout(seconds):
                async with self.open(method, url, headers=headers, body=body) as reply:
                    return await reply.answer(most)
        except TimeoutError:
            raise NetError("timeout", f"no answer within {seconds:g} s") from None

    async def close(self) -> None:
        """Close the connections, and those of the credentials."""
        if self._session is not None:
            await self._session.close()
        if self._credentials is not None:
            await self._credentials.close()

    async def _answered(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> aiohttp.ClientResponse:
        """Send, follow redirects, and replace a refused token once."""
        refused, hops = "", 0
        while True:
            asked = await self._credentials.headers(refused) if self._credentials else {}
            response = await self._sent(method, url, {**asked, **headers}, body)
            can_renew = self._credentials is not None and self._credentials.can_renew
            if response.status == 401 and can_renew and not refused:
                refused = asked["Authorization"]
            elif (target := response.headers.get("Location")) and response.status in _REDIRECTS:
                hops += 1
                try:
                    url = self._redirected(method, response.status, url, target, hops)
                except NetError:
                    response.close()
                    raise
            else:
                return response
            response.release()

    async def _sent(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> aiohttp.ClientResponse:
        if trace := traceparent.get():
            headers.setdefault("traceparent", trace)
        target = URL(url, encoded=True)
        check_host(self.origin.host)
        return await self._opened().request(
            method,
            target,
            data=io.BytesIO(body) if body is not None and len(body) > LARGE else body,
            headers=headers,
            ssl=self._tls.context() or True,
            proxy=None
            if self._direct
            else proxy_of(target.scheme, self.origin.host, self.origin.port),
            allow_redirects=False,
        )

    def _redirected(self, method: str, status: int, url: str, target: str, hops: int) -> str:
        """Return where a redirect leads.

        Credentials and the network's rules are for one origin. Its own way from http to https is
        the only other one; and only 307 and 308 say that method and body stay (RFC 9110, 15.4).
        """
        found = urljoin(url, target)
        goal = origin(found)
        if goal not in (self.origin, self.origin.secured()):
            raise NetError("redirect", "the server redirects to another host")
        if method not in ("GET", "HEAD") and status not in (307, 308):
            raise NetError("redirect", "the server redirects a request that has side effects")
        if hops > MOST_HOPS:
            raise NetError("redirect", "the server redirects in a loop")
        return found

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, resolver=GuardedResolver(), keepalive_timeout=30, use_dns_cache=False
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect),
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=READ_BUFFER,
                trust_env=False,
            )
        return self._session


_REDIRECTS = (301, 302, 303, 307, 308)
_FAILURES = (aiohttp.ClientError, OSError, ValueError)
"""What a connection raises; ValueError: limits of aiohttp's parser."""


def _net_error(error: Exception, redact: Redact) -> NetError:
    said = redact(f"{type(error).__name__}: {error}")
    if isinstance(error, TimeoutError):
        return NetError("timeout", said)
    if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | OSError):
        return NetError("connection", said, unsent=isinstance(error, aiohttp.ClientConnectorError))
    return NetError("invalid", said)
