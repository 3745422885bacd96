"""ScaledObject and TriggerAuthentication: scaling by KEDA."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.lens import Values, lens
from fleetform.platforms.kubernetes.model import Keda, KedaTrigger, WorkloadPlan
from fleetform.platforms.kubernetes.objects.horizontalpodautoscaler import behavior, target
from fleetform.platforms.kubernetes.objects.manifest import Manifest, data, workload_object
from fleetform.platforms.kubernetes.objects.poddisruptionbudget import most

API = "keda.sh/v1alpha1"


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the TriggerAuthentications and the ScaledObject, nothing if KEDA is off."""
    keda = plan.keda
    if keda is None:
        return ()
    return (
        *_authentications(plan, keda),
        workload_object(
            plan, API, "ScaledObject", annotations=plan.verbatim, spec=_spec(plan, keda)
        ),
    )


def _authentications(plan: WorkloadPlan, keda: Keda) -> list[Manifest]:
    return [
        workload_object(
            plan,
            API,
            "TriggerAuthentication",
            trigger.authentication,
            spec={
                "secretTargetRef": [
                    {"parameter": parameter, "name": name, "key": key}
                    for parameter, name, key in trigger.secrets
                ]
            },
        )
        for trigger in keda.triggers
        if trigger.secrets
    ]


def _spec(plan: WorkloadPlan, keda: Keda) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "scaleTargetRef": target(plan),
        "minReplicaCount": keda.minimum,
        "maxReplicaCount": keda.maximum,
        "pollingInterval": keda.polling_interval,
        "cooldownPeriod": keda.cooldown_period,
    }
    if keda.fallback_replicas:
        spec["fallback"] = {
            "failureThreshold": 3,
            "replicas": keda.fallback_replicas,
            "behavior": "static",
        }
    spec["advanced"] = {"horizontalPodAutoscalerConfig": {"behavior": data(keda.behavior)}}
    spec["triggers"] = [_trigger(trigger) for trigger in keda.triggers]
    return spec


def _trigger(trigger: KedaTrigger) -> dict[str, Any]:
    body: dict[str, Any] = {"type": trigger.type}
    if trigger.name:
        body["name"] = trigger.name
    if trigger.metric_type:
        body["metricType"] = trigger.metric_type
    body["metadata"] = dict(trigger.metadata)
    if trigger.authentication:
        body["authenticationRef"] = {"name": trigger.authentication}
    return body


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `keda`."""
    return {"keda": _value(plan.keda, default["keda"])}


def _value(keda: Keda | None, default: Values) -> Values:
    if keda is None:
        return default
    return {
        "enabled": True,
        "minReplicas": keda.minimum,
        "maxReplicas": keda.maximum,
        "triggers": [_trigger_value(trigger) for trigger in keda.triggers],
        "behavior": behavior(keda.behavior),
        "pollingInterval": keda.polling_interval,
        "cooldownPeriod": keda.cooldown_period,
        "fallbackReplicas": keda.fallback_replicas or 0,
    }


def _trigger_value(trigger: KedaTrigger) -> Values:
    body: Values = {"type": trigger.type}
    if trigger.name:
        body["name"] = trigger.name
    if trigger.metric_type:
        body["metricType"] = trigger.metric_type
    body["metadata"] = dict(trigger.metadata)
    if trigger.secrets:
        body["secretTargetRef"] = [
            {"parameter": parameter, "name": name, "key": key}
            for parameter, name, key in trigger.secrets
        ]
    return body


LENSES = {
    "ScaledObject": (
        lens("spec.minReplicaCount", "keda.minReplicas"),
        lens("spec.maxReplicaCount", "keda.maxReplicas", most),
        lens("spec.pollingInterval", "keda.pollingInterval"),
        lens("spec.cooldownPeriod", "keda.cooldownPeriod"),
        lens("spec.advanced.horizontalPodAutoscalerConfig.behavior", "keda.behavior"),
    )
}
