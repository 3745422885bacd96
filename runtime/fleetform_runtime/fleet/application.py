"""The page of a fleet, ready to be served: it knows where agents are, and asks none of them anything.

How they are, and what waits there for whoever looks, the browser asks them itself, with what that person has signed
in with: this process holds no key of anybody and reaches nothing.
"""

from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from fleetform_runtime import __version__
from fleetform_runtime.access import build as access
from fleetform_runtime.access import hosts
from fleetform_runtime.fleet.settings import FleetSettings
from fleetform_runtime.http import ui
from fleetform_runtime.http.errors import Json
from fleetform_runtime.http.gateway import Gateway
from fleetform_runtime.http.health import Health
from fleetform_runtime.http.router import Handler, Route, Router
from fleetform_runtime.metrics import PAGE_METRICS
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.serving import Server
from fleetform_runtime.telemetry.metrics import Metrics

LARGEST_BODY = 64 * 1024


class FleetApplication:
    """The page of a fleet with the list of its agents."""

    def __init__(self, settings: FleetSettings, secrets: Secrets) -> None:
        secrets.learn_all(settings)
        self._settings = settings
        self._draining = False
        self.metrics = Metrics(settings.page.name, "page", PAGE_METRICS)
        self.metrics.set("page_build_info", 1, __version__)
        self._authenticator = access.authenticator(settings.auth, secrets)
        self.gateway = Gateway(
            Router(_routes(settings, self._is_draining)),
            _no_socket,
            self._authenticator,
            self.metrics,
            settings.server.cors_origins,
            self._is_draining,
            hosts.check_of(settings.auth, settings.server),
        )

    @property
    def server(self) -> Server:
        """Return where it is served."""
        return self._settings.server

    @property
    def largest_message(self) -> int:
        """Return the bytes of a message of a WebSocket, of which there are none."""
        return LARGEST_BODY

    async def open(self) -> None:
        """Connect to nothing."""

    async def close(self) -> None:
        """Close what keeps the keys of an issuer."""
        await self._authenticator.close()

    def begin_to_drain(self) -> int:
        """Become unready; nothing is ever active."""
        self._draining = True
        return 0

    async def drain(self) -> None:
        """Wait for nothing."""

    def _is_draining(self) -> bool:
        return self._draining


def _routes(settings: FleetSettings, is_draining: Any) -> list[Route]:
    page, identity = ui.Page(ui.FOLDER, ui.issuer_of(settings.auth)), settings.page
    shown = {
        "fleet": True,
        "namespace": identity.namespace,
        **({"title": identity.title} if identity.title else {}),
        "auth": ui.way_in(settings.auth),
    }
    listed = {
        "agents": [agent.model_dump(exclude_unset=True, mode="json") for agent in settings.agents]
    }

    async def show(_: Request) -> Json:
        return Json(shown)

    async def list_agents(_: Request) -> Json:
        return Json(listed)

    health, paths = Health(_nothing_to_ask, is_draining, list), settings.health
    probes: dict[str, Handler] = {
        "/healthz": health.live,
        "/readyz": health.ready,
        paths.live_path: health.live,
        paths.ready_path: health.ready,
        paths.startup_path: health.startup,
    }
    return [
        Route("GET", "/", page.entry, public=True, summary="Show the page"),
        Route("GET", "/assets/{file}", page.asset, public=True, summary="Show a file of the page"),
        Route("GET", "/ui.json", show, public=True, summary="Show how to sign in"),
        Route("GET", "/agents.json", list_agents, summary="List the agents"),
        *(
            Route("GET", path, probe, public=True, silent=True, summary="Probe")
            for path, probe in probes.items()
        ),
    ]


async def _nothing_to_ask() -> None:
    """Be ready: there is no store."""


async def _no_socket(scope: Scope, receive: Receive, send: Send) -> Any:
    await WebSocket(scope, receive, send).close(1008)
