"""HTTPRoute: a host or path of the gateway that leads to a workload."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, workload_object


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the route, nothing when the workload is not exposed by a gateway."""
    expose = plan.expose
    if expose is None or expose.kind != "HTTPRoute":
        return ()
    parent = {
        key: expose.gateway[key]
        for key in ("name", "namespace", "sectionName")
        if key in expose.gateway
    }
    rule: dict[str, Any] = {"matches": [{"path": {"type": "PathPrefix", "value": expose.path}}]}
    if expose.path != "/":
        rewrite = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
        rule["filters"] = [{"type": "URLRewrite", "urlRewrite": {"path": rewrite}}]
    rule["backendRefs"] = [{"name": plan.name, "port": expose.port}]
    rule["timeouts"] = {"request": f"{expose.timeout}s"}
    spec = {"parentRefs": [parent], "hostnames": [expose.host], "rules": [rule]}
    return (workload_object(plan, "gateway.networking.k8s.io/v1", "HTTPRoute", spec=spec),)
