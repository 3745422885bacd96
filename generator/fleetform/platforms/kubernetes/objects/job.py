"""Job: pods that run to their end, once for each revision of what they are."""

from __future__ import annotations

from typing import Any

from fleetform import canonical
from fleetform.names import fit
from fleetform.platforms.kubernetes.lens import Values
from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects import pod
from fleetform.platforms.kubernetes.objects.manifest import (
    MANAGED_BY_LABEL,
    Manifest,
    workload_object,
)

API = "batch/v1"
RETRIES = 3
"""Pods that may fail before the Job has failed."""
STARTS = 20
"""The same where exit codes say which failures are for good: the others are of the cluster."""


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the Job, nothing if the workload runs for ever.

    A Job's pods cannot be changed, so that a changed one is another Job. It has no time to live: once
    it was gone, Flux, Argo CD or Helm would make it anew, and run it again and again.
    """
    if plan.kind != "Job":
        return ()
    return (
        workload_object(
            plan,
            API,
            "Job",
            name(plan),
            {**plan.annotations, **plan.verbatim},
            spec=spec(plan),
        ),
    )


def spec(plan: WorkloadPlan) -> dict[str, Any]:
    """Return how the pods run, once or by a schedule."""
    ended = {"activeDeadlineSeconds": plan.deadline} if plan.deadline else {}
    if not plan.fail_on:
        return {**ended, "backoffLimit": RETRIES, "template": pod.template(plan)}
    codes = {"containerName": plan.component, "operator": "In", "values": [*plan.fail_on]}
    evicted = [{"type": "DisruptionTarget", "status": "True"}]
    return {
        **ended,
        "backoffLimit": STARTS,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {"action": "FailJob", "onExitCodes": codes},
                {"action": "Ignore", "onPodConditions": evicted},
            ]
        },
        "template": pod.template(plan),
    }


def name(plan: WorkloadPlan) -> str:
    """Return the name with a hash of the pods' template, without the label in which the chart differs."""
    template = pod.template(plan)
    metadata = template["metadata"]
    labels = {key: text for key, text in metadata["labels"].items() if key != MANAGED_BY_LABEL}
    digest = canonical.digest({**template, "metadata": {**metadata, "labels": labels}})
    return fit(plan.name, f"-{digest[:8]}")


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `failOnExitCodes` and `activeDeadlineSeconds`; all else is that of its pods."""
    del default
    return {"failOnExitCodes": [*plan.fail_on], "activeDeadlineSeconds": plan.deadline}
