"""What controls the number of replicas: nothing, a HorizontalPodAutoscaler, or KEDA; never two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.names import fit
from fleetform.plan.model import Trigger, Workload
from fleetform.platforms.kubernetes.model import Autoscaler, Keda, KedaTrigger
from fleetform.records import NamedTuple
from fleetform.resolve.switches import scales_on_runs

if TYPE_CHECKING:
    from fleetform.models.scaling import Behavior
    from fleetform.resolve import Fleet

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


CPU_LOAD = Trigger("cpu", {"value": "70"}, "Utilization")
"""The same for KEDA."""


class Scaler(NamedTuple):
    """The decision: at most one of `autoscaler` and `keda`, and `replicas` only if there is neither."""

    replicas: int | None = None
    autoscaler: Autoscaler | None = None
    keda: Keda | None = None


BUSY = 0.6
"""Share of its limit of runs at which an agent gets another replica: new ones need a while to start."""


def scaler(fleet: Fleet, workload: Workload) -> Scaler:
    """Return what scales a workload, and between which bounds."""
    least, most, _, events = workload.scale
    runs = _runs(fleet, workload)
    if events or runs:
        return Scaler(keda=_keda(workload, runs))
    if most <= least:
        return Scaler(least)
    scaling = workload.spec.scaling
    metrics = tuple(view.dump(metric) for metric in scaling.metrics or ()) or (CPU,)
    return Scaler(autoscaler=Autoscaler(least, most, metrics, behavior(scaling.behavior)))


def behavior(given: Behavior | None) -> dict[str, Any]:
    """Return the behavior with every direction filled in, in Kubernetes' order of fields."""
    if given is None:
        return BEHAVIOR
    own = view.dump(given)
    filled = {}
    for direction, default in BEHAVIOR.items():
        mixed = {**default, **own.get(direction, {})}
        filled[direction] = {
            key: mixed[key]
            for key in ("stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance")
            if key in mixed
        }
    return filled


def _keda(workload: Workload, runs: tuple[Trigger, ...]) -> Keda:
    scaling = workload.spec.scaling
    given = scaling.keda
    triggers = (*workload.scale.triggers, *runs)
    return Keda(
        minimum=workload.scale.least,
        maximum=workload.scale.most,
        triggers=tuple(
            _trigger(workload.name, number, trigger) for number, trigger in enumerate(triggers)
        ),
        behavior=behavior(scaling.behavior),
        polling_interval=given.polling_interval or 30 if given else 30,
        cooldown_period=300
        if given is None or given.cooldown_period is None
        else given.cooldown_period,
        fallback_replicas=given.fallback_replicas if given else None,
    )


def _runs(fleet: Fleet, workload: Workload) -> tuple[Trigger, ...]:
    """Return the trigger on an agent's runs, and that on CPU beside it unless the spec has triggers of its own."""
    resolved = workload.resolved
    # A Job of an agent runs to its end, and has none of the agent's runs.
    if workload.shape.ends or not scales_on_runs(fleet.environment, resolved):
        return ()
    spec = resolved.spec
    most = spec.scaling.inflight_runs or max(1, int(spec.limits.concurrent_runs * BUSY))
    of = f'{{namespace="{workload.namespace}",agent="{workload.name}"}}'
    parameters = {
        "query": f"sum(agent_inflight_runs{of}) + sum(agent_queue_depth{of})",
        "serverAddress": fleet.environment.monitoring.prometheus_url or "",
        "threshold": str(most),
    }
    trigger = Trigger("prometheus", parameters, "AverageValue")
    return (trigger,) if workload.scale.triggers else (trigger, CPU_LOAD)


MISSING_IS_ZERO = frozenset({"prometheus", "aws-cloudwatch", "loki"})
"""Triggers that take a metric without a value for zero unless told otherwise (KEDA 2.21)."""


def _parameters(trigger: Trigger) -> Mapping[str, str]:
    """Return a trigger's parameters; a metric that is missing is an error of it, and no reason to scale in."""
    if trigger.type not in MISSING_IS_ZERO:
        return trigger.parameters
    return dict(sorted({"ignoreNullValues": "false", **trigger.parameters}.items()))


def _trigger(name: str, number: int, trigger: Trigger) -> KedaTrigger:
    return KedaTrigger(
        type=trigger.type,
        metadata=_parameters(trigger),
        metric_type=trigger.metric_type,
        name=trigger.name,
        secrets=tuple((parameter, *secret) for parameter, secret in trigger.secrets),
        authentication=fit(name, f"-trigger-{number}") if trigger.secrets else "",
    )
