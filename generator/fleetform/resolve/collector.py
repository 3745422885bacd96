"""The OpenTelemetry Collector that an environment asks for: a workload without a document of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.resolve.hosts import full_name
from fleetform.resolve.ports import Port
from fleetform.tree import Map, at

if TYPE_CHECKING:
    from fleetform.models.environment import Collector
    from fleetform.models.observability import Tracing
    from fleetform.resolve import Fleet, Resolved
    from fleetform.tree import TreePath

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


def document(given: Collector, tree: Map, origin: str) -> dict[str, Any]:
    """Return the fields of a `Resolved` for the collector; `tree` is the environment's, in which positions are."""
    spec = {
        "container": {
            "image": view.dump(given.image),
            "ports": [_port(port) for port in PORTS],
        },
        "resources": view.dump(given.resources),
        "scaling": {"minReplicas": given.replicas},
        "healthCheck": {"path": "/", "port": HEALTH.container_port},
        "observability": {"metrics": {"enabled": True, "port": METRICS.container_port}},
    }
    whole = {"metadata": {"name": NAME, "namespace": given.namespace}, "spec": spec}
    typed = view.read("Agent", {"apiVersion": tree["apiVersion"], "kind": "Agent", **whole})
    own = _cut(tree, PLACE)
    return {
        "kind": KIND,
        "namespace": given.namespace,
        "name": NAME,
        "tree": own,
        "typed": typed,
        "spec": typed.spec,
        "layers": (),
        "file": own.mark.file,
        "origin": origin,
    }


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


def _cut(tree: Map, path: TreePath) -> Map:
    """Return a tree with nothing but one place, and what names the document."""
    step = str(path[0])
    found = Map(tree.mark)
    for key in ("apiVersion", "metadata") if step == "spec" else ():
        if key in tree:
            found.put(key, tree[key], tree.marks[key])
    below = at(tree, (step,))
    inner = _cut(below, path[1:]) if len(path) > 1 and isinstance(below, Map) else below
    found.put(step, inner, tree.marks[step])
    return found
