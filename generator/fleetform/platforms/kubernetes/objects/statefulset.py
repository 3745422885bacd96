"""StatefulSet: replicas with their own names and volumes."""

from __future__ import annotations

from typing import Any

from fleetform.names import fit
from fleetform.platforms.kubernetes.lens import Values
from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects import pod
from fleetform.platforms.kubernetes.objects.deployment import HOLDER, holder
from fleetform.platforms.kubernetes.objects.manifest import Manifest
from fleetform.platforms.kubernetes.objects.persistentvolumeclaim import spec as claim_spec
from fleetform.platforms.kubernetes.objects.persistentvolumeclaim import value
from fleetform.platforms.kubernetes.objects.service import HEADLESS


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the StatefulSet, nothing if the workload is a Deployment."""
    if plan.kind != "StatefulSet":
        return ()
    own: dict[str, Any] = {
        "serviceName": fit(plan.name, HEADLESS) if plan.headless else "",
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "RollingUpdate"},
        "template": pod.template(plan),
    }
    if plan.claim_templates:
        own["volumeClaimTemplates"] = [
            # As the API server stores it: Argo CD compares the whole list.
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": claim.name, "labels": plan.selector},
                "spec": {**claim_spec(claim), "volumeMode": "Filesystem"},
            }
            for claim in plan.claim_templates
        ]
    return (holder(plan, own),)


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `volumeClaimTemplates`."""
    del default
    return {"volumeClaimTemplates": [value(claim) for claim in plan.claim_templates]}


LENSES = {"StatefulSet": HOLDER}
