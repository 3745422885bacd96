"""NetworkPolicy of a namespace: isolates the pods that no other policy selects."""

from __future__ import annotations

from fleetform.platforms.kubernetes.lens import Values
from fleetform.platforms.kubernetes.model import NamespacePlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, manifest, namespace_labels
from fleetform.platforms.kubernetes.objects.networkpolicy import API, DIRECTIONS

NAME = "default-deny"


def build(plan: NamespacePlan) -> tuple[Manifest, ...]:
    """Return the policy, nothing unless the environment asks for it."""
    if not plan.default_deny:
        return ()
    labels = namespace_labels(plan, NAME)
    spec = {"podSelector": {}, "policyTypes": [*DIRECTIONS]}
    return (manifest(API, "NetworkPolicy", NAME, plan.name, labels, spec=spec),)


def values(plan: NamespacePlan, default: Values) -> Values:
    """Return the chart's `networkPolicy`."""
    del default
    return {"networkPolicy": {"defaultDeny": plan.default_deny}}
