"""The one client in the dress of the HTTP library that providers' own libraries are written for."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx2

from fleetform_runtime.net import NetError, TooLargeError
from fleetform_runtime.net.addresses import Origin, origin
from fleetform_runtime.net.client import Client, Reply
from fleetform_runtime.sections.base import Tls

LARGEST_ANSWER = 32 * 1024 * 1024
_NOT_OURS = frozenset(
    (b"host", b"content-length", b"connection", b"accept-encoding", b"transfer-encoding")
)
"""Headers of a request that belong to the connection, which is not the library's."""
_SPENT = frozenset(("content-length", "content-encoding", "transfer-encoding", "connection"))
"""Headers of an answer that say how its body was sent, which has been undone."""


class LibraryTransport(httpx2.AsyncBaseTransport):
    """Sends a library's requests through our client, one for each origin that it asks."""

    def __init__(self, tls: Tls | None, connect_seconds: float) -> None:
        self._tls = tls
        self._connect = connect_seconds
        self._clients: dict[Origin, Client] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; its answer is read as the library wants to."""
        url = str(request.url)
        place = origin(url)
        if place not in self._clients:
            self._clients[place] = Client(url, tls=self._tls, connect_seconds=self._connect)
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in request.headers.raw
            if name.lower() not in _NOT_OURS
        }
        body = await request.aread()
        stack = AsyncExitStack()
        try:
            reply = await stack.enter_async_context(
                self._clients[place].open(request.method, url, headers=headers, body=body or None)
            )
        except NetError as error:
            raise _error(error, request) from None
        return httpx2.Response(
            reply.status,
            headers=[
                (name, value) for name, value in reply.headers.items() if name.lower() not in _SPENT
            ],
            stream=_Body(reply, stack, request),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, reply: Reply, stack: AsyncExitStack, request: httpx2.Request) -> None:
        self._reply = reply
        self._stack = stack
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        try:
            async for piece in self._reply.pieces():
                size += len(piece)
                if size > LARGEST_ANSWER:
                    raise _error(TooLargeError(b""), self._request)
                yield piece
        except NetError as error:
            raise _error(error, self._request) from None

    async def aclose(self) -> None:
        await self._stack.aclose()


def _error(error: NetError, request: httpx2.Request) -> httpx2.TransportError:
    why = error.why
    if why == "timeout":
        return httpx2.ReadTimeout(str(error), request=request)
    if why == "connection":
        return httpx2.ConnectError(str(error), request=request)
    return httpx2.RemoteProtocolError(str(error), request=request)
