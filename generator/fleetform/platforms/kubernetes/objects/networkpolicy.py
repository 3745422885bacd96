"""NetworkPolicy: no ingress and no egress except for what the spec uses."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.lens import Values, lens
from fleetform.platforms.kubernetes.model import NetworkRule, WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, data, workload_object

API = "networking.k8s.io/v1"
DIRECTIONS = ("Ingress", "Egress")


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the policy; both directions are restricted even if a list is empty."""
    spec: dict[str, Any] = {
        "podSelector": {"matchLabels": plan.selector},
        "policyTypes": [*DIRECTIONS],
    }
    if plan.ingress:
        spec["ingress"] = [rule("from", item) for item in plan.ingress]
    if plan.egress:
        spec["egress"] = [rule("to", item) for item in plan.egress]
    return (workload_object(plan, API, "NetworkPolicy", spec=spec),)


def rule(side: str, given: NetworkRule) -> dict[str, Any]:
    """Return a rule as a NetworkPolicy writes it; `side` is `from` or `to`."""
    body: dict[str, Any] = {side: data(given.peers)}
    if given.ports:
        body["ports"] = [{"protocol": protocol, "port": port} for protocol, port in given.ports]
    return body


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `networkPolicy`."""
    del default
    return {"networkPolicy": _value(plan)}


def _value(plan: WorkloadPlan) -> Values:
    named = bool(plan.egress) and plan.egress[0] == DNS
    egress = plan.egress[1:] if named else plan.egress
    return {
        "enabled": True,
        "dns": named,
        "ingress": [rule("from", item) for item in plan.ingress],
        "egress": [rule("to", item) for item in egress],
    }


DNS = NetworkRule(
    (
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        },
    ),
    (("TCP", 53), ("UDP", 53)),
)
"""The rule that `networkPolicy.dns` stands for."""
DNS_RULE = rule("to", DNS)
"""The same in an object."""


def _egress(plan: Any, new: Any) -> Any:
    del plan
    rules = list(new or ())
    named = bool(rules) and rules[0] == DNS_RULE
    return {"dns": named, "egress": rules[1:] if named else rules}


LENSES = {
    "NetworkPolicy": (
        lens("spec.ingress", "networkPolicy.ingress"),
        lens("spec.egress", "networkPolicy", _egress, partial=True),
    )
}
