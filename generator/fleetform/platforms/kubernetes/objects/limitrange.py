"""LimitRange: defaults for containers without requests or limits, and the maximum."""

from __future__ import annotations

from fleetform.platforms.kubernetes.lens import Values, lens
from fleetform.platforms.kubernetes.model import NamespacePlan
from fleetform.platforms.kubernetes.objects.manifest import (
    Manifest,
    data,
    manifest,
    namespace_labels,
)

NAME = "tenant"


def build(plan: NamespacePlan) -> tuple[Manifest, ...]:
    """Return the limits, nothing if the environment sets none."""
    if not plan.limits:
        return ()
    limit = {"type": "Container", **data(plan.limits)}
    return (
        manifest(
            "v1",
            "LimitRange",
            NAME,
            plan.name,
            namespace_labels(plan, NAME),
            spec={"limits": [limit]},
        ),
    )


def values(plan: NamespacePlan, default: Values) -> Values:
    """Return the chart's `limits`."""
    return {"limits": {**default["limits"], **data(plan.limits)}}


LENSES = {
    "LimitRange": tuple(
        lens(f"spec.limits.0.{name}", f"limits.{name}")
        for name in ("default", "defaultRequest", "max")
    )
}
