"""Deployment: interchangeable replicas, never fewer than specified during a rollout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetform.platforms.kubernetes.lens import UncoveredError, Values, lens
from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects import pod, rollout
from fleetform.platforms.kubernetes.objects.manifest import Manifest, workload_object
from fleetform.platforms.kubernetes.objects.poddisruptionbudget import most


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the Deployment, nothing if the workload is a StatefulSet."""
    if plan.kind != "Deployment":
        return ()
    strategy = (
        {"type": "Recreate"}
        if plan.recreate
        else {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    )
    return (holder(plan, {"strategy": strategy, "template": pod.template(plan)}),)


def holder(plan: WorkloadPlan, own: Mapping[str, Any]) -> Manifest:
    """Return the Deployment or StatefulSet: what both have, followed by the kind's `own` fields."""
    spec: dict[str, Any] = {}
    replicas = rollout.beside(plan)
    if replicas is not None:  # else an autoscaler controls the number
        spec["replicas"] = replicas
    if plan.min_ready:
        spec["minReadySeconds"] = plan.min_ready
    spec["revisionHistoryLimit"] = 10
    spec["selector"] = {"matchLabels": plan.selector}
    return workload_object(
        plan,
        "apps/v1",
        plan.kind,
        annotations={**plan.annotations, **plan.verbatim},
        spec={**spec, **own},
    )


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's values for the Deployment or StatefulSet."""
    return {
        "kind": plan.kind,
        "workloadAnnotations": dict(plan.annotations),
        "replicaCount": default["replicaCount"] if plan.replicas is None else plan.replicas,
        "minReadySeconds": plan.min_ready,
        "revisionHistoryLimit": default["revisionHistoryLimit"],
        "strategy": {"type": "Recreate"} if plan.recreate else {},
        **pod.values(plan, default),
    }


def _annotations(plan: WorkloadPlan, new: Any) -> Any:
    found = new or {}
    if not plan.verbatim.items() <= found.items():
        raise UncoveredError
    return {key: text for key, text in found.items() if key not in plan.verbatim}


def _replicas(plan: WorkloadPlan, new: Any) -> Any:
    if plan.autoscaler or plan.keda or plan.canary:
        raise UncoveredError
    return most(plan, new)


def _own(plan: WorkloadPlan, new: Any) -> Any:
    """Return a number that is the object's alone: the Rollout beside it has the same value."""
    if plan.canary:
        raise UncoveredError
    return new


HOLDER = (
    lens("metadata.annotations", "workloadAnnotations", _annotations),
    lens("spec.replicas", "replicaCount", _replicas),
    lens("spec.minReadySeconds", "minReadySeconds", _own),
    lens("spec.revisionHistoryLimit", "revisionHistoryLimit", _own),
    *pod.LENSES,
)
"""What a StatefulSet has too."""
LENSES = {"Deployment": (*HOLDER, lens("spec.strategy", "strategy"))}
