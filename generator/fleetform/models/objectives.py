"""What an agent promises its callers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from fleetform.models.base import Spec, optional

_PERCENT: dict[str, Any] = {"ge": 50, "le": 99.999}


class LatencyObjective(Spec):
    """How many answers come how soon."""

    seconds: float = Field(
        description="Time of an answer, from the first byte of the request to the last one of the response: a bound of the histogram `agent_request_duration_seconds`.",
        gt=0,
        le=86400,
    )
    percent: float = Field(description="Percent of the answers that are as fast.", **_PERCENT)


class Objectives(Spec):
    """Objectives, and the alerts about them: while the error budget is spent too fast."""

    availability: float | None = optional(
        "Percent of the requests that succeed; what users cancel is no failure. Default: no objective.",
        **_PERCENT,
    )
    latency: LatencyObjective | None = optional("How fast answers are. Default: no objective.")
    min_requests: int = Field(
        default=20,
        description="Requests that there must be within the longer window of an alert.",
        ge=1,
        le=1_000_000,
    )
    window: Annotated[str, StringConstraints(pattern=r"^(2[89]|[3-8][0-9]|90)d$")] = Field(
        default="30d", description="Time that the budget is for, from 28 to 90 days."
    )
