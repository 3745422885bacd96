"""The OpenTelemetry Collector that an environment asks for: a workload without a document of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.resolve.hosts import full_name
from fleetform.resolve.ports import Port
from fleetform.resolve.resolved import Asked

if TYPE_CHECKING:
    from fleetform.models.environment import EnvironmentSpec
    from fleetform.models.observability import Tracing
    from fleetform.resolve import Fleet, Resolved
    from fleetform.tree import Map, TreePath

KIND = "Collector"
"""What messages and locks call it: no kind of documents."""
NAME = "otel-collector"
PLACE: TreePath = ("spec", "monitoring", "collector")
HTTP = Port("otlp-http", 4318, 4318, "TCP", "http")
GRPC = Port("otlp-grpc", 4317, 4317, "TCP", "grpc")
HEALTH = Port("health", 13133, 13133, "TCP", "http")
METRICS = Port("metrics", 8888, 8888, "TCP", "http")
PORTS = (HTTP, GRPC, METRICS, HEALTH)
OPEN = frozenset((port.protocol, port.container_port) for port in (HTTP, GRPC))
"""What every workload of the fleet may call: that there is a collector for them is the environment's decision."""
RECEIVED = "otlp"
"""Traces that it takes: Langfuse's have a path of their own."""


class Collecting(Asked):
    """The collector: an agent with an image of its own."""

    place = PLACE


def asked(environment: EnvironmentSpec, tree: Map, origin: str) -> Collecting | None:
    """Return the collector, None if the environment asks for none; `tree` is the environment's, without nulls."""
    given = environment.monitoring.collector
    if given is None:
        return None
    spec = {
        "container": {
            "image": view.dump(given.image),
            "ports": [_port(port) for port in PORTS],
        },
        "resources": view.dump(given.resources),
        "podTemplate": view.dump(given.placement),
        "scaling": {"minReplicas": given.replicas},
        "healthCheck": {"path": "/", "port": HEALTH.container_port},
        "observability": {"metrics": {"enabled": True, "port": METRICS.container_port}},
    }
    return Collecting.of(tree, KIND, given.namespace, NAME, spec, origin)


def endpoint(fleet: Fleet, tracing: Tracing) -> str | None:
    """Return where a workload with tracing on sends its traces: its own choice, else the environment's."""
    own = tracing.endpoint or fleet.environment.monitoring.otlp_endpoint
    if own or fleet.collector is None or tracing.provider != RECEIVED:
        return own
    return f"http://{full_name(fleet, fleet.collector)}:{HTTP.service_port}"


def is_collector(resolved: Resolved[Any]) -> bool:
    """Whether a workload is the collector."""
    return resolved.kind == KIND


def _port(port: Port) -> dict[str, Any]:
    return {
        "name": port.name,
        "containerPort": port.container_port,
        "protocol": port.protocol,
        "appProtocol": port.app_protocol,
    }
