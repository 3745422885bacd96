"""Role and RoleBinding, or their cluster-wide counterparts, for a spec's permissions at the Kubernetes API."""

from __future__ import annotations

from fleetform.platforms.kubernetes.lens import Values, lens
from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, data, labels, manifest

API = "rbac.authorization.k8s.io/v1"


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the role and its binding, nothing if there are no rules."""
    rbac = plan.rbac
    if rbac is None:
        return ()
    kind = "ClusterRole" if rbac.cluster else "Role"
    namespace = "" if rbac.cluster else plan.namespace
    subject = {"kind": "ServiceAccount", "name": plan.account.name, "namespace": plan.namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": rbac.name}
    return (
        manifest(
            API,
            kind,
            rbac.name,
            namespace,
            labels(plan),
            rules=[_rule(rule) for rule in data(rbac.rules)],
        ),
        manifest(
            API,
            f"{kind}Binding",
            rbac.name,
            namespace,
            labels(plan),
            roleRef=reference,
            subjects=[subject],
        ),
    )


def _rule(rule: dict[str, list[str]]) -> dict[str, list[str]]:
    return {
        key: rule[key]
        for key in ("apiGroups", "resources", "resourceNames", "verbs")
        if key in rule
    }


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `rbac`."""
    del default
    return {
        "rbac": {
            "clusterWide": plan.rbac is not None and plan.rbac.cluster,
            "rules": data(plan.rbac.rules) if plan.rbac else [],
        }
    }


LENSES = dict.fromkeys(("Role", "ClusterRole"), (lens("rules", "rbac.rules"),))
