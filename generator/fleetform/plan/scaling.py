"""The range of a workload's number of instances, and what asks for more or fewer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from fleetform.plan.model import Scale, SecretRef, Trigger
from fleetform.resolve.switches import keda_is_on

if TYPE_CHECKING:
    from fleetform.models.scaling import Metric, Scaling
    from fleetform.models.scaling import Trigger as TriggerSpec

ONE = Scale(1, 1)


def scale(scaling: Scaling) -> Scale:
    """Return the range of a workload; in a range of one number there is nothing to decide."""
    low = 1 if scaling.min_replicas is None else scaling.min_replicas
    high = max(low, 1) if scaling.max_replicas is None else scaling.max_replicas
    load = tuple(_load(scaling.metrics or ()))
    keda = scaling.keda
    if keda is not None and keda_is_on(scaling):
        return Scale(low, high, (*map(_trigger, keda.triggers), *load), events=True)
    if high <= low:
        return Scale(low, low)
    return Scale(low, high, load)


def _trigger(trigger: TriggerSpec) -> Trigger:
    return Trigger(
        trigger.type,
        dict(sorted(trigger.metadata.items())),
        trigger.metric_type or "",
        trigger.name or "",
        tuple(
            (item.parameter, SecretRef(item.secret_ref.name, item.secret_ref.key))
            for item in trigger.authentication or ()
        ),
    )


def _load(metrics: Iterable[Metric]) -> Iterator[Trigger]:
    """Yield how much CPU or memory use of the instances asks for more of them."""
    for metric in metrics:
        if metric.resource is None:
            continue
        target = metric.resource.target
        value = (
            target.average_utilization
            if target.type == "Utilization"
            else target.average_value or target.value
        )
        yield Trigger(metric.resource.name, {"value": str(value)}, target.type)
