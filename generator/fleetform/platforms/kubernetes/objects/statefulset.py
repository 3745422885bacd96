"""StatefulSet: replicas with their own names and volumes."""

from __future__ import annotations

from typing import Any

from fleetform.names import fit
from fleetform.platforms.kubernetes.lens import Values
from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects import pod
from fleetform.platforms.kubernetes.objects.deployment import HOLDER
from fleetform.platforms.kubernetes.objects.manifest import Manifest, workload_object
from fleetform.platforms.kubernetes.objects.persistentvolumeclaim import spec as claim_spec
from fleetform.platforms.kubernetes.objects.persistentvolumeclaim import value
from fleetform.platforms.kubernetes.objects.service import HEADLESS


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the StatefulSet, nothing if the workload is a Deployment."""
    if plan.kind != "StatefulSet":
        return ()
    spec: dict[str, Any] = {}
    if plan.replicas is not None:  # else an autoscaler controls the number
        spec["replicas"] = plan.replicas
    spec["revisionHistoryLimit"] = 10
    spec["selector"] = {"matchLabels": plan.selector}
    spec["serviceName"] = fit(plan.name, HEADLESS) if plan.headless else ""
    spec["podManagementPolicy"] = "Parallel"
    spec["updateStrategy"] = {"type": "RollingUpdate"}
    spec["template"] = pod.template(plan)
    if plan.claim_templates:
        spec["volumeClaimTemplates"] = [
            {"metadata": {"name": claim.name, "labels": plan.selector}, "spec": claim_spec(claim)}
            for claim in plan.claim_templates
        ]
    return (
        workload_object(
            plan,
            "apps/v1",
            "StatefulSet",
            annotations={**plan.annotations, **plan.verbatim},
            spec=spec,
        ),
    )


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `volumeClaimTemplates`."""
    del default
    return {"volumeClaimTemplates": [value(claim) for claim in plan.claim_templates]}


LENSES = {"StatefulSet": HOLDER}
