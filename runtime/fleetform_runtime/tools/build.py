"""Own which tools an agent has."""

from collections.abc import Sequence
from typing import Any

from fleetform_runtime.secrets import Secrets
from fleetform_runtime.settings import Settings
from fleetform_runtime.telemetry.metrics import Metrics


def fixed_tools(settings: Settings, secrets: Secrets) -> Sequence[Any]:
    return []


class McpServers:
    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def tools(self) -> Sequence[Any]:
        return []

    def unreachable(self) -> list[str]:
        return []

    def states(self) -> dict[str, Any]:
        return {}


def mcp_servers(settings: Settings, secrets: Secrets, metrics: Metrics) -> McpServers:
    return McpServers()
