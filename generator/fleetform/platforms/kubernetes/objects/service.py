"""Service: named ports of a workload, and a headless twin if pods are addressed individually."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fleetform.names import fit
from fleetform.platforms.kubernetes.lens import Values, lens, less
from fleetform.platforms.kubernetes.model import Expose, Port, WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import (
    HEADLESS_LABEL,
    Manifest,
    labels,
    manifest,
    workload_object,
)

HEADLESS = "-headless"


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the Service and its headless twin, nothing if the workload has no ports."""
    if not plan.ports:
        return ()
    body = {"selector": plan.selector, "ports": [_port(port) for port in plan.ports]}
    own = plan.service
    spec: dict[str, Any] = {"type": own.type}
    if own.traffic_policy:
        spec["externalTrafficPolicy"] = own.traffic_policy
    if own.source_ranges:
        spec["loadBalancerSourceRanges"] = [*own.source_ranges]
    found = workload_object(plan, "v1", "Service", annotations=own.annotations, spec=spec | body)
    services = [found]
    if plan.headless:
        spec = {"clusterIP": "None", "publishNotReadyAddresses": True, **body}
        marked = {**labels(plan), HEADLESS_LABEL: "true"}
        services.append(
            manifest("v1", "Service", fit(plan.name, HEADLESS), plan.namespace, marked, spec=spec)
        )
    return tuple(services)


def _port(port: Port) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": port.name,
        "port": port.service_port,
        "targetPort": port.name,
        "protocol": port.protocol,
    }
    if port.app_protocol:
        body["appProtocol"] = port.app_protocol
    return body


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `ports` and `service`."""
    return {
        "ports": _port_values(plan.ports, default["ports"]),
        "service": {
            "type": plan.service.type,
            "annotations": dict(plan.service.annotations),
            "externalTrafficPolicy": plan.service.traffic_policy,
            "loadBalancerSourceRanges": [*plan.service.source_ranges],
            "headless": plan.headless,
        },
    }


def _port_values(ports: Iterable[Port], default: list[Values]) -> list[Values]:
    whole = [
        {
            "name": port.name,
            "containerPort": port.container_port,
            "servicePort": port.service_port,
            "protocol": port.protocol,
            "appProtocol": port.app_protocol,
        }
        for port in ports
    ]
    return default if whole == default else [_short(port) for port in whole]


def _short(port: Values) -> Values:
    """Return a port without the chart's defaults."""
    assumed = {"servicePort": port["containerPort"], "protocol": "TCP", "appProtocol": ""}
    return less(port, assumed)


def route_port(plan: WorkloadPlan, expose: Expose) -> int:
    """Return the Service's port of a route, 0 if it is the chart's default."""
    first = plan.ports[0] if plan.ports else None
    port = next((port for port in plan.ports if port.name == "http"), first)
    return 0 if port and port.service_port == expose.port else expose.port


LENSES = {
    "Service": (
        lens("metadata.annotations", "service.annotations"),
        lens("spec.type", "service.type"),
        lens("spec.externalTrafficPolicy", "service.externalTrafficPolicy"),
        lens("spec.loadBalancerSourceRanges", "service.loadBalancerSourceRanges"),
    )
}
