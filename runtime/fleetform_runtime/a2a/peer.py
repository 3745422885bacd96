"""A client of one other agent: finds how it is asked, sends, follows, asks, cancels."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from fleetform_runtime.a2a.answers import PeerError, former, modern, reply_of
from fleetform_runtime.a2a.names import CURRENT, FORMER, HITL
from fleetform_runtime.net import NetError, TooLargeError
from fleetform_runtime.net.addresses import origin
from fleetform_runtime.net.client import Client, Reply
from fleetform_runtime.net.lines import Lines

LARGEST_ANSWER = 8 * 1024 * 1024
LARGEST_CARD = 1024 * 1024
CARD_SECONDS = 300.0
"""Seconds for which a card is believed."""
FETCH_SECONDS = 10.0
OLD = {
    "SendMessage": "message/send",
    "SendStreamingMessage": "message/stream",
    "GetTask": "tasks/get",
    "CancelTask": "tasks/cancel",
    "SubscribeToTask": "tasks/resubscribe",
}
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Way:
    """How an agent is asked."""

    url: str
    version: str = CURRENT
    streams: bool = True


class Peer:
    """One other agent; with a URL one of this runtime, with a card any."""

    def __init__(self, client: Client, url: str | None, card: str | None) -> None:
        self._client = client
        self._card = card
        self._way = Way(f"{url.rstrip('/')}/a2a") if url is not None else None
        self._until = float("inf") if url is not None else 0.0
        self._finding = asyncio.Lock()

    async def way(self) -> Way:
        """Return how it is asked.

        Raises:
            NetError: its card cannot be read.
            PeerError: its card says nothing that can be followed.
        """
        if self._way is not None and time.monotonic() < self._until:
            return self._way
        async with self._finding:
            if self._way is None or time.monotonic() >= self._until:
                self._way = self._chosen(await self._fetched())
                self._until = time.monotonic() + CARD_SECONDS
            return self._way

    async def ask(
        self, method: str, params: Json, headers: Mapping[str, str], seconds: float
    ) -> Json:
        """Call a method that answers with a message or a task.

        Raises:
            NetError: there is no answer in time.
            PeerError: it refuses.
        """
        async with within(seconds):
            way = await self.way()
            async with self._client.open(
                "POST", way.url, **_request(way, method, params, headers)
            ) as reply:
                result = await _whole(reply)
            is_task = method in ("GetTask", "CancelTask")
            return modern(result, way.version, is_task=is_task)

    async def follow(
        self, method: str, params: Json, headers: Mapping[str, str]
    ) -> AsyncIterator[Json]:
        """Call a method that answers with a stream, or with one message or task where there is none.

        Raises:
            NetError: there is no answer, or it breaks off.
            PeerError: it refuses.
        """
        way = await self.way()
        if not way.streams:
            method = "SendMessage"
        async with self._client.open(
            "POST", way.url, **_request(way, method, params, headers)
        ) as reply:
            if reply.media != "text/event-stream":
                yield modern(await _whole(reply), way.version)
                return
            async for data in _events(reply):
                yield modern(reply_of(_parsed(data)), way.version)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _fetched(self) -> Json:
        answer = await self._client.send(
            "GET", str(self._card), seconds=FETCH_SECONDS, most=LARGEST_CARD
        )
        if answer.status != 200:
            raise PeerError(f"its card cannot be read: status {answer.status}")
        card = _parsed(answer.body)
        if not isinstance(card, dict):
            raise PeerError("its card is none")
        return card

    def _chosen(self, card: Json) -> Way:
        """Return the first way that a card names and that is gone here: JSON-RPC in a version that is spoken."""
        able = card.get("capabilities")
        streams = isinstance(able, dict) and able.get("streaming") is True
        ways = [*_new(card), *_old(card)]
        for version in (CURRENT, FORMER):
            for url, found in ways:
                if found == version:
                    self._check(url)
                    return Way(url, version, streams)
        raise PeerError("its card names no JSON-RPC of version 1.0 or 0.3")

    def _check(self, url: str) -> None:
        """Check that a card leads nowhere else: credentials and rules of the network are for one host."""
        if origin(url) not in (self._client.origin, self._client.origin.secured()):
            raise PeerError("its card names another host than its own")


def _new(card: Json) -> list[tuple[str, str]]:
    found = card.get("supportedInterfaces")
    return [
        (item["url"], ".".join(str(item.get("protocolVersion", "")).split(".")[:2]))
        for item in (found if isinstance(found, list) else [])
        if isinstance(item, dict)
        and isinstance(item.get("url"), str)
        and item.get("protocolBinding") == "JSONRPC"
    ]


def _old(card: Json) -> list[tuple[str, str]]:
    if not str(card.get("protocolVersion", "0.3")).startswith("0."):
        return []
    more = card.get("additionalInterfaces")
    all_of_them = [
        {"url": card.get("url"), "transport": card.get("preferredTransport", "JSONRPC")},
        *(item for item in (more if isinstance(more, list) else []) if isinstance(item, dict)),
    ]
    return [
        (item["url"], FORMER)
        for item in all_of_them
        if isinstance(item.get("url"), str) and item.get("transport") == "JSONRPC"
    ]


def _request(way: Way, method: str, params: Json, headers: Mapping[str, str]) -> dict[str, Any]:
    if way.version == FORMER:
        method = OLD[method]
        if "message" in params:
            params = {**params, "message": former(params["message"])}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    fixed = {
        "Content-Type": "application/json",
        "Accept": "text/event-stream, application/json",
        "A2A-Version": way.version,
        "A2A-Extensions": HITL,
    }
    return {"headers": {**fixed, **headers}, "body": orjson.dumps(body)}


async def _whole(reply: Reply) -> Json:
    try:
        raw = await reply.whole(LARGEST_ANSWER)
    except TooLargeError:
        raise NetError("too_large", "the answer is too large") from None
    if reply.status in (401, 403):
        raise NetError("credentials", f"status {reply.status}")
    try:
        document = orjson.loads(raw)
    except ValueError:
        document = None
    if isinstance(document, dict) and ("error" in document or "result" in document):
        return reply_of(document)
    said = document.get("detail", "") if isinstance(document, dict) else ""
    code = document.get("code", "") if isinstance(document, dict) else ""
    raise PeerError(f"it answered {reply.status} {str(said)[:1_000]}".strip(), problem=str(code))


async def _events(reply: Reply) -> AsyncIterator[bytes]:
    """Yield the data of each event."""
    lines, size, data = Lines(), 0, b""
    async for piece in reply.pieces():
        size += len(piece)
        if size > LARGEST_ANSWER:
            raise NetError("too_large", "the answer is too large")
        for line in lines.feed(piece):
            if line.startswith(b"data:"):
                data += line[5:].strip()
            elif not line and data:
                yield data
                data = b""
    if data:
        yield data


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except ValueError:
        raise PeerError("its answer cannot be read") from None


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Bound what is done inside.

    Raises:
        NetError: it took longer.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise NetError("timeout", f"no answer within {seconds:g} s") from None
