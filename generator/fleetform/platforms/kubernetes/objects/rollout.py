"""Rollout and AnalysisTemplate: Argo Rollouts replaces the pods of a Deployment step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleetform import canonical
from fleetform.platforms.kubernetes.alerting import OF_ANSWERS, OF_WORK
from fleetform.platforms.kubernetes.lens import Values
from fleetform.platforms.kubernetes.model import Analysis, Canary, WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, workload_object

API = "argoproj.io/v1alpha1"
HASH = "hash"
"""Argument of an analysis: the hash in the names of the new pods."""


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the Rollout, and before it what judges its steps; nothing without a canary."""
    canary = plan.canary
    if canary is None:
        return ()
    made = []
    if canary.analysis is not None:
        spec = {
            "args": [{"name": HASH}],
            "metrics": [*_metrics(plan, canary.analysis)],
        }
        made.append(workload_object(plan, API, "AnalysisTemplate", spec=spec))
    made.append(workload_object(plan, API, "Rollout", spec=_spec(plan, canary)))
    return tuple(made)


def beside(plan: WorkloadPlan) -> int | None:
    """Return the replicas that the Deployment itself asks for; None if an autoscaler controls their number.

    Beside a Rollout there are none, which is said here: the controller says it only of a Rollout's first revision, and
    takes back what the way out gives if it hears of that before it hears of the Rollout.

    On the way out its autoscaler needs one pod to begin with: at none it stays off. What the autoscaler adds is its
    own, and stays when the number is no longer rendered; without it, one is what is left then.
    """
    if plan.canary is None:
        return plan.replicas
    if not plan.canary.moving:
        return 0
    return 1 if plan.replicas is None and plan.canary.moving == "out" else plan.replicas


def _spec(plan: WorkloadPlan, canary: Canary) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    if plan.replicas is not None:
        spec["replicas"] = plan.replicas
    if plan.min_ready:
        spec["minReadySeconds"] = plan.min_ready
    return {
        **spec,
        "revisionHistoryLimit": 10,
        "selector": {"matchLabels": plan.selector},
        "workloadRef": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": plan.name,
            "scaleDown": "never",
        },
        "strategy": {
            "canary": {"maxSurge": 1, "maxUnavailable": 0, "steps": [*_steps(plan, canary)]}
        },
    }


def _steps(plan: WorkloadPlan, canary: Canary) -> Iterator[dict[str, Any]]:
    for weight, pause in canary.steps:
        yield {"setWeight": weight}
        yield {"pause": {"duration": pause} if pause else {}}
        if canary.analysis is not None:
            latest = {"name": HASH, "valueFrom": {"podTemplateHashValue": "Latest"}}
            yield {"analysis": {"templates": [{"templateName": plan.name}], "args": [latest]}}


def _metrics(plan: WorkloadPlan, analysis: Analysis) -> Iterator[dict[str, Any]]:
    """Yield what is asked; without enough requests the answer is empty, and a person decides."""
    pods = f'namespace="{plan.namespace}",pod=~"{plan.name}-{{{{args.{HASH}}}}}-.+"'
    window, least = analysis.window, analysis.requests
    # Which requests an image of one's own counts is its own matter.
    is_generic = plan.config is not None and bool(plan.config.settings)
    of_work, of_answers = (f",{OF_WORK}", f",{OF_ANSWERS}") if is_generic else ("", "")
    work = f"agent_request_total{{{pods}{of_work}}}[{window}]"
    failed = f'agent_request_errors_total{{{pods},error_type!="cancelled"}}[{window}]'
    # An image of one's own may have no series of failures until the first one.
    errors = (
        f"((sum(rate({failed})) or 0 * sum(rate({work}))) / sum(rate({work}))) "
        f"and sum(increase({work})) >= {least}"
    )
    yield _metric("errors", analysis, errors, analysis.errors)
    if analysis.seconds:
        answers = f"{{{pods}{of_answers}}}[{window}]"
        slow = (
            "histogram_quantile(0.95, sum by (le) "
            f"(rate(agent_request_duration_seconds_bucket{answers}))) "
            f"and sum(increase(agent_request_duration_seconds_count{answers})) >= {least}"
        )
        yield _metric("p95", analysis, slow, analysis.seconds)


def _metric(name: str, analysis: Analysis, query: str, most: float) -> dict[str, Any]:
    # Neither holds for an empty answer or NaN: that is inconclusive, and pauses.
    limit = canonical.dumps(most)
    return {
        "name": name,
        "successCondition": f"len(result) > 0 && result[0] <= {limit}",
        "failureCondition": f"len(result) > 0 && result[0] > {limit}",
        "failureLimit": 0,
        "inconclusiveLimit": 0,
        "provider": {"prometheus": {"address": analysis.address, "query": query}},
    }


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `canary`."""
    canary, own = plan.canary, default["canary"]
    if canary is None:
        return {"canary": own}
    analysis = canary.analysis
    steps = [
        {"weight": weight, **({"pause": pause} if pause else {})} for weight, pause in canary.steps
    ]
    judged = own["analysis"]
    if analysis is not None:
        judged = {
            "enabled": True,
            "prometheusUrl": analysis.address,
            "window": analysis.window,
            "minRequests": analysis.requests,
            "maxErrorRate": analysis.errors,
            "maxP95Seconds": analysis.seconds,
        }
    return {
        "canary": {"enabled": True, "steps": steps, "moving": canary.moving, "analysis": judged}
    }


LENSES: dict[str, Any] = {}
