"""Metrics, traces, logs and alerts of a workload."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from fleetform.models.base import Port, SecretKey, Spec, Url, UrlPath, optional


class Metrics(Spec):
    """Prometheus metrics of the workload."""

    enabled: bool | None = optional(
        "Whether metrics are scraped. Default: true on the generic runtime, false on your own image."
    )
    port: Port | None = optional("Port number of `/metrics`. Default: 9090.")
    path: UrlPath = Field(default="/metrics", description="Path of the metrics endpoint.")
    interval_seconds: int = Field(default=30, description="Seconds between scrapes.", ge=5, le=3600)


class Tracing(Spec):
    """Traces of the generic runtime."""

    enabled: bool = Field(default=False, description="Whether traces are sent.")
    provider: Literal["otlp", "langfuse"] = Field(
        default="otlp", description="Destination of traces: any OTLP endpoint, or Langfuse."
    )
    endpoint: Url | None = optional(
        "Base URL of the collector or of Langfuse. Default: the environment's."
    )
    sample_rate: float = Field(
        default=1.0, description="Fraction of traces that are kept, 0 to 1.", ge=0, le=1
    )
    public_key_secret_ref: SecretKey | None = optional(
        "Langfuse public key. Default: none, with a warning."
    )
    secret_key_secret_ref: SecretKey | None = optional(
        "Langfuse secret key. Default: none, with a warning."
    )
    capture_content: bool = Field(
        default=False, description="Weakens: includes prompts and answers in traces."
    )


LogLevel = Literal["debug", "info", "warning", "error"]


class Logging(Spec):
    """Logs of the generic runtime, on stdout."""

    level: LogLevel = Field(default="info", description="Minimum level of log messages.")
    loggers: dict[str, LogLevel] = Field(
        default_factory=dict, description="Levels by logger name. Default: none."
    )
    format: Literal["json", "text"] | None = optional(
        "Format of a line: `json` for collectors, or `text` for people, without the ids of requests and runs. Default: json."
    )


ALERTS = {
    "error_ratio": "AgentHighErrorRate: failed requests of all.",
    "latency_ratio": "AgentHighLatency: the time of one answer in twenty, of the longest that a run may take.",
    "rate_limited_ratio": "AgentRateLimited: requests refused by a limit.",
    "fallback_ratio": "AgentModelFallbacks: model requests answered by a fallback.",
    "retry_ratio": "AgentModelRetries: model requests repeated.",
    "tool_error_ratio": "AgentToolErrors: calls of a tool that fail.",
    "ready_ratio": "AgentNotReady: replicas that are ready; it fires below.",
}
"""What each threshold is compared with, and by which alert."""
FRACTION: dict[str, Any] = {"ge": 0.001, "le": 0.999}


def _own(threshold: str) -> Any:
    return optional(f"{ALERTS[threshold]} Default: the environment's.", **FRACTION)


class OwnThresholds(Spec):
    """What alerts about this workload compare with instead, as fractions from 0.001 to 0.999."""

    error_ratio: float | None = _own("error_ratio")
    latency_ratio: float | None = _own("latency_ratio")
    rate_limited_ratio: float | None = _own("rate_limited_ratio")
    fallback_ratio: float | None = _own("fallback_ratio")
    retry_ratio: float | None = _own("retry_ratio")
    tool_error_ratio: float | None = _own("tool_error_ratio")
    ready_ratio: float | None = _own("ready_ratio")


class Observability(Spec):
    """Metrics, traces, logs and alerts."""

    metrics: Metrics = Field(default_factory=Metrics, description="Prometheus metrics.")
    tracing: Tracing = Field(default_factory=Tracing, description="Traces.")
    logging: Logging = Field(default_factory=Logging, description="Logs.")
    alert_thresholds: OwnThresholds = Field(
        default_factory=OwnThresholds,
        description="What alerts compare with. Default: the environment's `monitoring.alertThresholds`.",
    )
