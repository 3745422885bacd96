"""Limits below HTTP: headers that are too large, too many, or never end."""

import asyncio
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fleetform_runtime.http.errors import PROBLEM
from fleetform_runtime.problems import HttpProblem

LARGEST_HEAD = 64 * 1024
MOST_HEADERS = 100


def bounded(read_seconds: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with limits on everything before a body."""

    class BoundedProtocol(HttpToolsProtocol):
        """Limits the head of each request in bytes and in seconds."""

        _head = 0
        _in_head = True
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._start_clock()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_clock()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._in_head:
                self._head += len(data)
            super().data_received(data)
            if self._in_head and self._head > LARGEST_HEAD:
                self._refuse(HttpProblem("headers_too_large", f"at most {LARGEST_HEAD} bytes"))

        def on_message_begin(self) -> None:
            self._start_clock()
            super().on_message_begin()

        def on_message_complete(self) -> None:
            self._in_head, self._head = True, 0
            super().on_message_complete()

        def on_header(self, name: bytes, value: bytes) -> None:
            super().on_header(name, value)
            if len(self.headers) > MOST_HEADERS:
                raise ValueError("too many headers")

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._stop_clock()
            super().on_headers_complete()

        def send_400_response(self, msg: str) -> None:
            if self.headers is not None and len(self.headers) > MOST_HEADERS:
                self._refuse(HttpProblem("headers_too_large", f"at most {MOST_HEADERS} headers"))
            else:
                self._refuse(HttpProblem("invalid_request", msg))

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
            body = orjson.dumps(problem.body())
            self.transport.write(
                STATUS_LINE[problem.status]
                + b"content-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
                % (PROBLEM.encode(), len(body))
                + body
            )
            self.transport.close()

    return BoundedProtocol
