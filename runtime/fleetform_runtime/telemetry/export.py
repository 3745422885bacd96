"""Export of spans over OTLP/HTTP: in batches of bounded size, retried, never in anybody's way."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from fleetform_runtime.net import NetError, again
from fleetform_runtime.net.client import Client

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
MOST_HELD = 4_096
"""Spans that wait for a receiver; then the oldest are dropped, and a log line counts them."""
MOST_SPANS = 256
MOST_BYTES = 2 * 1024 * 1024
"""Size of one request; receivers and gateways before them refuse larger ones (4 MiB is usual)."""
EXPORT_SECONDS = 10.0
TRIES = 5
CLOSE_SECONDS = 3.0
"""What the end of the process waits for a receiver, at most."""
FLUSHED_SECONDS = 0.02
_AGAIN = frozenset((408, 429, 502, 503, 504))
"""Answers that a receiver gives to what it would take later; OTLP/HTTP, "Failures"."""


class Export(SpanProcessor):
    """Holds ended spans and sends them in the background."""

    def __init__(self, url: str, client: Client, headers: dict[str, str] | None = None) -> None:
        self._url = url
        self._client = client
        self._headers = {"Content-Type": "application/x-protobuf", **(headers or {})}
        self._held: deque[ReadableSpan] = deque()
        self._batch: list[ReadableSpan] = []
        """What is being sent; the end of the process sends it again."""
        self._lost = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._thread = 0
        self._closed = False

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span that has ended."""
        if self._closed or span.context is None or not span.context.trace_flags.sampled:
            return
        if len(self._held) >= MOST_HELD:
            self._held.popleft()
            self._lost += 1
        self._held.append(span)
        if self._task is None:
            self._thread = threading.get_ident()
            self._task = asyncio.get_running_loop().create_task(self._run())
        if len(self._held) >= MOST_SPANS:
            self._wake.set()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what is held now; wait for it, unless it is the event loop that asks."""
        if self._task is None:
            return True
        loop = self._task.get_loop()
        loop.call_soon_threadsafe(self._wake.set)
        if threading.get_ident() == self._thread:
            return False
        until = time.monotonic() + timeout_millis / 1000
        while (self._held or self._batch) and time.monotonic() < until:
            time.sleep(FLUSHED_SECONDS)
        return not self._held and not self._batch

    async def close(self) -> None:
        """Send what is left, for `CLOSE_SECONDS` at most."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._flush()
            except TimeoutError:
                lost = len(self._held) + len(self._batch)
                log.warning("%d spans were not exported: the process ends", lost)
        await self._client.close()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self._flush()

    async def _flush(self) -> None:
        if self._lost:
            log.warning("%d spans were dropped: the receiver takes them too slowly", self._lost)
            self._lost = 0
        while self._held or self._batch:
            if not self._batch:
                count = min(MOST_SPANS, len(self._held))
                self._batch = [self._held.popleft() for _ in range(count)]
            await self._send(self._batch)
            self._batch = []

    async def _send(self, batch: Sequence[ReadableSpan]) -> None:
        body = await asyncio.to_thread(_encoded, batch)
        if len(body) > MOST_BYTES and len(batch) > 1:
            middle = len(batch) // 2
            await self._send(batch[:middle])
            await self._send(batch[middle:])
            return
        why = await self._tried(body)
        if why:
            log.warning("%d spans were not exported: %s", len(batch), why)

    async def _tried(self, body: bytes) -> str:
        """Send one request; return why it failed, or nothing."""
        try:
            answer = await again.sent(
                lambda: self._client.send(
                    "POST",
                    self._url,
                    seconds=EXPORT_SECONDS,
                    most=MOST_BYTES,
                    headers=self._headers,
                    body=body,
                ),
                TRIES,
                _AGAIN.__contains__,
            )
        except NetError as error:
            return str(error)
        return "" if answer.status < 300 else f"the receiver answered {answer.status}"


def _encoded(batch: Sequence[ReadableSpan]) -> bytes:
    found: bytes = encode_spans(batch).SerializeToString()
    return found
