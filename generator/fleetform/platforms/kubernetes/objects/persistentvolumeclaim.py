"""PersistentVolumeClaim: one per volume name in a namespace, shared by all that name it, never pruned."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.lens import Values
from fleetform.platforms.kubernetes.model import Claim, NamespacePlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, manifest, namespace_labels


def build(plan: NamespacePlan) -> tuple[Manifest, ...]:
    """Return the namespace's claims."""
    return tuple(
        manifest(
            "v1",
            "PersistentVolumeClaim",
            claim.name,
            plan.name,
            namespace_labels(plan, claim.name),
            plan.retained,
            spec=spec(claim),
        )
        for claim in plan.claims
    )


def spec(claim: Claim) -> dict[str, Any]:
    """Return a claim's spec."""
    body: dict[str, Any] = {"accessModes": [claim.access_mode]}
    if claim.storage_class:
        body["storageClassName"] = claim.storage_class
    body["resources"] = {"requests": {"storage": claim.size}}
    return body


def values(plan: NamespacePlan, default: Values) -> Values:
    """Return the chart's `claims`."""
    del default
    return {"claims": [value(claim) for claim in plan.claims]}


def value(claim: Claim) -> Values:
    """Return a claim as both charts take it."""
    body = {"name": claim.name, "size": claim.size, "accessMode": claim.access_mode}
    return {**body, "storageClassName": claim.storage_class} if claim.storage_class else body
