"""PodDisruptionBudget: one pod at a time, so that a drain never waits for ever."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.lens import UncoveredError, Values, lens
from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, workload_object


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the budget, nothing if there can be only one pod."""
    if plan.most < 2:
        return ()
    spec = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": plan.selector},
    }
    return (workload_object(plan, "policy/v1", "PodDisruptionBudget", spec=spec),)


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `podDisruptionBudget`."""
    del plan
    return {"podDisruptionBudget": default["podDisruptionBudget"]}


def most(plan: WorkloadPlan, new: Any) -> Any:
    """Return the maximum number of replicas; the chart renders a budget if there can be two, as the plan does."""
    if ((new or 0) > 1) != (plan.most > 1):
        raise UncoveredError
    return new


LENSES = {
    "PodDisruptionBudget": (lens("spec.maxUnavailable", "podDisruptionBudget.maxUnavailable"),)
}
