"""Where a workload is reached from outside: its port, hosts and path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform.plan.draft import Draft
from fleetform.plan.model import Exposure
from fleetform.problems import Problem
from fleetform.resolve.hosts import own_hosts

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
        hosts_of(fleet, draft.resolved),
        path_of(draft.resolved),
        defaults.request_timeout_seconds,
    )


def hosts_of(fleet: Fleet, resolved: Resolved[Any]) -> tuple[str, ...]:
    """Return the hosts on which a workload is exposed: its own, or the environment's."""
    return own_hosts(resolved.spec.expose) or (fleet.environment.expose.host or "",)


def path_of(resolved: Resolved[Any]) -> str:
    """Return the path prefix at which a workload is exposed."""
    expose = resolved.spec.expose
    return str(expose.path or ("/" if own_hosts(expose) else f"/agents/{resolved.name}"))
