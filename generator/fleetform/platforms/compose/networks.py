"""Networks that mirror the links of a fleet: one per callee, and one that leads outside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fleetform.resolve.hosts import Address

if TYPE_CHECKING:
    from fleetform.plan.model import Plan, Workload
    from fleetform.resolve.catalog import Key

OUTSIDE = "outside"
NO_NEIGHBOURS = {"com.docker.network.bridge.enable_icc": "false"}
"""Services on the network `outside` cannot reach each other through it."""


def name(workload: Workload) -> str:
    """Return the service name of a workload, which is also its host name in specs."""
    return f"{workload.name}.{workload.namespace}"


def host(address: Address) -> str:
    """Return the host of a workload."""
    return f"{address.name}.{address.namespace}"


def of(plan: Plan, published: set[Key]) -> dict[Key, tuple[str, ...]]:
    """Return the networks of each workload; those that connect to the outside or are published get `outside`."""
    known = {workload.key: workload for workload in plan.workloads}
    found: dict[Key, set[str]] = defaultdict(set)
    for link in plan.links:
        if link.caller in known and link.callee in known:
            network = f"to.{name(known[link.callee])}"
            found[link.caller].add(network)
            found[link.callee].add(network)
    for workload in plan.workloads:
        outwards = any(not isinstance(item.party, Address) for item in workload.reaches)
        if outwards or workload.key in published:
            found[workload.key].add(OUTSIDE)
    return {key: tuple(sorted(names)) for key, names in found.items()}


def definitions(used: Iterable[str]) -> dict[str, Any]:
    """Return the networks of compose.yaml: only one of them leads outside."""
    return {
        network: {"driver_opts": dict(NO_NEIGHBOURS)} if network == OUTSIDE else {"internal": True}
        for network in sorted(set(used))
    }
