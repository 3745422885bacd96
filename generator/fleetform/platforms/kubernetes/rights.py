"""Permissions at the Kubernetes API: never a wildcard, and which ones allow more than they seem to.

Specs must follow these rules, and so must roles changed by object patches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from fleetform.problems import did_you_mean
from fleetform.records import NamedTuple
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
_EVERYWHERE = {
    "": "endpoints events limitranges namespaces nodes persistentvolumeclaims persistentvolumes resourcequotas services",
    "events.k8s.io": "events",
    "discovery.k8s.io": "endpointslices",
    "networking.k8s.io": "ingresses ingressclasses ipaddresses networkpolicies servicecidrs",
    "gateway.networking.k8s.io": "backendtlspolicies gatewayclasses gateways grpcroutes httproutes referencegrants",
    "autoscaling": "horizontalpodautoscalers",
    "policy": "poddisruptionbudgets",
    "storage.k8s.io": "csidrivers csinodes csistoragecapacities storageclasses volumeattachments",
    "scheduling.k8s.io": "priorityclasses",
    "node.k8s.io": "runtimeclasses",
    "coordination.k8s.io": "leases",
    "apiextensions.k8s.io": "customresourcedefinitions",
    "apiregistration.k8s.io": "apiservices",
    "metrics.k8s.io": "nodes pods",
    "authentication.k8s.io": "selfsubjectreviews",
}
HARMLESS_READS_EVERYWHERE = frozenset(
    (group, name) for group, names in _EVERYWHERE.items() for name in names.split()
)
"""What may be read in the whole cluster: it says what is where and how it does. Everything else holds what
belongs to others: ConfigMaps and logs their data, whatever has pods the values of their variables and
arguments; of a kind that is not known here nobody can say. In its own namespace all of it is a workload's to read.
"""
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


def is_of_others(rule: Rule, name: str) -> bool:
    """Whether a permission that is dangerous in the whole cluster would be harmless in one namespace."""
    return all(found != name for _, found in dangers(rule, cluster=False))


def _reaches(group: str, name: str, verbs: AbstractSet[str], *, cluster: bool) -> bool:
    """Whether one of the verbs, on one resource, reaches beyond the permissions of the rule itself."""
    kind = group, name
    harmless = HARMLESS_WRITES.get(kind, frozenset())
    if not cluster:
        harmless |= HARMLESS_WRITES_IN_ITS_NAMESPACE.get(kind, frozenset())
    if not verbs <= READS | harmless:
        return True
    return bool(verbs & READS) and (_gives_away(group, name) or (cluster and _shows_others(*kind)))


def _shows_others(group: str, name: str) -> bool:
    """Whether reading a resource in every namespace shows what is in them. A scale is a number; a status is the whole."""
    whole, _, part = name.partition("/")
    return part != "scale" and (group, whole) not in HARMLESS_READS_EVERYWHERE


def _gives_away(group: str, name: str) -> bool:
    """Whether reading a resource gives away secrets, or leads into pods and nodes."""
    whole, _, part = name.partition("/")
    if part and part not in HARMLESS_PARTS and (group, name) != HARMLESS_LOGS:
        return True
    return whole not in HOLDS_NO_SECRET and any(word in whole for word in SECRETIVE)
