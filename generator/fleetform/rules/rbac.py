"""Rights at the Kubernetes API: no wildcard ever, the dangerous ones only by their names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform.problems import Problem, did_you_mean
from fleetform.resolve import Fleet, Resolved
from fleetform.tree import Path

if TYPE_CHECKING:
    from fleetform.models.workload import RbacRule
    from fleetform.rules import AgentUses

DANGEROUS_RESOURCES = frozenset(
    {
        "secrets",
        "pods/exec",
        "pods/attach",
        "pods/portforward",
        "pods/ephemeralcontainers",
        "serviceaccounts/token",
        "nodes/proxy",
        "services/proxy",
        "pods/proxy",
        "certificatesigningrequests/approval",
    }
)
"""Resources that give away secrets or other workloads' identities."""
DANGEROUS_VERBS = frozenset({"escalate", "bind", "impersonate"})
"""Verbs that give away more than the rule says."""
DANGEROUS_WRITES = frozenset(
    {
        "pods", "replicationcontrollers", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs",
        "cronjobs", "roles", "rolebindings", "clusterroles", "clusterrolebindings", "serviceaccounts",
        "mutatingwebhookconfigurations", "validatingwebhookconfigurations",
    }
)  # fmt: skip
"""Resources whose writers can act as any ServiceAccount, or change what others may do."""
WRITES = frozenset({"create", "update", "patch"})
VERBS = (
    "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "use", "approve", "sign",
    *sorted(DANGEROUS_VERBS),
)  # fmt: skip
"""Verbs that some API server knows."""


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield wildcards and dangerous grants that nobody confirmed."""
    del uses
    for kind in ("Agent", "MCPServer"):
        for resolved in fleet.of(kind):
            if resolved.spec.rbac is not None:
                yield from _rbac(resolved)


def _rbac(resolved: Resolved) -> Iterator[Problem]:
    rbac = resolved.spec.rbac
    confirmed = {name.lower() for name in rbac.allow_dangerous}
    used: set[str] = set()
    for number, rule in enumerate(rbac.rules):
        path: Path = ("spec", "rbac", "rules", number)
        for where, value in _values(path, rule):
            yield from _value(resolved, where, value)
        for where, value in _dangers(path, rule):
            used.add(value)
            if value not in confirmed:
                yield resolved.problem(
                    where,
                    "rbac-dangerous",
                    f"`{value}` lets it act beyond its own rights",
                    hint=f"remove it, or confirm it with `allowDangerous: [{value}]`",
                )
    for place, name in enumerate(rbac.allow_dangerous):
        if name.lower() not in used:
            yield resolved.problem(
                ("spec", "rbac", "allowDangerous", place),
                "rbac-idle",
                f"`{name}` confirms a grant that no rule makes",
                hint="remove it",
                severity="warning",
            )


def _values(path: Path, rule: RbacRule) -> Iterator[tuple[Path, str]]:
    for field, values in (
        ("apiGroups", rule.api_groups),
        ("resources", rule.resources),
        ("verbs", rule.verbs),
    ):
        for place, value in enumerate(values):
            yield (*path, field, place), value


def _value(resolved: Resolved, path: Path, value: str) -> Iterator[Problem]:
    field = path[-2]
    if "*" in value:
        yield resolved.problem(
            path,
            "rbac-wildcard",
            f"`{value}` grants what nobody has listed",
            hint="list what is needed, each by its name",
        )
    elif field == "verbs" and value not in VERBS:
        yield resolved.problem(
            path,
            "rbac-verb",
            f"`{value}` is no verb of the Kubernetes API",
            hint=did_you_mean(value, VERBS, noun="verbs"),
        )
    elif field == "resources" and not value:
        yield resolved.problem(
            path,
            "rbac-resource",
            "the resource has no name",
            hint="name it in plural, such as `pods`",
        )


def _dangers(path: Path, rule: RbacRule) -> Iterator[tuple[Path, str]]:
    """Yield the dangerous grants of a rule: by resource, by verb, and by both together."""
    writes = bool(WRITES & set(rule.verbs))
    for place, value in enumerate(rule.resources):
        name = value.lower()
        if name in DANGEROUS_RESOURCES or (writes and name.partition("/")[0] in DANGEROUS_WRITES):
            yield (*path, "resources", place), name
    for place, value in enumerate(rule.verbs):
        if value.lower() in DANGEROUS_VERBS:
            yield (*path, "verbs", place), value.lower()
