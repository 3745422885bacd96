"""How new pods of an agent replace the old ones."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fleetform.models.base import Spec, optional

_Time = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,4}[smh]$")]


class CanaryStep(Spec):
    """A share of the pods, and how long it stays so."""

    weight: int = Field(
        description="Percent of the replicas that are new ones: at least one of the fewest replicas.",
        ge=1,
        le=99,
    )
    pause: _Time | None = optional(
        "Time until the next step, such as `10m`. Default: until a person promotes it."
    )


class CanaryAnalysis(Spec):
    """What the environment's Prometheus must say of the new pods at the end of each step."""

    max_error_rate: float = Field(
        default=0.05,
        description="Share of the requests that may fail; more of them abort the canary. What users cancel is no failure.",
        ge=0,
        lt=1,
    )
    max_p95_seconds: float | None = optional(
        "Time in seconds that 95 percent of the answers must be faster than. Default: any.",
        alias="maxP95Seconds",
        gt=0,
        lt=300,
    )
    min_requests: int = Field(
        default=20,
        description="Requests to the new pods within `window` without which nothing is decided: a person is waited for.",
        ge=1,
        le=1_000_000,
    )
    window: _Time = Field(default="5m", description="Time before the end of a step that is judged.")


class Canary(Spec):
    """A canary by Argo Rollouts: new pods replace the old ones step by step."""

    steps: list[CanaryStep] = Field(
        description="Steps in order; after the last one all pods are new ones.",
        min_length=1,
        max_length=16,
    )
    analysis: CanaryAnalysis | None = optional(
        "What is measured at the end of each step. Default: nothing, so at least one step must wait for a person."
    )
    moving: Literal["in", "out"] | None = optional(
        "For one release, pods of both the Deployment and the Rollout serve: `in` before the canary takes over, `out` before `delivery` is removed. Default: those of the Rollout alone."
    )


class Delivery(Spec):
    """How a change of image, resources or configuration reaches the pods."""

    canary: Canary | None = optional(
        "Step by step, by Argo Rollouts. Default: a rolling update of the Deployment."
    )
