"""Limits below HTTP: on everything that a client sends without having been let in, in bytes, time and number."""

import asyncio
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fleetform_runtime.http.errors import PROBLEM
from fleetform_runtime.problems import HttpProblem

LARGEST_HEAD = 64 * 1024
MOST_HEADERS = 100
MOST_WAITING = 1_024
"""Connections that have not sent the head of a first request; one more ends the one that waits longest."""
LINGER_SECONDS = 2
"""Time for the rest of a body that was answered before it was there: a client that still writes reads the answer."""


def bounded(read_seconds: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with limits on everything but bodies, which their readers bound."""
    waiting: dict[Any, None] = {}

    class BoundedProtocol(HttpToolsProtocol):
        """Limits what is no body in bytes and seconds: heads, trailers, chunk lines, bodies nobody waits for."""

        _loose = 0
        """Bytes since the last part of a body, or since the request began."""
        _head = 0
        """Bytes of the head, however many of them came at once."""
        _in_body = False
        _linger: asyncio.TimerHandle | None = None
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._start_clock()
            waiting[self] = None
            if len(waiting) > MOST_WAITING:
                next(iter(waiting)).transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            waiting.pop(self, None)
            self._stop_clock()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._loose += len(data)
            super().data_received(data)
            if self._loose > LARGEST_HEAD and not self.transport.is_closing():
                self._refuse(HttpProblem("headers_too_large", f"at most {LARGEST_HEAD} bytes"))

        def on_message_begin(self) -> None:
            self._head = 0
            self._start_clock()
            super().on_message_begin()

        def on_body(self, body: bytes) -> None:
            self._loose = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._in_body, self._loose = False, 0
            if self._linger is not None:
                self._linger.cancel()
            super().on_message_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self._in_body and not self.transport.is_closing():
                self._linger = self.loop.call_later(LINGER_SECONDS, self.transport.close)

        def on_url(self, url: bytes) -> None:
            self._head += len(url)
            super().on_url(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            self._head += len(name) + len(value)
            super().on_header(name, value)
            if self._too_large():
                raise ValueError("too large a head")

        def on_headers_complete(self) -> None:
            self._in_body, self._loose = True, 0
            waiting.pop(self, None)
            self._stop_clock()
            super().on_headers_complete()

        def send_400_response(self, msg: str) -> None:
            known = self._too_large()
            self._refuse(
                HttpProblem("headers_too_large" if known else "invalid_request", known or msg)
            )

        def _too_large(self) -> str:
            """Return what there is too much of in the head so far, empty if nothing."""
            if self.headers is not None and len(self.headers) > MOST_HEADERS:
                return f"at most {MOST_HEADERS} headers"
            return f"at most {LARGEST_HEAD} bytes" if self._head > LARGEST_HEAD else ""

        def _start_clock(self) -> None:
            if self._deadline is None:
                self._deadline = self.loop.call_later(read_seconds, self._late)

        def _stop_clock(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _late(self) -> None:
            self._deadline = None
            if not self.transport.is_closing():
                self._refuse(
                    HttpProblem("request_timeout", f"no complete request within {read_seconds:g} s")
                )

        def _refuse(self, problem: HttpProblem) -> None:
            if self.transport.is_closing():
                return
            if self._in_body and self.cycle.response_started:
                self.transport.close()
                return
            body = orjson.dumps(problem.body())
            self.transport.write(
                STATUS_LINE[problem.status]
                + b"content-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
                % (PROBLEM.encode(), len(body))
                + body
            )
            self.transport.close()

    return BoundedProtocol
