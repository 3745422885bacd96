"""CronJob: a Job's pods again, by a schedule."""

from __future__ import annotations

from fleetform.platforms.kubernetes.lens import Values
from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects import job
from fleetform.platforms.kubernetes.objects.manifest import Manifest, labels, workload_object

LATE = 3600
"""Seconds after which a run that could not start is left out."""


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the CronJob, nothing without a schedule; two of its runs never overlap.

    It has the Job's name: changed pods are another CronJob, and the runs of the old one end with it.
    """
    if plan.kind != "Job" or not plan.schedule:
        return ()
    template = {"metadata": {"labels": dict(sorted(labels(plan).items()))}, "spec": job.spec(plan)}
    spec = {
        "schedule": plan.schedule,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": LATE,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": template,
    }
    annotations = {**plan.annotations, **plan.verbatim}
    return (workload_object(plan, job.API, "CronJob", job.name(plan), annotations, spec=spec),)


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `schedule`."""
    del default
    return {"schedule": plan.schedule}
