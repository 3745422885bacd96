"""Whether Argo Rollouts replaces the pods of a workload, in which steps, and what judges them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetform.plan.model import Shape, Workload
from fleetform.platforms.kubernetes.model import Analysis, Canary

if TYPE_CHECKING:
    from fleetform.resolve import Fleet


def canary(fleet: Fleet, workload: Workload) -> Canary | None:
    """Return the canary of an agent's own pods; its Jobs have none."""
    resolved = workload.resolved
    if resolved.kind != "Agent" or workload.shape is not Shape.SERVICE:
        return None
    given = resolved.spec.delivery.canary
    if given is None or resolved.spec.canary_of:
        return None
    judged, prometheus = given.analysis, fleet.environment.monitoring.prometheus_url
    analysis = None
    if judged is not None and prometheus is not None:
        analysis = Analysis(
            prometheus,
            judged.window,
            judged.min_requests,
            judged.max_error_rate,
            judged.max_p95_seconds or 0,
        )
    steps = tuple((step.weight, step.pause or "") for step in given.steps)
    return Canary(steps, analysis, given.moving or "")
