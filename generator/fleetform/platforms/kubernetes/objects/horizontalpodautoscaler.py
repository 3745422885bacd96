"""HorizontalPodAutoscaler: who owns the number of replicas when KEDA does not."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, data, workload_object


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the autoscaler, nothing when the number of replicas is fixed or KEDA's."""
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
    """Return the reference to what is scaled."""
    return {
        "apiVersion": "apps/v1",
        "kind": plan.kind,
        "name": plan.name,
    }
