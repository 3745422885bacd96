"""Metrics, traces and logs of a workload."""

from __future__ import annotations

from typing import Literal

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


class Observability(Spec):
    """Metrics, traces and logs."""

    metrics: Metrics = Field(default_factory=Metrics, description="Prometheus metrics.")
    tracing: Tracing = Field(default_factory=Tracing, description="Traces.")
    logging: Logging = Field(default_factory=Logging, description="Logs.")
