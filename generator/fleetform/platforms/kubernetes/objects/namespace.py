"""Namespace: Pod Security `restricted` enforced; applied first, never pruned, since its contents would go too."""

from __future__ import annotations

from fleetform.platforms.kubernetes.model import NamespacePlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, manifest, namespace_labels


def build(plan: NamespacePlan) -> tuple[Manifest, ...]:
    """Return the Namespace, nothing if it exists already."""
    if not plan.create:
        return ()
    labels = {**namespace_labels(plan, plan.name), **plan.namespace_labels}
    return (manifest("v1", "Namespace", plan.name, "", labels, plan.retained),)
