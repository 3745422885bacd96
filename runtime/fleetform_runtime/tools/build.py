"""Builds an agent's tools: those of the specification, and those that MCP servers list."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

from fleetform_runtime.net.build import client
from fleetform_runtime.net.client import Client
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.long_term import TOOLS
from fleetform_runtime.sections.tools import (
    AgentTool,
    ApiTool,
    CodeTool,
    HumanTool,
    McpHttpServer,
    McpPipeServer,
    McpStdioServer,
    RetrievalTool,
)
from fleetform_runtime.settings import Agent, Settings
from fleetform_runtime.telemetry.metrics import Metrics
from fleetform_runtime.tools import Tool
from fleetform_runtime.tools.api import HttpTool
from fleetform_runtime.tools.mcp import names
from fleetform_runtime.tools.mcp.duplex import DuplexTransport, SseChannel, StdioChannel
from fleetform_runtime.tools.mcp.http import HttpTransport
from fleetform_runtime.tools.mcp.pipes import PipeChannel
from fleetform_runtime.tools.mcp.server import McpServer, McpTool, Transport
from fleetform_runtime.tools.people import Person

log = logging.getLogger(__name__)

MOST_TOLD = 10
"""Tools of a server that readiness names."""
FIRST_LIST_SECONDS = 1.0
"""Seconds that the start waits for servers; slower ones become available later."""


class FixedTool(Tool, Protocol):
    """A tool of the specification, with its own connections."""

    async def close(self) -> None:
        """Close connections."""


def _search(tool: RetrievalTool, secrets: Secrets, metrics: Metrics, _: Agent) -> FixedTool:
    from fleetform_runtime.tools.retrieval import DocumentSearch  # noqa: PLC0415 - few agents need it

    return DocumentSearch(tool, secrets, metrics)


def _code(tool: CodeTool, *_: object) -> FixedTool:
    from fleetform_runtime.tools.code import CodeRun  # noqa: PLC0415 - few agents need it

    return CodeRun(tool)


def _agent(tool: AgentTool, secrets: Secrets, metrics: Metrics, agent: Agent) -> FixedTool:
    from fleetform_runtime.tools.agents import OtherAgent  # noqa: PLC0415 - few agents call others

    del metrics
    return OtherAgent(tool, secrets, agent)


BUILDERS: dict[type, Callable[[Any, Secrets, Metrics, Agent], FixedTool]] = {
    ApiTool: lambda tool, secrets, *_: HttpTool(tool, secrets),
    RetrievalTool: _search,
    CodeTool: _code,
    HumanTool: lambda tool, *_: Person(tool),
    AgentTool: _agent,
}
"""How each type of tool is built."""


class McpServers:
    """All MCP servers of an agent."""

    def __init__(self, servers: Sequence[McpServer], reserved: Collection[str] = ()) -> None:
        self._servers = servers
        self._reserved = frozenset(reserved)
        self._clashes: tuple[str, ...] = ()

    async def open(self) -> None:
        """List their tools; a server that fails does not prevent the start."""
        tasks = [server.refresh() for server in self._servers]
        if tasks:
            await asyncio.wait(tasks, timeout=FIRST_LIST_SECONDS)

    async def listing(self) -> None:
        """List their tools, and wait for all of them."""
        await asyncio.gather(*(server.refresh() for server in self._servers))

    def why(self) -> str:
        """Return why servers are down, as far as that is known."""
        return "; ".join(server.why for server in self._servers if server.why)

    async def close(self) -> None:
        """Disconnect."""
        await asyncio.gather(*(server.close() for server in self._servers))

    async def tools(self) -> Sequence[Tool]:
        """Return what the servers list, in the order of the specification; no name is of two tools."""
        if not self._servers:
            return ()
        lists = await asyncio.gather(*(server.tools() for server in self._servers))
        return self._named([tool for tools in lists for tool in tools])

    def listed(self) -> Sequence[Tool]:
        """Return what the servers have listed so far, without asking them."""
        return self._named([tool for server in self._servers for tool in server.listed])

    def _named(self, found: list[McpTool]) -> Sequence[Tool]:
        """Give each tool the name by which models call it, and tell of names of several tools."""
        named = names.apart([(tool.server, tool.name) for tool in found], self._reserved)
        clashes = tuple(
            sorted(
                {tool.name for tool, name in zip(found, named, strict=True) if tool.name != name}
            )
        )
        if clashes and clashes != self._clashes:
            log.warning(
                "several tools are called %s: they have their server's name before it",
                ", ".join(clashes),
            )
        self._clashes = clashes
        return [
            tool if tool.name == name else tool.called(name)
            for tool, name in zip(found, named, strict=True)
        ]

    def problems(self) -> list[str]:
        """Return what is wrong with the servers' lists, for readiness."""
        missing = [
            f"{server.name}: requiresApproval names {name}, which it does not list"
            for server in self._servers
            for name in server.unmatched
        ]
        left_out = [
            f"{server.name}: the tool {name[:64]} is left out: {why}"
            for server in self._servers
            for name, why in [*server.left_out.items()][:MOST_TOLD]
        ]
        return missing + left_out + [f"several tools are called {name}" for name in self._clashes]

    def unreachable(self) -> list[str]:
        """Return the names of the servers that do not answer."""
        return [server.name for server in self._servers if not server.is_up]

    def states(self) -> dict[str, dict[str, object]]:
        """Return the state of each server for /info."""
        return {
            server.name: {"up": server.is_up, "protocol": server.version}
            for server in self._servers
        }


