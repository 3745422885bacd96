"""Deployment: replicas without identity, never fewer than promised during a rollout."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects import pod
from fleetform.platforms.kubernetes.objects.manifest import Manifest, workload_object


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the Deployment, nothing when the workload is a StatefulSet."""
    if plan.kind != "Deployment":
        return ()
    spec: dict[str, Any] = {}
    if plan.replicas is not None:  # else an autoscaler owns the number
        spec["replicas"] = plan.replicas
    spec["revisionHistoryLimit"] = 10
    spec["selector"] = {"matchLabels": plan.selector}
    spec["strategy"] = (
        {"type": "Recreate"}
        if plan.recreate
        else {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    )
    spec["template"] = pod.template(plan)
    return (
        workload_object(
            plan,
            "apps/v1",
            "Deployment",
            annotations={**plan.annotations, **plan.verbatim},
            spec=spec,
        ),
    )
