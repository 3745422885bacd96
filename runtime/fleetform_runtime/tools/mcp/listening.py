"""The standing stream of an older server, on which it tells that its list of tools has changed.

Without it the change is noticed when the list is read again, a minute later at most. So the stream is a help and no
duty: whatever is wrong with it is no fault of the server, and it is only opened where a server promises to tell.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any

from fleetform_runtime.net import NetError
from fleetform_runtime.net.client import Client
from fleetform_runtime.tools.mcp import protocol
from fleetform_runtime.tools.mcp.protocol import DownError, EventReader

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before the stream is opened again; each time that brought nothing doubles them."""
MOST_FAILED = 10
"""Times in a row that a stream brings nothing before it is given up."""

Take = Callable[[dict[str, Any]], Awaitable[None]]
"""Hears a notification, or answers a request."""


class Listener:
    """Listens to one server, until its next greeting or its end."""

    def __init__(self, url: str, client: Client, take: Take) -> None:
        self._url = url
        self._client = client
        self._take = take
        self._task: asyncio.Task[None] | None = None

    def start(self, greeting: dict[str, Any], headers: dict[str, str]) -> None:
        """Listen as the server's greeting promises; `headers` name the session."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if tells_changes(greeting):
            # The stream belongs to no chat: neither its trace nor anything else of one goes with it.
            self._task = asyncio.create_task(self._listen(headers), context=Context())

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self, headers: dict[str, str]) -> None:
        place, failed = "", 0
        while failed < MOST_FAILED:
            behind = {"Last-Event-ID": place} if place else {}
            reader, brought = EventReader(), False
            try:
                async with self._client.open(
                    "GET", self._url, headers={**headers, **behind, "Accept": "text/event-stream"}
                ) as reply:
                    if reply.status != 200 or reply.media != "text/event-stream":
                        return  # it has no such stream, or another session by now
                    async for piece in reply.pieces():
                        for _, data in reader.feed(piece):
                            brought = True
                            for found in protocol.messages(data):
                                if "method" in found:
                                    await self._take(found)
            except (NetError, DownError, OSError, ValueError) as error:
                log.debug("the stream of %s broke off: %s", self._client.origin.host, error)
            failed = 0 if brought else failed + 1
            place = reader.last_id or place
            await asyncio.sleep(min(max(reader.retry, FIRST_PAUSE) * 2**failed, LONGEST_PAUSE))


def tells_changes(greeting: dict[str, Any]) -> bool:
    """Whether a server says that it will tell of changes to its list of tools."""
    offered = greeting.get("capabilities")
    tools = offered.get("tools") if isinstance(offered, dict) else None
    return isinstance(tools, dict) and tools.get("listChanged") is True
