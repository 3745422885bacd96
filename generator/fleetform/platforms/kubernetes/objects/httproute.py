"""HTTPRoute: hosts or a path of the gateway that lead to a workload."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.lens import UncoveredError, Values, lens
from fleetform.platforms.kubernetes.model import Expose, WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, workload_object
from fleetform.platforms.kubernetes.objects.service import route_port

PARENT = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
BACKEND = {"group": "", "kind": "Service", "weight": 1}
"""What the API server would add: Argo CD would compare it with what is here, and never be done."""


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the route, nothing if no gateway exposes the workload."""
    expose = plan.expose
    if expose is None or expose.kind != "HTTPRoute":
        return ()
    rule: dict[str, Any] = {"matches": [{"path": {"type": "PathPrefix", "value": expose.path}}]}
    if expose.path != "/":
        rewrite = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
        rule["filters"] = [{"type": "URLRewrite", "urlRewrite": {"path": rewrite}}]
    own = {**BACKEND, "name": plan.name, "port": expose.port}
    if expose.shares:
        own["weight"] = 100 - sum(weight for _, _, weight in expose.shares)
    rule["backendRefs"] = [own, *({**BACKEND, **share} for share in _shares(expose))]
    if expose.timeout:
        rule["timeouts"] = {"request": f"{expose.timeout}s"}
    parent = {**PARENT, **_parent(expose)}
    rules = [rule, *([_redirect(expose.path.removesuffix("/"))] if expose.redirects else ())]
    spec = {"parentRefs": [parent], "hostnames": [*expose.hosts], "rules": rules}
    return (workload_object(plan, "gateway.networking.k8s.io/v1", "HTTPRoute", spec=spec),)


def _redirect(path: str) -> dict[str, Any]:
    """Return the rule that adds the slash; an exact path is matched before a prefix."""
    to = {"path": {"type": "ReplaceFullPath", "replaceFullPath": f"{path}/"}, "statusCode": 302}
    return {
        "matches": [{"path": {"type": "Exact", "value": path}}],
        "filters": [{"type": "RequestRedirect", "requestRedirect": to}],
    }


def _shares(expose: Expose) -> list[dict[str, Any]]:
    return [{"name": name, "port": port, "weight": weight} for name, port, weight in expose.shares]


def _parent(expose: Expose) -> dict[str, Any]:
    names = ("name", "namespace", "sectionName")
    return {key: expose.gateway[key] for key in names if key in expose.gateway}


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `httpRoute`."""
    return {"httpRoute": _value(plan, default["httpRoute"])}


def _value(plan: WorkloadPlan, default: Values) -> Values:
    expose = plan.expose
    if expose is None or expose.kind != "HTTPRoute":
        return default
    return {
        **default,
        "enabled": True,
        "parentRefs": [_parent(expose)],
        "hostnames": [*expose.hosts],
        "path": expose.path,
        "redirect": expose.redirects,
        "port": route_port(plan, expose),
        "requestTimeout": f"{expose.timeout}s" if expose.timeout else "",
        "canaries": _shares(expose),
    }


def _parents(plan: WorkloadPlan, new: Any) -> Any:
    del plan
    if not all(PARENT.keys() <= parent.keys() for parent in new or ()):
        raise UncoveredError  # the chart adds them
    return new


LENSES = {
    "HTTPRoute": (
        lens("metadata.annotations", "httpRoute.annotations"),
        lens("spec.parentRefs", "httpRoute.parentRefs", _parents),
        lens("spec.hostnames", "httpRoute.hostnames"),
        lens("spec.rules.0.timeouts.request", "httpRoute.requestTimeout"),
    )
}
