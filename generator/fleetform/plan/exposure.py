"""Where a workload is reached from outside: its port, host and path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform.plan.draft import Draft
from fleetform.plan.model import Exposure
from fleetform.problems import Problem

if TYPE_CHECKING:
    from fleetform.resolve import Fleet, Resolved


def exposure(fleet: Fleet, draft: Draft, problems: list[Problem]) -> Exposure | None:
    """Return how a workload is reached from outside, None when it is not; a port that is not there is a Problem."""
    given, defaults = draft.workload.expose, fleet.environment.expose
    if given is None:
        return None
    port = draft.exposed_port
    if port is None:
        names = ", ".join(f"`{item.name}`" for item in draft.ports) or "none"
        problems.append(
            draft.resolved.problem(
                ("spec", "expose"),
                "no-port",
                f"there is no port `{given.port or 'http'}` to expose",
                hint=f"ports: {names}",
                key=True,
            )
        )
        return None
    return Exposure(
        port,
        given.host or defaults.host or "",
        path_of(draft.resolved),
        defaults.request_timeout_seconds,
    )


def path_of(resolved: Resolved[Any]) -> str:
    """Return the path prefix at which a workload is exposed."""
    expose = resolved.spec.expose
    return str(expose.path or ("/" if expose.host else f"/agents/{resolved.name}"))
