"""A Job that restores a store: suspended, printed, and applied by nobody but the person who decides it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import plan as planning
from fleetform.names import LABEL, fit
from fleetform.plan import backups
from fleetform.platforms.kubernetes import bind
from fleetform.platforms.kubernetes.objects import job

if TYPE_CHECKING:
    from fleetform.models.memory_store import MemoryStoreSpec
    from fleetform.plan.model import Plan
    from fleetform.platforms.kubernetes.objects.manifest import Manifest
    from fleetform.problems import Problem
    from fleetform.resolve import Fleet, Resolved

RETRIES = 0
"""A restore that failed is looked at before it is tried again."""


def restores(
    fleet: Fleet, plan: Plan, store: Resolved[MemoryStoreSpec], snapshot: str
) -> Iterator[Manifest]:
    """Yield the Job, or one for each agent that keeps files of the store.

    Its pods have the labels of the backup's, whose account and policy they need.
    """
    problems: list[Problem] = []
    for name, draft in backups.restores(fleet, store, plan.workloads, snapshot):
        workload = planning.closed(fleet, draft, problems)
        (bound,), _ = bind.closed(fleet, plan, [workload], problems)
        (manifest,) = job.build(bound)
        manifest["metadata"]["name"] = fit(name, f"-restore-{snapshot}", LABEL)
        spec = {**manifest["spec"], "backoffLimit": RETRIES}
        yield {**manifest, "spec": {"suspend": True, **spec}}
