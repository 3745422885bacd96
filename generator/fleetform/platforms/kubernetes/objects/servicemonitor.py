"""ServiceMonitor: how the Prometheus operator finds a workload's metrics."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.lens import Values, lens
from fleetform.platforms.kubernetes.model import Metrics, WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import (
    HEADLESS_LABEL,
    Manifest,
    labels,
    manifest,
)


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the monitor, nothing if the metrics are not scraped."""
    metrics = plan.metrics
    if metrics is None:
        return ()
    selector: dict[str, Any] = {"matchLabels": plan.selector}
    if plan.headless:
        selector["matchExpressions"] = [{"key": HEADLESS_LABEL, "operator": "DoesNotExist"}]
    spec = {
        "selector": selector,
        "endpoints": [
            {"port": metrics.port, "path": metrics.path, "interval": f"{metrics.interval}s"}
        ],
        **({"podTargetLabels": list(metrics.targets)} if metrics.targets else {}),
    }
    return (
        manifest(
            "monitoring.coreos.com/v1",
            "ServiceMonitor",
            plan.name,
            plan.namespace,
            {**labels(plan), **metrics.labels},
            spec=spec,
        ),
    )


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `serviceMonitor`."""
    return {"serviceMonitor": _value(plan.metrics, default["serviceMonitor"])}


def _value(metrics: Metrics | None, default: Values) -> Values:
    if metrics is None:
        return default
    return {
        "enabled": True,
        "port": metrics.port,
        "path": metrics.path,
        "interval": f"{metrics.interval}s",
        "labels": dict(metrics.labels),
        "podTargetLabels": list(metrics.targets),
    }


LENSES = {
    "ServiceMonitor": (
        lens("spec.endpoints.0.interval", "serviceMonitor.interval"),
        lens("spec.endpoints.0.path", "serviceMonitor.path"),
    )
}
