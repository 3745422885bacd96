"""NetworkPolicy: nobody in and nothing out but what the spec uses."""

from __future__ import annotations

from typing import Any

from fleetform.objects.manifest import (
    Manifest,
    data,
    manifest,
    namespace_labels,
    workload_object,
)
from fleetform.plan.model import NamespacePlan, NetworkRule, WorkloadPlan

API = "networking.k8s.io/v1"
DEFAULT = "default-deny"
DIRECTIONS = ("Ingress", "Egress")


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the policy; both directions are closed even when a list is empty."""
    spec: dict[str, Any] = {
        "podSelector": {"matchLabels": plan.selector},
        "policyTypes": [*DIRECTIONS],
    }
    if plan.ingress:
        spec["ingress"] = [_rule("from", rule) for rule in plan.ingress]
    if plan.egress:
        spec["egress"] = [_rule("to", rule) for rule in plan.egress]
    return (workload_object(plan, API, "NetworkPolicy", spec=spec),)


def build_default(plan: NamespacePlan) -> tuple[Manifest, ...]:
    """Return the policy of pods that no other selects, nothing unless the environment asks for it."""
    if not plan.default_deny:
        return ()
    labels = namespace_labels(plan, DEFAULT)
    spec = {"podSelector": {}, "policyTypes": [*DIRECTIONS]}
    return (manifest(API, "NetworkPolicy", DEFAULT, plan.name, labels, spec=spec),)


def _rule(side: str, rule: NetworkRule) -> dict[str, Any]:
    body: dict[str, Any] = {side: data(rule.peers)}
    if rule.ports:
        body["ports"] = [{"protocol": protocol, "port": port} for protocol, port in rule.ports]
    return body
