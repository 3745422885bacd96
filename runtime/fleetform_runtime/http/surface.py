"""All routes of the HTTP API, one part after the other."""

from dataclasses import replace

from starlette.requests import Request

from fleetform_runtime.http import (
    a2a,
    ag_ui,
    chat,
    health,
    info,
    memories,
    openai,
    responses,
    runs,
    sessions,
    ui,
)
from fleetform_runtime.http.errors import Json
from fleetform_runtime.http.mounting import Mount, Parts
from fleetform_runtime.http.openapi import document
from fleetform_runtime.http.router import Route
from fleetform_runtime.problems import not_kept

MOUNTED: tuple[Mount, ...] = (
    chat.mount,
    openai.mount,
    responses.mount,
    a2a.mount,
    ag_ui.mount,
    sessions.mount,
    memories.mount,
    runs.mount,
    info.mount,
    health.mount,
    ui.mount,
)
"""The parts, in the order of the OpenAPI document."""


def routes(parts: Parts) -> list[Route]:
    """Return every route; the OpenAPI document describes those that are served."""
    mounted = [mount(parts) for mount in MOUNTED]
    keeps = parts.settings.keeps
    served = [route for part in mounted if keeps or not part.needs_store for route in part.routes]
    refused = [
        replace(route, handler=_refuse)
        for part in mounted
        if part.needs_store and not keeps
        for route in part.routes
    ]
    described = document(parts.agent, parts.settings.agent.description or "", served)

    async def show(_: Request) -> Json:
        return Json(described)

    return [*served, *refused, Route("GET", "/openapi.json", show, public=True)]


async def _refuse(request: Request) -> Json:
    raise not_kept(f"it has no {request.url.path.split('/')[1]}")
