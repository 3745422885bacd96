"""Where a workload is reached from outside: its port, hosts and path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform.plan.draft import Draft
from fleetform.plan.model import Exposure, Share
from fleetform.problems import Problem
from fleetform.resolve.canaries import canaries_of, known_as
from fleetform.resolve.hosts import own_hosts
from fleetform.resolve.ports import chosen, ports

if TYPE_CHECKING:
    from fleetform.resolve import Fleet, Resolved


def exposure(fleet: Fleet, draft: Draft, problems: list[Problem]) -> Exposure | None:
    """Return how a workload is reached from outside, None when it is not; a port that is not there is a Problem."""
    owner = known_as(fleet, draft.resolved)
    shown = draft.workload.expose if owner is draft.resolved else owner.spec.expose
    if shown is None:
        return None
    port = chosen(draft.ports, shown.port)
    if port is None:
        names = ", ".join(f"`{item.name}`" for item in draft.ports) or "none"
        problems.append(
            draft.resolved.problem(
                ("spec", "expose"),
                "no-port",
                f"there is no port `{shown.port or 'http'}` to expose",
                hint=f"ports: {names}",
                key=True,
            )
        )
        return None
    return Exposure(
        port,
        hosts_of(fleet, owner),
        path_of(owner),
        fleet.environment.expose.request_timeout_seconds,
        tuple(_shares(fleet, draft.resolved)),
        _has_page(draft.resolved),
    )


def _has_page(resolved: Resolved[Any]) -> bool:
    return resolved.kind == "Agent" and resolved.spec.container is None and resolved.spec.ui


def _shares(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[Share]:
    """Yield what the canaries of a workload get, each at the port that it has for what is exposed here."""
    for canary, weight in canaries_of(fleet, resolved):
        port = chosen(ports(canary), resolved.spec.expose.port)
        if port is not None:
            yield Share(canary.name, port, weight)


def hosts_of(fleet: Fleet, resolved: Resolved[Any]) -> tuple[str, ...]:
    """Return the hosts on which a workload is exposed: its own, or the environment's."""
    return own_hosts(resolved.spec.expose) or (fleet.environment.expose.host or "",)


def path_of(resolved: Resolved[Any]) -> str:
    """Return the path prefix at which a workload is exposed."""
    expose = resolved.spec.expose
    return str(expose.path or ("/" if own_hosts(expose) else f"/agents/{resolved.name}"))
