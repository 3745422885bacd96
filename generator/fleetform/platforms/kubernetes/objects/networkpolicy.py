"""NetworkPolicy: nobody in and nothing out but what the spec uses."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.model import NetworkRule, WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, data, workload_object

API = "networking.k8s.io/v1"
DIRECTIONS = ("Ingress", "Egress")


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the policy; both directions are closed even when a list is empty."""
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
