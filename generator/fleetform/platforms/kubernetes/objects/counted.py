"""How many objects of each kind a namespace has after a release, as quotas count them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from fleetform.platforms.kubernetes.kinds import KINDS
from fleetform.platforms.kubernetes.objects.manifest import Manifest

if TYPE_CHECKING:
    from fleetform.platforms.kubernetes.objects import Unit

_BY_KIND = {kind.kind: kind for kind in KINDS}
SHORT = {
    "configmaps": "count/configmaps",
    "resourcequotas": "count/resourcequotas",
    "secrets": "count/secrets",
    "services": "count/services",
}
"""Names of quotas for what the general form counts too."""
_ALWAYS = Counter({"count/configmaps": 1, "count/serviceaccounts": 1})
"""What every namespace has: `kube-root-ca.crt` and the account `default`."""
_MAKES = {
    "Certificate": "count/secrets",
    "Deployment": "count/replicasets.apps",
    "ExternalSecret": "count/secrets",
    "Rollout": "count/replicasets.apps",
    "ScaledObject": "count/horizontalpodautoscalers.autoscaling",
}
"""What a controller makes of each object of a kind, in the same namespace."""


def counts(units: Iterable[Unit]) -> Mapping[str, Counter[str]]:
    """Return numbers by namespace and name of a quota; pods, and what they claim, are not objects that are rendered."""
    found: dict[str, Counter[str]] = {}
    for unit in units:
        if unit.namespace:
            own = found.setdefault(unit.namespace, Counter(_ALWAYS))
            for manifest in unit.objects:
                _count(own, manifest)
    for own in found.values():
        own.update({short: own[name] for short, name in SHORT.items()})
    return found


def _count(own: Counter[str], manifest: Manifest) -> None:
    kind = _BY_KIND[manifest["kind"]]
    if kind.cluster or kind.kind == "PersistentVolumeClaim":  # a StatefulSet makes more of those
        return
    own[f"count/{kind.resource}.{kind.group}".rstrip(".")] += 1
    if kind.kind in _MAKES:
        own[_MAKES[kind.kind]] += 1
    if kind.kind == "Service":
        spec = manifest["spec"]
        balanced = spec.get("type") == "LoadBalancer"
        own["services.loadbalancers"] += balanced
        on_nodes = spec.get("type") == "NodePort" or (
            balanced and spec.get("allocateLoadBalancerNodePorts") is not False
        )
        own["services.nodeports"] += len(spec.get("ports") or ()) if on_nodes else 0