class AgentTools:
    """All tools of an agent: those of its specification come first."""

    def __init__(self, fixed: Sequence[FixedTool], servers: McpServers) -> None:
        self.fixed = fixed
        self.servers = servers

    async def tools(self) -> Sequence[Tool]:
        """Return the tools that can be called now."""
        return [*self.fixed, *await self.servers.tools()]

    def listed(self) -> Sequence[Tool]:
        """Return the tools that are known by now, without asking any server."""
        return [*self.fixed, *self.servers.listed()]


def build(
    settings: Settings, secrets: Secrets, metrics: Metrics, more: Sequence[FixedTool] = ()
) -> AgentTools:
    """Return an agent's tools, in the order of its specification, and more behind them; nothing is opened yet."""
    fixed = [
        BUILDERS[type(tool)](tool, secrets, metrics, settings.agent) for tool in settings.tools
    ]
    return AgentTools([*fixed, *more], mcp_servers(settings, secrets, metrics))


def mcp_servers(settings: Settings, secrets: Secrets, metrics: Metrics) -> McpServers:
    """Return the MCP servers; nothing is opened yet."""
    return McpServers(
        [
            McpServer(server, _transport(server, secrets), metrics)
            for server in settings.mcp_servers
        ],
        [*(tool.name for tool in settings.tools), *(TOOLS if settings.long_term_memory else ())],
    )


def _transport(
    server: McpHttpServer | McpStdioServer | McpPipeServer, secrets: Secrets
) -> Transport:
    if isinstance(server, McpPipeServer):
        return DuplexTransport(lambda: PipeChannel(server.directory))
    if isinstance(server, McpStdioServer):
        return DuplexTransport(
            lambda: StdioChannel(
                server.command,
                lambda: {name: secrets.value(value) for name, value in server.env.items()},
                server.working_directory,
            )
        )
    found = client(
        server.url,
        secrets,
        headers=server.headers,
        auth=server.auth,
        tls=server.tls,
        connect_seconds=server.timeouts.connect_seconds,
    )
    if server.transport == "sse":
        return _SseTransport(server.url, found)
    return HttpTransport(server.url, found)


class _SseTransport(DuplexTransport):
    """A duplex transport whose channels share one pool of connections."""

    def __init__(self, url: str, client: Client) -> None:
        super().__init__(lambda: SseChannel(url, client))
        self._client = client

    async def close(self) -> None:
        """Close the connections as well."""
        await super().close()
        await self._client.close()
