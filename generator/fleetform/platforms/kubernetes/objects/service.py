"""Service: named ports of a workload, and a headless twin where pods are addressed one by one."""

from __future__ import annotations

from typing import Any

from fleetform.names import fit
from fleetform.platforms.kubernetes.model import Port, WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import (
    HEADLESS_LABEL,
    Manifest,
    labels,
    manifest,
    workload_object,
)

HEADLESS = "-headless"


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the Service and its headless twin, nothing when the workload has no ports."""
    if not plan.ports:
        return ()
    body = {"selector": plan.selector, "ports": [_port(port) for port in plan.ports]}
    services = [workload_object(plan, "v1", "Service", spec={"type": "ClusterIP", **body})]
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
