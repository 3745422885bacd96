"""The page of a fleet, ready to be served: it knows where agents are, and asks none of them anything.

How they are, and what waits there for whoever looks, the browser asks them itself, with what that person has signed
in with: this process holds no key of anybody and reaches nothing.
"""

from collections.abc import Callable

from starlette.requests import Request

from fleetform_runtime import __version__
from fleetform_runtime.fleet.settings import FleetSettings
from fleetform_runtime.front import Front
from fleetform_runtime.http import ui
from fleetform_runtime.http.errors import Json
from fleetform_runtime.http.health import Health, probes
from fleetform_runtime.http.router import Route
from fleetform_runtime.metrics import PAGE_METRICS
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.telemetry.metrics import Metrics


class FleetApplication(Front):
    """The page of a fleet with the list of its agents."""

    def __init__(self, settings: FleetSettings, secrets: Secrets) -> None:
        secrets.learn_all(settings)
        metrics = Metrics(settings.page.name, "page", PAGE_METRICS)
        metrics.set("page_build_info", 1, __version__)
        super().__init__(
            settings.server,
            settings.auth,
            secrets,
            metrics,
            lambda is_draining: _routes(settings, is_draining),
        )

    async def open(self) -> None:
        """Connect to nothing."""

    async def drain(self) -> None:
        """Wait for nothing."""


def _routes(settings: FleetSettings, is_draining: Callable[[], bool]) -> list[Route]:
    identity = settings.page
    known = {
        "fleet": True,
        "namespace": identity.namespace,
        **({"title": identity.title} if identity.title else {}),
    }
    listed = {
        "agents": [agent.model_dump(exclude_unset=True, mode="json") for agent in settings.agents]
    }

    async def list_agents(_: Request) -> Json:
        return Json(listed)

    return [
        *ui.routes(settings.auth, known),
        Route("GET", "/agents.json", list_agents, summary="List the agents"),
        *probes(Health(_nothing_to_ask, is_draining, list), settings.health),
    ]


async def _nothing_to_ask() -> None:
    """Be ready: there is no store."""
