"""Permissions at the Kubernetes API: never a wildcard, and which ones allow more than they seem to.

Specs must follow these rules, and so must roles changed by object patches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from fleetform.problems import did_you_mean
from fleetform.tree import TreePath

Rule = Mapping[str, Sequence[str]]
"""A rule as Kubernetes writes it: `apiGroups`, `resources`, `verbs` and more."""

READS = frozenset({"get", "list", "watch"})
"""Verbs that change nothing; every other verb counts as a write."""
DANGEROUS_VERBS = frozenset({"escalate", "bind", "impersonate"})
"""Verbs that give away more than the rule says, whatever the resource; they are confirmed by their own names."""
_CREATE, _RECORD = frozenset({"create"}), frozenset({"create", "update", "patch"})
HARMLESS_WRITES: Mapping[tuple[str, str], frozenset[str]] = {
    ("", "events"): _RECORD,
    ("events.k8s.io", "events"): _RECORD,
    ("authentication.k8s.io", "selfsubjectreviews"): _CREATE,
    ("authorization.k8s.io", "selfsubjectaccessreviews"): _CREATE,
    ("authorization.k8s.io", "selfsubjectrulesreviews"): _CREATE,
}
"""By API group and resource. All other writes reach further: into pods, networks, permissions, the
configuration or the data of others. Of a kind that is not known here nobody can say what its controller does.
"""
HARMLESS_WRITES_IN_ITS_NAMESPACE: Mapping[tuple[str, str], frozenset[str]] = {
    ("coordination.k8s.io", "leases"): _RECORD,
}
"""Harmless in a Role; in a ClusterRole they reach those of the control plane."""
HARMLESS_PARTS = frozenset({"status", "scale"})
"""Subresources of any resource that only say something; others lead into pods and nodes, even by `get`."""
HARMLESS_LOGS = ("", "pods/log")
SECRETIVE = ("secret", "token", "credential", "password", "kubeconfig", "privatekey")
"""Parts of the names of resources that hold what nobody may read."""
HOLDS_NO_SECRET = frozenset(
    {
        "externalsecrets", "clusterexternalsecrets", "secretstores", "clustersecretstores", "pushsecrets",
        "clusterpushsecrets", "sealedsecrets",
    }
)  # fmt: skip
"""Resources that are called after the secrets that they only refer to, or hold encrypted."""
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


def dangers(rule: Rule, *, cluster: bool) -> Iterator[tuple[TreePath, str]]:
    """Yield the dangerous permissions of a rule: by resource, by verb, and by both together.

    `cluster` says whether they hold in the whole cluster.
    """
    verbs = {verb.lower() for verb in rule.get("verbs", ())} & {*VERBS}  # others are a fault
    groups = [group.lower() for group in rule.get("apiGroups", ())]
    for place, value in enumerate(rule.get("resources", ())):
        name = value.lower()
        if any(_reaches(group, name, verbs - DANGEROUS_VERBS, cluster=cluster) for group in groups):
            yield ("resources", place), name
    for place, value in enumerate(rule.get("verbs", ())):
        if value.lower() in DANGEROUS_VERBS:
            yield ("verbs", place), value.lower()
    for place, value in enumerate(rule.get("nonResourceURLs", ())):
        yield ("nonResourceURLs", place), value


def _reaches(group: str, name: str, verbs: AbstractSet[str], *, cluster: bool) -> bool:
    """Whether one of the verbs, on one resource, reaches beyond the permissions of the rule itself."""
    kind = group, name
    harmless = HARMLESS_WRITES.get(kind, frozenset())
    if not cluster:
        harmless |= HARMLESS_WRITES_IN_ITS_NAMESPACE.get(kind, frozenset())
    if not verbs <= READS | harmless:
        return True
    return bool(verbs & READS) and _gives_away(group, name)


def _gives_away(group: str, name: str) -> bool:
    """Whether reading a resource gives away secrets, or leads into pods and nodes."""
    whole, _, part = name.partition("/")
    if part and part not in HARMLESS_PARTS and (group, name) != HARMLESS_LOGS:
        return True
    return whole not in HOLDS_NO_SECRET and any(word in whole for word in SECRETIVE)
