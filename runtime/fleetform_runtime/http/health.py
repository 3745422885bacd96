"""Probes: liveness checks nothing, readiness writes to the store; a model that is down does not matter."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request

from fleetform_runtime.http.errors import Json
from fleetform_runtime.http.mounting import Mounted, Parts
from fleetform_runtime.http.router import Handler, Route
from fleetform_runtime.sections.serving import Health as Paths
from fleetform_runtime.store import StoreError, UnsuitableStoreError

ASK_SECONDS = 2.0
REMEMBER_SECONDS = 1.0
"""Several probes arrive together; the store is checked once for all of them."""


class Health:
    """Handles probes."""

    def __init__(
        self,
        ping: Callable[[], Awaitable[None]],
        is_draining: Callable[[], bool],
        degraded: Callable[[], list[str]],
        problems: Callable[[], list[str]] = list,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ping = ping
        self._is_draining = is_draining
        self._degraded = degraded
        self._problems = problems
        self._clock = clock
        self._asked = float("-inf")
        self._failure: dict[str, str] | None = None
        self._asking = asyncio.Lock()

    async def live(self, request: Request) -> Json:
        """Report that the process answers."""
        return Json({"status": "ok"})

    async def startup(self, request: Request) -> Json:
        """Report that the process has started: only then does it listen."""
        return Json({"status": "ok"})

    async def ready(self, request: Request) -> Json:
        """Report whether requests should be sent here."""
        if self._is_draining():
            return Json({"status": "draining"}, 503, {"Retry-After": "1"})
        if failure := await self._store_failure():
            return Json({"status": "unready", **failure}, 503, {"Retry-After": "2"})
        missing, problems = self._degraded(), self._problems()
        body: dict[str, Any] = {"status": "degraded" if missing or problems else "ok"}
        if missing:
            body["unreachable"] = missing
        if problems:
            body["problems"] = problems
        return Json(body)

    async def _store_failure(self) -> dict[str, str] | None:
        async with self._asking:  # whoever comes meanwhile gets the same answer
            if self._clock() - self._asked >= REMEMBER_SECONDS:
                self._failure = await _failure(self._ping)
                self._asked = self._clock()
        return self._failure


async def _failure(ping: Callable[[], Awaitable[None]]) -> dict[str, str] | None:
    """Say what is wrong with the store, as far as everybody may know it."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            await ping()
    except UnsuitableStoreError as error:
        return {"memory": "unsuitable", "reason": str(error)}
    except (StoreError, TimeoutError):
        return {"memory": "unreachable"}
    return None


def probes(health: Health, *all_paths: Paths) -> tuple[Route, ...]:
    """Return the routes of probes, at /healthz, /readyz and the given paths."""
    found: dict[str, Handler] = {"/healthz": health.live, "/readyz": health.ready}
    for paths in all_paths:
        found[paths.live_path] = health.live
        found[paths.ready_path] = health.ready
        found[paths.startup_path] = health.startup
    return tuple(
        Route("GET", path, probe, public=True, silent=True, summary="Probe")
        for path, probe in found.items()
    )


def mount(parts: Parts) -> Mounted:
    """Mount the probes, on their usual paths and on those of the agent."""
    servers = parts.tools.servers
    health = Health(parts.store.ping, parts.is_draining, servers.unreachable, servers.problems)
    return Mounted(probes(health, Paths(), parts.settings.health))
