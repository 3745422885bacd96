"""ServiceMonitor: how the Prometheus operator finds a workload's metrics."""

from __future__ import annotations

from fleetform.objects.manifest import Manifest, labels, manifest
from fleetform.plan.model import WorkloadPlan


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the monitor, nothing when the metrics are not scraped."""
    metrics = plan.metrics
    if metrics is None:
        return ()
    # A headless twin carries the same labels: its endpoints would be scraped a second time.
    selector = {
        "matchLabels": plan.selector,
        **({"matchExpressions": [{"key": "app.kubernetes.io/headless", "operator": "DoesNotExist"}]} if plan.headless else {}),
    }
    spec = {
        "selector": selector,
        "endpoints": [{"port": metrics.port, "path": metrics.path, "interval": f"{metrics.interval}s"}],
    }
    return (manifest("monitoring.coreos.com/v1", "ServiceMonitor", plan.name, plan.namespace, {**labels(plan), **metrics.labels}, spec=spec),)
