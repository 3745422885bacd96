"""HTTPRoute: a host or path of the gateway that leads to a workload."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.lens import Values, lens
from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, workload_object
from fleetform.platforms.kubernetes.objects.service import route_port


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the route, nothing if no gateway exposes the workload."""
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
    if expose.timeout:
        rule["timeouts"] = {"request": f"{expose.timeout}s"}
    spec = {"parentRefs": [parent], "hostnames": [expose.host], "rules": [rule]}
    return (workload_object(plan, "gateway.networking.k8s.io/v1", "HTTPRoute", spec=spec),)


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `httpRoute`."""
    return {"httpRoute": _value(plan, default["httpRoute"])}


def _value(plan: WorkloadPlan, default: Values) -> Values:
    expose = plan.expose
    if expose is None or expose.kind != "HTTPRoute":
        return default
    names = ("name", "namespace", "sectionName")
    return {
        **default,
        "enabled": True,
        "parentRefs": [{key: expose.gateway[key] for key in names if key in expose.gateway}],
        "hostnames": [expose.host],
        "path": expose.path,
        "port": route_port(plan, expose),
        "requestTimeout": f"{expose.timeout}s" if expose.timeout else "",
    }


LENSES = {
    "HTTPRoute": (
        lens("metadata.annotations", "httpRoute.annotations"),
        lens("spec.parentRefs", "httpRoute.parentRefs"),
        lens("spec.hostnames", "httpRoute.hostnames"),
        lens("spec.rules.0.timeouts.request", "httpRoute.requestTimeout"),
    )
}
