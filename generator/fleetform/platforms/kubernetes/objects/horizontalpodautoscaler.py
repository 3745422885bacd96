"""HorizontalPodAutoscaler: controls the number of replicas unless KEDA does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetform.platforms.kubernetes.bind import scaling
from fleetform.platforms.kubernetes.lens import Values, lens
from fleetform.platforms.kubernetes.model import Autoscaler, WorkloadPlan
from fleetform.platforms.kubernetes.objects import rollout
from fleetform.platforms.kubernetes.objects.manifest import Manifest, data, workload_object
from fleetform.platforms.kubernetes.objects.poddisruptionbudget import most


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the autoscaler, nothing if the number of replicas is fixed or KEDA controls it."""
    scaler = plan.autoscaler
    if scaler is None:
        return ()
    spec = {
        "scaleTargetRef": target(plan),
        "minReplicas": scaler.minimum,
        "maxReplicas": scaler.maximum,
        "metrics": data(scaler.metrics),
        "behavior": data(scaler.behavior),
    }
    return (workload_object(plan, "autoscaling/v2", "HorizontalPodAutoscaler", spec=spec),)


def target(plan: WorkloadPlan) -> dict[str, Any]:
    """Return the reference to what is scaled: whatever the pods are of that stay."""
    if plan.canary is not None and plan.canary.moving != "out":
        return {"apiVersion": rollout.API, "kind": "Rollout", "name": plan.name}
    return {
        "apiVersion": "apps/v1",
        "kind": plan.kind,
        "name": plan.name,
    }


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `autoscaling`."""
    return {"autoscaling": _value(plan.autoscaler, default["autoscaling"])}


def _value(scaler: Autoscaler | None, default: Values) -> Values:
    if scaler is None:
        return default
    metrics = data(scaler.metrics)
    return {
        **default,
        "enabled": True,
        "minReplicas": scaler.minimum,
        "maxReplicas": scaler.maximum,
        "metrics": [] if metrics == [scaling.CPU] else metrics,
        "behavior": behavior(scaler.behavior),
    }


def behavior(given: Mapping[str, Any]) -> Values:
    """Return a behavior as a value, empty if it is the chart's default."""
    own: Values = data(given)
    return {} if own == scaling.BEHAVIOR else own


LENSES = {
    "HorizontalPodAutoscaler": (
        lens("spec.minReplicas", "autoscaling.minReplicas"),
        lens("spec.maxReplicas", "autoscaling.maxReplicas", most),
        lens("spec.metrics", "autoscaling.metrics"),
        lens("spec.behavior", "autoscaling.behavior"),
    )
}
