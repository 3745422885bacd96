"""CronJob: a Job's pods by a schedule, beside the Job or in place of it."""

from __future__ import annotations

from fleetform.platforms.kubernetes.lens import Values
from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects import job
from fleetform.platforms.kubernetes.objects.manifest import Manifest, labels, workload_object

LATE = 3600
"""Seconds after which a run that could not start is left out."""


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the CronJob, nothing without a schedule.

    Beside a Job, two of its runs never overlap, and it has the Job's name: changed pods are another CronJob, and the
    runs of the old one end with it. Alone it has the workload's name, and may leave it to whoever runs what may overlap.
    """
    alone = plan.kind == "CronJob"
    if not alone and (plan.kind != "Job" or not plan.schedule):
        return ()
    template = {"metadata": {"labels": dict(sorted(labels(plan).items()))}, "spec": job.spec(plan)}
    spec = {
        "schedule": plan.schedule,
        "timeZone": plan.time_zone,
        "concurrencyPolicy": "Allow" if alone and plan.overlaps else "Forbid",
        "startingDeadlineSeconds": LATE,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": template,
    }
    annotations = {**plan.annotations, **plan.verbatim}
    name = plan.name if alone else job.name(plan)
    return (workload_object(plan, job.API, "CronJob", name, annotations, spec=spec),)


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `schedule`, `timeZone` and `allowOverlap`."""
    del default
    return {
        "schedule": plan.schedule,
        "timeZone": plan.time_zone,
        "allowOverlap": plan.overlaps,
    }
