"""ResourceQuota: the most that a tenant may use."""

from __future__ import annotations

from fleetform.platforms.kubernetes.lens import Values, lens
from fleetform.platforms.kubernetes.model import NamespacePlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, manifest, namespace_labels

NAME = "tenant"


def build(plan: NamespacePlan) -> tuple[Manifest, ...]:
    """Return the quota, nothing if the environment sets none."""
    if not plan.quota:
        return ()
    return (
        manifest(
            "v1",
            "ResourceQuota",
            NAME,
            plan.name,
            namespace_labels(plan, NAME),
            spec={"hard": dict(plan.quota)},
        ),
    )


def values(plan: NamespacePlan, default: Values) -> Values:
    """Return the chart's `quota`."""
    del default
    return {"quota": {"hard": dict(plan.quota)}}


LENSES = {"ResourceQuota": (lens("spec.hard", "quota.hard"),)}
