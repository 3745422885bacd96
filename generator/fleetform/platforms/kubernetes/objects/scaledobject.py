"""ScaledObject and TriggerAuthentication: scaling by KEDA."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.model import Keda, KedaTrigger, WorkloadPlan
from fleetform.platforms.kubernetes.objects.horizontalpodautoscaler import target
from fleetform.platforms.kubernetes.objects.manifest import Manifest, data, workload_object

API = "keda.sh/v1alpha1"


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the triggers' sign-ins and the ScaledObject, nothing when KEDA is not asked for."""
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
        spec["fallback"] = {"failureThreshold": 3, "replicas": keda.fallback_replicas}
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
