"""Who owns the number of replicas: nobody, a HorizontalPodAutoscaler, or KEDA; never two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.plan.model import Autoscaler, Keda, KedaTrigger
from fleetform.plan.names import fit
from fleetform.resolve.switches import keda_is_on

if TYPE_CHECKING:
    from fleetform.models.scaling import Behavior, Metric, Scaling, Trigger
    from fleetform.models.scaling import Keda as KedaSpec

BEHAVIOR: dict[str, Any] = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Percent", "value": 100, "periodSeconds": 15},
            {"type": "Pods", "value": 4, "periodSeconds": 15},
        ],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": 300,
        "selectPolicy": "Max",
        "policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}],
    },
}
"""Up at once, down slowly: a conversation that moves to another pod is cheap, a cold pod is not."""
CPU: dict[str, Any] = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
}


@dataclass(frozen=True, slots=True)
class Scale:
    """The decision; at most one of `autoscaler` and `keda` is set, and `replicas` only without both."""

    replicas: int | None
    autoscaler: Autoscaler | None
    keda: Keda | None
    most: int


def decide(name: str, scaling: Scaling) -> Scale:
    """Return who scales a workload, and between which bounds."""
    low = 1 if scaling.min_replicas is None else scaling.min_replicas
    high = max(low, 1) if scaling.max_replicas is None else scaling.max_replicas
    if scaling.keda is not None and keda_is_on(scaling):
        return Scale(None, None, _keda(name, scaling, scaling.keda, low, high), high)
    if high <= low:
        return Scale(low, None, None, low)
    metrics = tuple(_metric(metric) for metric in scaling.metrics or ()) or (CPU,)
    return Scale(None, Autoscaler(low, high, metrics, behavior(scaling.behavior)), None, high)


def _metric(metric: Metric) -> dict[str, Any]:
    return view.dump(metric)


def behavior(given: Behavior | None) -> dict[str, Any]:
    """Return the behavior with every direction filled in, in Kubernetes' order of fields."""
    own = view.dump(given) if given else {}
    filled = {}
    for direction, default in BEHAVIOR.items():
        mixed = {**default, **own.get(direction, {})}
        filled[direction] = {
            key: mixed[key]
            for key in ("stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance")
            if key in mixed
        }
    return filled


def _keda(name: str, scaling: Scaling, keda: KedaSpec, low: int, high: int) -> Keda:
    triggers = [_trigger(name, number, trigger) for number, trigger in enumerate(keda.triggers)]
    triggers += [
        _from_metric(metric) for metric in scaling.metrics or () if metric.resource is not None
    ]
    return Keda(
        minimum=low,
        maximum=high,
        triggers=tuple(triggers),
        behavior=behavior(scaling.behavior),
        polling_interval=keda.polling_interval or 30,
        cooldown_period=300 if keda.cooldown_period is None else keda.cooldown_period,
        fallback_replicas=keda.fallback_replicas,
    )


def _trigger(name: str, number: int, trigger: Trigger) -> KedaTrigger:
    secrets = tuple(
        (item.parameter, item.secret_ref.name, item.secret_ref.key)
        for item in trigger.authentication or ()
    )
    return KedaTrigger(
        type=trigger.type,
        metadata=dict(sorted(trigger.metadata.items())),
        metric_type=trigger.metric_type or "",
        name=trigger.name or "",
        secrets=secrets,
        authentication=fit(name, f"-trigger-{number}") if secrets else "",
    )


def _from_metric(metric: Metric) -> KedaTrigger:
    """Turn a cpu or memory metric into a trigger: an HPA beside KEDA would fight it."""
    resource = metric.resource
    if resource is None:  # pragma: no cover - the caller asks for resource metrics only
        raise ValueError(metric)
    target = resource.target
    value = (
        target.average_utilization
        if target.type == "Utilization"
        else target.average_value or target.value
    )
    return KedaTrigger(type=resource.name, metadata={"value": str(value)}, metric_type=target.type)
