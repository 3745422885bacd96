"""The number of replicas, and what controls it: fixed, a HorizontalPodAutoscaler, or KEDA."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fleetform.models.base import INT32, Json, Quantity, SecretKey, Spec, optional
from fleetform.patterns import PATH_SEGMENT


class MetricTarget(Spec):
    """The target value of an autoscaler."""

    type: Literal["Utilization", "AverageValue", "Value"] = Field(
        description="How the target is measured."
    )
    average_utilization: int | None = optional(
        "Percent of the request, averaged over pods.", ge=1, le=10000
    )
    average_value: Quantity | None = optional("Value averaged over pods, a quantity.")
    value: Quantity | None = optional("Total value, a quantity.")


class ResourceMetric(Spec):
    """A pod resource that drives scaling."""

    name: Literal["cpu", "memory"] = Field(description="Resource.")
    target: MetricTarget = Field(description="Target.")


class MetricIdentifier(Spec):
    """A custom or external metric."""

    name: str = Field(
        description="Metric name in the metrics API.",
        min_length=1,
        max_length=253,
        pattern=PATH_SEGMENT,
    )
    selector: Json | None = optional(
        "Label selector of the metric, as Kubernetes defines it. Default: none."
    )


class PodsMetric(Spec):
    """A custom metric averaged over pods."""

    metric: MetricIdentifier = Field(description="Which metric.")
    target: MetricTarget = Field(description="Target; its type is AverageValue.")


class ExternalMetric(Spec):
    """A metric of something outside of the cluster."""

    metric: MetricIdentifier = Field(description="Which metric.")
    target: MetricTarget = Field(description="Target; its type is Value or AverageValue.")


class ObjectReference(Spec):
    """An object that a metric describes."""

    api_version: str = Field(
        description="API version of the object, such as `networking.k8s.io/v1`.",
        pattern=r"^[^/\s]+(/[^/\s]+)?$",
        max_length=253,
    )
    kind: str = Field(description="Kind of the object.", pattern=PATH_SEGMENT, max_length=63)
    name: str = Field(description="Name of the object.", pattern=PATH_SEGMENT, max_length=253)


class ObjectMetric(Spec):
    """A custom metric of another object."""

    described_object: ObjectReference = Field(description="The object that the metric describes.")
    metric: MetricIdentifier = Field(description="Which metric.")
    target: MetricTarget = Field(description="Target.")


class Metric(Spec):
    """One metric of a HorizontalPodAutoscaler (autoscaling/v2)."""

    type: Literal["Resource", "Pods", "Object", "External"] = Field(
        description="Which of the fields below is set."
    )
    resource: ResourceMetric | None = optional("For type Resource.")
    pods: PodsMetric | None = optional("For type Pods: needs an adapter that serves the metric.")
    object: ObjectMetric | None = optional("For type Object.")
    external: ExternalMetric | None = optional(
        "For type External: needs an adapter that serves the metric."
    )


class ScalingPolicy(Spec):
    """How fast replicas may change in one direction."""

    type: Literal["Pods", "Percent"] = Field(description="Unit of `value`.")
    value: int = Field(description="Pods or percent per period.", ge=1, le=INT32)
    period_seconds: int = Field(description="Period in seconds, at most 1800.", ge=1, le=1800)


class ScalingRules(Spec):
    """One direction of scaling."""

    stabilization_window_seconds: int | None = optional(
        "Stabilization window in seconds, at most 3600.", ge=0
    )
    select_policy: Literal["Max", "Min", "Disabled"] | None = optional(
        "Which policy wins. Default: Max."
    )
    policies: list[ScalingPolicy] | None = optional(
        "Rates of change. Default: Kubernetes' own.", min_length=1
    )
    tolerance: Quantity | None = optional(
        "Relative change that is ignored, such as `0.1`. Default: the cluster's."
    )


class Behavior(Spec):
    """Speed of scaling in both directions."""

    scale_up: ScalingRules | None = optional(
        "Scaling up. Default: at once, doubling or 4 pods per 15 s."
    )
    scale_down: ScalingRules | None = optional(
        "Scaling down. Default: 300 s window, 10 % per minute."
    )


class TriggerAuth(Spec):
    """Secrets that a KEDA trigger authenticates with."""

    parameter: str = Field(
        description="Trigger parameter that the secret fills, such as `password`.", max_length=63
    )
    secret_ref: SecretKey = Field(description="Where the value comes from.")


class Trigger(Spec):
    """One KEDA trigger."""

    type: str = Field(
        description="KEDA scaler, such as `prometheus`, `redis`, `cron`.",
        pattern=r"^[a-z0-9-]+$",
        max_length=63,
    )
    metadata: dict[str, Annotated[str, StringConstraints(max_length=4096)]] = Field(
        default_factory=dict, description="Parameters of the scaler; every value is a string."
    )
    metric_type: Literal["AverageValue", "Value", "Utilization"] | None = optional(
        "How the value is read. Default: the scaler's."
    )
    name: str | None = optional("Unique name of the trigger. Default: none.", max_length=63)
    authentication: list[TriggerAuth] | None = optional(
        "Secrets of the trigger; become a TriggerAuthentication. Default: none."
    )


class Keda(Spec):
    """Scaling by KEDA instead of a HorizontalPodAutoscaler."""

    enabled: bool | None = optional(
        "Whether a ScaledObject is rendered. Default: true if there are `triggers`."
    )
    triggers: list[Trigger] = Field(
        default_factory=list,
        description="Triggers; at least one, unless there are cpu or memory metrics.",
    )
    polling_interval: int | None = optional(
        "Polling interval in seconds. Default: 30.", ge=1, le=INT32
    )
    cooldown_period: int | None = optional(
        "Seconds without activity before scaling to zero. Default: 300.", ge=0, le=INT32
    )
    fallback_replicas: int | None = optional(
        "Replicas while a trigger fails. Default: keep the current ones.", ge=1, le=INT32
    )


class Scaling(Spec):
    """How many replicas there are, and who decides."""

    min_replicas: int | None = optional(
        "Minimum number of replicas; 0 only with a KEDA trigger that can scale it up. Default: 1.",
        ge=0,
        le=10000,
    )
    max_replicas: int | None = optional(
        "Maximum number of replicas. Default: `minReplicas`, which is a fixed number.",
        ge=1,
        le=10000,
    )
    metrics: list[Metric] | None = optional(
        "Metrics of the autoscaler. Default: 70 % CPU, if `maxReplicas` is above `minReplicas`."
    )
    behavior: Behavior | None = optional(
        "Speed of scaling. Default: up at once, down 10 % per minute after 300 s."
    )
    keda: Keda | None = optional(
        "Scaling by KEDA. Default: on runs in flight, where the environment has `keda` and `monitoring.prometheusUrl`."
    )
    inflight_runs: int | None = optional(
        "Runs per replica, being executed or queued, above which KEDA adds replicas. Default: 60 % of `limits.concurrentRuns`, if neither `metrics` nor `keda` says otherwise.",
        ge=1,
        le=10000,
    )
