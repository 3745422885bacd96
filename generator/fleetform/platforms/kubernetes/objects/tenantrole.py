"""Role and RoleBinding for the people of a tenant: what they may see, and what they may do, of their namespace."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.lens import Values
from fleetform.platforms.kubernetes.model import NamespacePlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, manifest, namespace_labels

API = "rbac.authorization.k8s.io/v1"
_READ = ("get", "list", "watch")
_SEEN = (
    (
        "",
        "pods pods/log services endpoints configmaps events persistentvolumeclaims serviceaccounts resourcequotas limitranges",
    ),
    ("apps", "deployments replicasets statefulsets"),
    ("batch", "jobs cronjobs"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("policy", "poddisruptionbudgets"),
    ("networking.k8s.io", "networkpolicies ingresses"),
    ("gateway.networking.k8s.io", "httproutes"),
    ("events.k8s.io", "events"),
    ("external-secrets.io", "externalsecrets secretstores"),
    ("keda.sh", "scaledobjects"),
    ("argoproj.io", "rollouts analysistemplates analysisruns"),
    ("extensions.agents.x-k8s.io", "sandboxtemplates sandboxwarmpools sandboxclaims"),
    ("monitoring.coreos.com", "servicemonitors prometheusrules"),
    ("grafana.integreatly.org", "grafanadashboards"),
)
"""What people see: everything that is rendered, how it is, and its logs; no Secrets."""
_DONE = (
    ("", "pods", ("delete",)),
    ("", "pods/eviction", ("create",)),
    ("apps", "deployments/scale statefulsets/scale", ("get", "update", "patch")),
)
"""What they do: restart, and scale until Git is applied again. Whoever may create or change what makes pods could let
one mount any Secret of the namespace; so that, and `exec` and `attach`, is nobody's."""


def _rule(group: str, resources: str, verbs: tuple[str, ...]) -> dict[str, list[str]]:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": [*verbs]}


def rules(role: str) -> list[dict[str, list[str]]]:
    """Return the rules of `view` or `edit`."""
    seen = [_rule(group, resources, _READ) for group, resources in _SEEN]
    done = [_rule(*row) for row in _DONE] if role == "edit" else []
    return [*seen, *done]


def build(plan: NamespacePlan) -> tuple[Manifest, ...]:
    """Return the roles that somebody has, each with its binding."""
    made: list[Manifest] = []
    for role, groups in plan.people:
        name = f"tenant-{role}"
        labels = namespace_labels(plan, name)
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        subjects = [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}
            for group in groups
        ]
        bound: dict[str, Any] = {"roleRef": reference, "subjects": subjects}
        made.append(manifest(API, "Role", name, plan.name, labels, rules=rules(role)))
        made.append(manifest(API, "RoleBinding", name, plan.name, labels, **bound))
    return tuple(made)


def values(plan: NamespacePlan, default: Values) -> Values:
    """Return the chart's `people`."""
    del default
    return {
        "people": [
            {"role": role, "groups": [*groups], "rules": rules(role)}
            for role, groups in plan.people
        ]
    }


LENSES: dict[str, Any] = {}
