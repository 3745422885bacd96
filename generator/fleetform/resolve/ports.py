"""The ports of a workload of the fleet: what its Service offers, and which of them speaks HTTP."""

from __future__ import annotations

from typing import NamedTuple

from fleetform.resolve import Resolved

HTTP_PORT = 8080
"""Where the generic runtime listens."""
METRICS_PORT = 9090
"""Where the generic runtime serves its metrics, unless the spec says otherwise."""
STORE_PORTS = {"redis": 6379, "postgres": 5432}
"""Where a provisioned store of a type listens."""


class ServicePort(NamedTuple):
    """A port as callers name it and as pods listen on it."""

    name: str
    service_port: int
    pod_port: int
    protocol: str = "TCP"
    app_protocol: str = ""


def ports(workload: Resolved) -> list[ServicePort]:
    """Return the ports of an agent, a deployed MCP server or a provisioned store."""
    spec = workload.spec
    container = spec.provision.container if workload.kind == "MemoryStore" else spec.container
    if container is not None:
        return [
            ServicePort(
                port.name,
                port.service_port or port.container_port,
                port.container_port,
                port.protocol,
                port.app_protocol or "",
            )
            for port in container.ports
        ]
    if workload.kind == "MemoryStore":
        number = STORE_PORTS[spec.type]
        return [ServicePort(spec.type, number, number)]
    metrics = spec.observability.metrics.port or METRICS_PORT
    return [
        ServicePort("http", HTTP_PORT, HTTP_PORT, "TCP", "http"),
        ServicePort("metrics", metrics, metrics, "TCP", "http"),
    ]


def http_port(workload: Resolved) -> ServicePort | None:
    """Return the port to call: named http or mcp, else one that speaks HTTP, else the first of TCP."""
    usable = [port for port in ports(workload) if port.protocol == "TCP"]
    named = [port for port in usable if port.name in ("http", "mcp")]
    spoken = [port for port in usable if port.app_protocol == "http"]
    return next(iter([*named, *spoken, *usable]), None)
