"""/info: what an agent is, and what it can do."""

from typing import Any

from starlette.requests import Request

from fleetform_runtime import __version__
from fleetform_runtime.http.errors import Json
from fleetform_runtime.http.mounting import Mounted, Parts
from fleetform_runtime.http.router import Route
from fleetform_runtime.settings import SERVED_FEATURES, Feature
from fleetform_runtime.tools import Tool

_KEPT = {
    Feature.SESSIONS,
    Feature.RUNS,
    Feature.APPROVALS,
    Feature.MEMORY,
    Feature.SUMMARISATION,
    Feature.LONG_TERM_MEMORY,
}
"""Features that need a store."""


def mount(parts: Parts) -> Mounted:
    """Mount /info."""

    async def show(_: Request) -> Json:
        return Json(_info(parts))

    summary = "Show version and configuration hash"
    return Mounted((Route("GET", "/info", show, summary=summary),))


def _info(parts: Parts) -> dict[str, Any]:
    settings = parts.settings
    return {
        "agent": settings.agent.name,
        "namespace": settings.agent.namespace,
        "display_name": settings.agent.display_name or settings.agent.name,
        "description": settings.agent.description or "",
        "version": __version__,
        "contract": settings.contract,
        "config": parts.hash,
        "models": list(parts.runs.models),
        "default_model": settings.model.key,
        **(
            {"variants": [{"name": item.name, "weight": item.weight} for item in settings.variants]}
            if settings.variants
            else {}
        ),
        "tools": [_shown(tool) for tool in parts.tools.listed()],
        "mcp_servers": parts.tools.servers.states(),
        "memory": settings.memory.type,
        "auth": settings.auth.type,
        "features": sorted(SERVED_FEATURES - (set() if settings.keeps else _KEPT)),
    }


def _shown(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "type": tool.kind,
        "server": tool.server,
        "description": tool.description,
        "requires_approval": tool.requires_approval,
    }
