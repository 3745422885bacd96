"""The ports of a workload of the fleet: what its Service exposes, and which of them speaks HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fleetform.contract import HTTP_PORT, METRICS_PORT, STORE_PORTS
from fleetform.records import NamedTuple

if TYPE_CHECKING:
    from fleetform.resolve import Resolved


class Port(NamedTuple):
    """A port of a workload's pods and of its Service."""

    name: str
    container_port: int
    service_port: int
    protocol: str = "TCP"
    app_protocol: str = ""


def ports(workload: Resolved[Any]) -> list[Port]:
    """Return the ports of an agent, a deployed MCP server or a provisioned store."""
    spec = workload.spec
    container = spec.provision.container if workload.kind == "MemoryStore" else spec.container
    if container is not None:
        return [
            Port(
                port.name,
                port.container_port,
                port.service_port or port.container_port,
                port.protocol,
                port.app_protocol or "",
            )
            for port in container.ports
        ]
    if workload.kind == "MemoryStore":
        number = STORE_PORTS[spec.type]
        return [Port(spec.type, number, number)]
    metrics = spec.observability.metrics.port or METRICS_PORT
    return [
        Port("http", HTTP_PORT, HTTP_PORT, "TCP", "http"),
        Port("metrics", metrics, metrics, "TCP", "http"),
    ]


def main(offered: Iterable[Port]) -> Port | None:
    """Return the default port for callers: named http or mcp, else one that speaks HTTP, else the first TCP port."""
    usable = [port for port in offered if port.protocol == "TCP"]
    named = [port for port in usable if port.name in ("http", "mcp")]
    spoken = [port for port in usable if port.app_protocol == "http"]
    return next(iter([*named, *spoken, *usable]), None)


def main_port(workload: Resolved[Any]) -> Port | None:
    """Return the port that callers of a workload use by default."""
    return main(ports(workload))


def chosen(offered: Iterable[Port], name: str | None) -> Port | None:
    """Return the port that `expose` means: the one of its name, else the default one; None if there is none."""
    if name:
        return next((port for port in offered if port.name == name), None)
    return main(offered)


def metrics_port(workload: Resolved[Any]) -> Port | None:
    """Return the port that serves metrics: the number in the spec, else the port named metrics."""
    number = workload.spec.observability.metrics.port
    if number is None:
        return next((port for port in ports(workload) if port.name == "metrics"), None)
    return next((port for port in ports(workload) if port.container_port == number), None)
