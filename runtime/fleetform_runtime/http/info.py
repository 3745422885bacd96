"""/info: what an agent is, and what it can do."""

from typing import Any

from starlette.requests import Request

from fleetform_runtime import __version__
from fleetform_runtime.http.errors import Json
from fleetform_runtime.http.mounting import Mounted, Parts
from fleetform_runtime.http.router import Route
from fleetform_runtime.settings import SERVED_FEATURES, Feature, Settings
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

    async def show(request: Request) -> Json:
        quota = await parts.runs.quota(request.state.identity.user)
        return Json(_info(parts) | {"quota": quota or None})

    summary = "Show what the agent is, what it can do, and its limits"
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
        "limits": _limits(settings),
        "sessions": _sessions(settings),
        "prices": _prices(settings),
        "temperature": parts.runs.warm,
        "remembers": parts.runs.remembering is not None,
        "features": sorted(SERVED_FEATURES - (set() if settings.keeps else _KEPT)),
    }


def _limits(settings: Settings) -> dict[str, float]:
    limits = settings.limits
    return {
        "run_seconds": limits.run_seconds,
        "steps": limits.max_steps,
        "approval_seconds": limits.approval_seconds,
        "attachment_bytes": limits.attachment_bytes,
    }


def _sessions(settings: Settings) -> dict[str, float] | None:
    """Return how long a session is kept, and how many of a user; None if none is."""
    if not settings.keeps:
        return None
    policy = settings.memory.policy
    return {"ttl_seconds": policy.session_ttl_seconds, "most": policy.max_sessions_per_user}


def _prices(settings: Settings) -> dict[str, dict[str, float]]:
    """Return USD by model, of those that have prices and may be chosen."""
    models = (settings.model, *settings.models)
    return {
        model.key: model.pricing.model_dump(exclude_none=True) for model in models if model.pricing
    }


def _shown(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "type": tool.kind,
        "server": tool.server,
        "description": tool.description,
        "requires_approval": tool.requires_approval,
        "parameters": tool.schema,
    }
