"""Ports, probes, traces and logs of the process."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from fleetform_runtime.sections.base import (
    Headers,
    HttpUrl,
    Port,
    Seconds,
    SecretReference,
    Section,
    Tls,
)

UrlPath = Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]*$", max_length=256)]
Origin = Annotated[str, Field(pattern=r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?$", max_length=268)]
Level = Literal["debug", "info", "warning", "error", "critical"]


class Server(Section):
    """Where the process listens, and how it shuts down."""

    host: str = Field(
        default="0.0.0.0",  # noqa: S104 - a pod's own network namespace
        max_length=64,
        description="Address to listen on; default 0.0.0.0.",
    )
    port: Port = Field(default=8080, description="TCP port of the HTTP API; default 8080.")
    metrics_port: Port = Field(default=9090, description="TCP port of /metrics; default 9090.")
    ui: bool = Field(
        default=False,
        description="Whether `GET /` is a page: to talk to the agent, or to look at the runs of the workflow. Default false.",
    )
    cors_origins: tuple[Origin, ...] = Field(
        default=(),
        description="Origins of web pages that may call from a browser, exactly as browsers send them; default: none.",
    )
    read_seconds: Seconds = Field(
        default=30, description="Seconds to receive a whole request; default 30."
    )
    ping_seconds: Seconds = Field(
        default=15, description="Seconds between comments on an idle event stream; default 15."
    )
    slow_reader_seconds: Seconds = Field(
        default=30,
        description="Seconds without reading after which a client's stream is closed; the run "
        "continues and can be resumed. Default 30.",
    )
    drain_delay_seconds: Annotated[float, Field(ge=0, le=300)] = Field(
        default=0,
        description="Seconds between SIGTERM and closing the listener, for places where no preStop "
        "sleep precedes SIGTERM; default 0.",
    )
    shutdown_grace_seconds: Seconds = Field(
        default=300,
        description="Seconds after SIGTERM for runs to finish; the pod's grace period minus its "
        "preStop sleep and a margin. Default 300.",
    )


class Health(Section):
    """Paths of the probes; /healthz and /readyz work as well."""

    live_path: UrlPath = Field(
        default="/health", description="Path of the liveness probe; default /health."
    )
    ready_path: UrlPath = Field(
        default="/health/ready", description="Path of the readiness probe; default /health/ready."
    )
    startup_path: UrlPath = Field(
        default="/health/startup", description="Path of the startup probe; default /health/startup."
    )


class Tracing(Section):
    """OpenTelemetry traces over OTLP/HTTP."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"enabled": {"const": True}}, "required": ["enabled"]},
            "then": {"required": ["provider", "endpoint"]},
        }
    )

    enabled: bool = Field(default=False, description="Whether spans are exported; default false.")
    provider: Literal["langfuse", "otlp"] | None = Field(
        default=None, description="Receiver of the spans; required if enabled."
    )
    endpoint: HttpUrl | None = Field(
        default=None,
        description="Base URL of Langfuse, or of an OTLP/HTTP receiver (/v1/traces is added); "
        "required if enabled.",
    )
    public_key: SecretReference | None = Field(
        default=None, description="Public key of the Langfuse project."
    )
    secret_key: SecretReference | None = Field(
        default=None, description="Secret key of the Langfuse project."
    )
    headers: Headers = Field(
        default_factory=dict, description="Headers of every export; credentials as references."
    )
    sample_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        default=1, description="Fraction of runs that are traced, 0 to 1; default 1."
    )
    capture_content: bool = Field(
        default=False,
        description="Whether prompts, answers, arguments and results are exported; default false.",
    )
    environment: str | None = Field(
        default=None, max_length=64, description="Deployment environment shown with each trace."
    )
    tls: Tls | None = Field(default=None, description="TLS of an https endpoint.")

    @model_validator(mode="after")
    def _require_a_receiver(self) -> Self:
        if self.enabled and (self.provider is None or self.endpoint is None):
            raise ValueError("enabled tracing needs provider and endpoint")
        return self


class Logging(Section):
    """Logs on standard output, one line per event."""

    level: Level = Field(default="info", description="Minimum level; default info.")
    loggers: dict[str, Level] = Field(
        default_factory=dict,
        description="Levels of individual loggers, by name; they override level.",
    )
    format: Literal["json", "text"] = Field(
        default="json", description="json for collectors, text for people; default json."
    )


class Observability(Section):
    """What the process reports about itself; metrics are always served."""

    tracing: Tracing = Field(default_factory=Tracing, description="Traces; default: off.")
    logging: Logging = Field(default_factory=Logging, description="Logs.")
