"""PrometheusRule: one set of alerts per namespace, never one per agent."""

from __future__ import annotations

from fleetform.platforms.kubernetes import alerts
from fleetform.platforms.kubernetes.lens import Values, lens
from fleetform.platforms.kubernetes.model import NamespacePlan
from fleetform.platforms.kubernetes.objectives import Objective
from fleetform.platforms.kubernetes.objects.manifest import (
    Manifest,
    data,
    manifest,
    namespace_labels,
)

NAME = "fleetform-alerts"


def build(plan: NamespacePlan) -> tuple[Manifest, ...]:
    """Return the alerts, nothing if the namespace has no workloads or nothing evaluates rules."""
    if not plan.alerts:
        return ()
    labels = {**namespace_labels(plan, NAME), **plan.alert_labels}
    return (
        manifest(
            "monitoring.coreos.com/v1",
            "PrometheusRule",
            NAME,
            plan.name,
            labels,
            plan.verbatim,
            spec={"groups": data(plan.alerts)},
        ),
    )


def values(plan: NamespacePlan, default: Values) -> Values:
    """Return the chart's `alerts`."""
    groups = data(plan.alerts)
    if not groups:
        return {"alerts": {**default["alerts"], "labels": dict(plan.alert_labels)}}
    own = alerts.groups(
        plan.name,
        plan.runbooks,
        runtime=plan.runtime_alerts,
        thresholds=plan.alert_thresholds,
        own=plan.own_thresholds,
        severities=plan.severities,
        promised=plan.objectives,
        budget=plan.budget,
        collector=plan.collector_alerts,
    )
    return {
        "alerts": {
            "enabled": True,
            "labels": dict(plan.alert_labels),
            "runtime": plan.runtime_alerts,
            "runbooks": plan.runbooks,
            "severities": dict(plan.severities),
            "thresholds": dict(plan.alert_thresholds),
            "workloads": {name: dict(found) for name, found in plan.own_thresholds.items()},
            "objectives": {name: _promise(one) for name, one in plan.objectives.items()},
            "dailyBudgetUsd": plan.budget or 0,
            "collector": plan.collector_alerts,
            "groups": [] if groups == own else groups,
        }
    }


def _promise(objective: Objective) -> Values:
    """Return an agent's objectives as the chart's values; an objective that is not there is left out."""
    found = {
        "availability": objective.availability,
        "latency": objective.latency,
        "bucket": objective.bucket or None,
        "minRequests": objective.requests,
        "days": objective.days,
    }
    return {name: value for name, value in found.items() if value is not None}


LENSES = {"PrometheusRule": (lens("spec.groups", "alerts.groups"),)}
