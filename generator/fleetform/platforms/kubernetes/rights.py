"""Permissions at the Kubernetes API: never a wildcard, and which ones allow more than they seem to.

Specs must follow these rules, and so must roles changed by object patches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from fleetform.problems import did_you_mean
from fleetform.tree import TreePath

Rule = Mapping[str, Sequence[str]]
"""A rule as Kubernetes writes it: `apiGroups`, `resources`, `verbs` and more."""

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
        "mutatingwebhookconfigurations", "validatingwebhookconfigurations", "persistentvolumes", "namespaces",
        "certificatesigningrequests",
    }
)  # fmt: skip
"""Resources whose writers can act as somebody else, or change what others may do."""
WRITES = frozenset({"create", "update", "patch"})
VERBS = (
    "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "use", "approve", "sign",
    *sorted(DANGEROUS_VERBS),
)  # fmt: skip
"""Verbs that some API server knows."""
_LISTS = ("apiGroups", "resources", "verbs")


class Fault(NamedTuple):
    """Something that no rule may contain: code, place in the rule, message and hint."""

    code: str
    path: TreePath
    message: str
    hint: str


def faults(rule: Rule) -> Iterator[Fault]:
    """Yield wildcards, and words that no API server knows."""
    for field in _LISTS:
        for place, value in enumerate(rule.get(field, ())):
            found = _fault((field, place), value)
            if found is not None:
                yield found


def _fault(path: TreePath, value: str) -> Fault | None:
    if "*" in value:
        message = f"`{value}` grants permissions that are not listed"
        return Fault("rbac-wildcard", path, message, "list what is needed by name")
    if path[0] == "verbs" and value not in VERBS:
        hint = did_you_mean(value, VERBS, noun="verbs")
        return Fault("rbac-verb", path, f"`{value}` is not a verb of the Kubernetes API", hint)
    if path[0] == "resources" and not value:
        hint = "use the plural, such as `pods`"
        return Fault("rbac-resource", path, "the resource has no name", hint)
    return None


def dangers(rule: Rule) -> Iterator[tuple[TreePath, str]]:
    """Yield the dangerous permissions of a rule: by resource, by verb, and by both together."""
    writes = bool(WRITES & set(rule.get("verbs", ())))
    for place, value in enumerate(rule.get("resources", ())):
        name = value.lower()
        if name in DANGEROUS_RESOURCES or (writes and name.partition("/")[0] in DANGEROUS_WRITES):
            yield ("resources", place), name
    for place, value in enumerate(rule.get("verbs", ())):
        if value.lower() in DANGEROUS_VERBS:
            yield ("verbs", place), value.lower()
    for place, value in enumerate(rule.get("nonResourceURLs", ())):
        yield ("nonResourceURLs", place), value
