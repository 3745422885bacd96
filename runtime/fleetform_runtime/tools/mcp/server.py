"""One MCP server as seen by the agent: its tools, its state, and which tools are allowed."""

import asyncio
import contextlib
import copy
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fleetform_runtime import jsons
from fleetform_runtime.sections.tools import McpHttpServer, McpPipeServer, McpStdioServer
from fleetform_runtime.telemetry.metrics import Metrics
from fleetform_runtime.tools import CallContext, Kind, Output, ToolError
from fleetform_runtime.tools.mcp import names, protocol, schemas
from fleetform_runtime.tools.mcp.protocol import DownError, McpError

log = logging.getLogger(__name__)

LIST_SECONDS = 60.0
"""Seconds for which a list of tools is considered current, unless the server says otherwise."""
AGAIN_SECONDS = 1.0
"""Minimum seconds between attempts to list the tools of a server that is down."""
SLOW_SECONDS = 1.0
MOST_TOOLS = 1_000
LARGEST_LIST = 4 * 1024 * 1024
"""Bytes of a page of a server's list, and of its whole list about."""
MOST_PAGES = 50

Settings = McpHttpServer | McpStdioServer | McpPipeServer


class Transport(Protocol):
    """How requests reach a server."""

    hear: protocol.Hear
    """Takes what the server tells unasked."""

    @property
    def version(self) -> str:
        """Return the protocol version in use."""
        ...

    async def request(
        self, method: str, params: dict[str, Any], most: int = protocol.LARGEST_MESSAGE
    ) -> dict[str, Any]:
        """Send a request and return its result, of at most `most` bytes."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class McpTool:
    """One tool of a server."""

    kind: Kind = "mcp"

    def __init__(
        self, server: "McpServer", own_name: str, name: str, listed: dict[str, Any]
    ) -> None:
        self._server = server
        self._own_name = own_name
        self.server = server.name
        self.name = name
        said = str(listed.get("description") or listed.get("title") or own_name)
        self.description = jsons.whole_text(said)[: schemas.LONGEST_DESCRIPTION]
        fitted = schemas.fitted(listed.get("inputSchema"))
        self.schema = fitted.shown
        self.checked = fitted.checked
        self.requires_approval = server.wants_approval(own_name, name)

    def called(self, name: str) -> "McpTool":
        """Return the same tool under another name."""
        other = copy.copy(self)
        other.name = name
        return other

    async def run(self, arguments: dict[str, Any], context: CallContext) -> Output:
        """Call the tool."""
        return await self._server.call(self._own_name, arguments, context.reply)


class McpServer:
    """Lists and calls the tools of one server; if it is down, that is reported, and it is retried."""

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = settings.name
        self._settings = settings
        self._transport = transport
        self._metrics = metrics
        self._clock = clock
        self._tools: list[McpTool] = []
        self._listed = float("-inf")
        self._until = float("-inf")
        self._tried = float("-inf")
        self._listing: asyncio.Task[None] | None = None
        self.is_up = False
        self.why = ""
        """Why its list could not be read the last time."""
        self._is_slow = False
        self.unmatched: tuple[str, ...] = ()
        """Names of `requiresApproval` that no tool has: then every tool needs approval."""
        self.left_out: dict[str, str] = {}
        """Tools that cannot be offered, with the reason."""
        self._tell(up=False)
        transport.hear = self._hear

    @property
    def listed(self) -> Sequence[McpTool]:
        """Return the tools that were listed last."""
        return self._tools

    @property
    def version(self) -> str:
        """Return the protocol version in use."""
        return self._transport.version

    async def tools(self) -> Sequence[McpTool]:
        """Return the tools; a stale list is refreshed in the background, a missing one is waited for.

        If a server made us wait in vain, it is only asked in the background, or every chat would
        wait for it.
        """
        now = self._clock()
        if now >= self._until and now - self._tried >= AGAIN_SECONDS:
            task = self.refresh()
            if not self.is_up and not self._is_slow:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(
                        asyncio.shield(task), self._settings.timeouts.connect_seconds
                    )
        return self._tools

    def refresh(self) -> "asyncio.Task[None]":
        """List the tools, once for all waiting callers."""
        if self._listing is None or self._listing.done():
            self._tried = self._clock()
            self._listing = asyncio.create_task(self._list())
        return self._listing

    async def call(
        self, name: str, arguments: dict[str, Any], reply: dict[str, Any] | None = None
    ) -> Output:
        """Call an allowed tool of the list; `reply` has a person's answer to what it asked before.

        Raises:
            InputNeededError: it asks a person something.
            ToolError: it failed, or the server cannot be reached.
        """
        if not any(tool._own_name == name for tool in self._tools):
            raise ToolError("The tool is no longer available.", "denied")
        try:
            async with asyncio.timeout(self._settings.timeouts.request_seconds):
                body = await self._transport.request(
                    "tools/call", {"name": name, "arguments": arguments, **(reply or {})}
                )
        except DownError as error:
            self._tell(up=False)
            log.warning("MCP server %s is down: %s", self.name, error)
            raise ToolError(f"The server {self.name} cannot be reached at the moment.") from None
        except McpError as error:
            self._tell(up=True)
            raise ToolError(f"The server {self.name} refused: {error.message}") from None
        self._tell(up=True)
        return protocol.output_of(body)

    def wants_approval(self, *names: str) -> bool:
        """Whether calls of a tool need human approval, by its own name or the one that models see."""
        wanted = self._settings.requires_approval
        if isinstance(wanted, bool):
            return wanted
        return bool(self.unmatched) or any(name in wanted for name in names)

    async def close(self) -> None:
        """Disconnect."""
        if self._listing is not None:
            self._listing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listing
        await self._transport.close()

    async def _list(self) -> None:
        began = self._clock()
        try:
            async with asyncio.timeout(self._settings.timeouts.request_seconds):
                found, seconds = await self._pages()
            self._is_slow = False
        except (DownError, McpError, TimeoutError, ToolError) as error:
            log.warning("MCP server %s does not list its tools: %s", self.name, error)
            self.why = str(error)
            self._is_slow = self._clock() - began > SLOW_SECONDS
            self._tell(up=False)
            return
        except Exception:
            log.exception("MCP server %s lists invalid tools", self.name)
            self._tell(up=False)
            return
        self._take(found)
        self._listed = self._clock()
        self._until = self._listed + seconds
        self._tell(up=True)

    def _take(self, listed: list[dict[str, Any]]) -> None:
        """Make tools of a list; of two with the same name the first counts."""
        by_name: dict[str, dict[str, Any]] = {}
        for item in listed:
            by_name.setdefault(str(item["name"]), item)
        prefix, wanted = self._settings.tool_prefix, self._settings.requires_approval
        offered = dict(zip(by_name, names.distinct([prefix + own for own in by_name]), strict=True))
        known = {*offered, *offered.values()}
        unmatched = () if isinstance(wanted, bool) else tuple(n for n in wanted if n not in known)
        if unmatched and unmatched != self.unmatched:
            log.warning(
                "MCP server %s lists none of %s, which need approval: all of its tools do now",
                self.name,
                ", ".join(unmatched),
            )
        self.unmatched = unmatched
        self._tools, left_out = [], {}
        for own, item in by_name.items():
            if not allowed(self._settings, item):
                continue
            try:
                self._tools.append(McpTool(self, own, offered[own], item))
            except schemas.UnusableError as error:
                left_out[own] = str(error)
        for name in left_out.keys() - self.left_out.keys():
            log.warning("tool %s of MCP server %s: %s", name, self.name, left_out[name])
        self.left_out = left_out

    async def _pages(self) -> tuple[list[dict[str, Any]], float]:
        found: list[dict[str, Any]] = []
        seconds, left = LIST_SECONDS, LARGEST_LIST
        params: dict[str, Any] = {}
        seen: set[str] = set()
        for _ in range(MOST_PAGES):
            body = await self._transport.request("tools/list", params, LARGEST_LIST)
            listed = body.get("tools")
            fresh = (
                [_kept(item) for item in listed if _is_tool(item)]
                if isinstance(listed, list)
                else []
            )
            found += fresh
            left -= len(jsons.write(fresh))
            life = body.get("ttlMs")
            if isinstance(life, int | float) and life >= 0:
                seconds = min(max(life / 1000, 5.0), 3600.0)
            cursor = body.get("nextCursor")
            if not isinstance(cursor, str) or not cursor or cursor in seen:
                break
            if len(found) >= MOST_TOOLS or left <= 0:
                log.warning("MCP server %s lists more than is read of it", self.name)
                break
            seen.add(cursor)
            params = {"cursor": cursor}
        return found[:MOST_TOOLS], seconds

    def _hear(self, told: dict[str, Any]) -> None:
        """Note that the list of tools has changed; the next chat asks for it."""
        if told.get("method") == "notifications/tools/list_changed":
            self._until = self._tried = float("-inf")

    def _tell(self, *, up: bool) -> None:
        self.is_up = up
        if not up:
            self._until = float("-inf")
        self._metrics.set("agent_mcp_server_up", 1 if up else 0, self.name)


def allowed(settings: Settings, listed: dict[str, Any]) -> bool:
    """Whether the specification allows a tool, by its name and its annotations."""
    if settings.tools is not None and listed["name"] not in settings.tools:
        return False
    if settings.capabilities is None or "destructive" in settings.capabilities:
        return True
    hints = listed.get("annotations")
    hints = hints if isinstance(hints, dict) else {}
    if hints.get("readOnlyHint") is True:
        return True
    return "write" in settings.capabilities and hints.get("destructiveHint") is False


def _kept(item: dict[str, Any]) -> dict[str, Any]:
    """Return those members of a listed tool that we use; the others may be large."""
    return {name: item[name] for name in _MEMBERS if name in item}


_MEMBERS = ("name", "title", "description", "inputSchema", "annotations")


def _is_tool(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("name"), str) and bool(item["name"])
