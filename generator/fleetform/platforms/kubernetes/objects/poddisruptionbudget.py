"""PodDisruptionBudget: one pod at a time, so that a drain never waits for ever."""

from __future__ import annotations

from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, workload_object


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the budget, nothing when there can be but one pod."""
    if plan.most < 2:
        return ()
    spec = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": plan.selector},
    }
    return (workload_object(plan, "policy/v1", "PodDisruptionBudget", spec=spec),)
