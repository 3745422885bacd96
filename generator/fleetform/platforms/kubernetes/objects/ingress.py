"""Ingress: the same for clusters without a gateway."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.lens import Values, lens
from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, workload_object
from fleetform.platforms.kubernetes.objects.service import route_port


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the Ingress, nothing if none exposes the workload."""
    expose = plan.expose
    if expose is None or expose.kind != "Ingress":
        return ()
    spec: dict[str, Any] = {}
    if expose.ingress_class:
        spec["ingressClassName"] = expose.ingress_class
    if expose.tls_secret:
        spec["tls"] = [{"hosts": [*expose.hosts], "secretName": expose.tls_secret}]
    backend = {"service": {"name": plan.name, "port": {"number": expose.port}}}
    path = {"path": expose.path, "pathType": "Prefix", "backend": backend}
    spec["rules"] = [{"host": host, "http": {"paths": [path]}} for host in expose.hosts]
    return (workload_object(plan, "networking.k8s.io/v1", "Ingress", spec=spec),)


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `ingress`."""
    return {"ingress": _value(plan, default["ingress"])}


def _value(plan: WorkloadPlan, default: Values) -> Values:
    expose = plan.expose
    if expose is None or expose.kind != "Ingress":
        return default
    paths = [{"path": expose.path, "pathType": "Prefix"}]
    tls = [{"hosts": [*expose.hosts], "secretName": expose.tls_secret}] if expose.tls_secret else []
    return {
        **default,
        "enabled": True,
        "className": expose.ingress_class,
        "hosts": [{"host": host, "paths": paths} for host in expose.hosts],
        "port": route_port(plan, expose),
        "tls": tls,
    }


LENSES = {
    "Ingress": (
        lens("metadata.annotations", "ingress.annotations"),
        lens("spec.ingressClassName", "ingress.className"),
        lens("spec.tls", "ingress.tls"),
    )
}
