"""Workflow and WorkflowRun: agents working together step by step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fleetform.models.agent import Auth
from fleetform.models.base import (
    Duration,
    Json,
    LabelKey,
    LabelValue,
    Metadata,
    Name,
    QualifiedName,
    SecretKey,
    Spec,
    optional,
)
from fleetform.models.observability import Logging, Tracing
from fleetform.models.tool import Authentication, Parameter
from fleetform.models.workload import Affinity, EnvVar, Peer, Resources, Toleration

OutputPath = Annotated[str, StringConstraints(pattern=r"^(\.[A-Za-z0-9_-]+)+$", max_length=1024)]


class StepOutput(Spec):
    """A named part of a step's answer."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=63)] = (
        Field(description="Name used by later steps.")
    )
    path: OutputPath = Field(description="Path within the answer, such as `.result.data`.")


class Step(Spec):
    """One step: a call of an agent, whose answer is kept."""

    name: Name = Field(description="Name of the step.")
    agent: Name = Field(description="Agent that performs the step.")
    depends_on: list[Name] = Field(
        default_factory=list, description="Steps that must finish first. Default: none."
    )
    input: dict[str, Json] = Field(
        default_factory=dict,
        description="Data for the agent; `{{ .input.x }}` and `{{ .steps.s.output.y }}` are filled in. Default: none.",
    )
    output: list[StepOutput] = Field(
        default_factory=list, description="Parts of the answer to keep. Default: none."
    )
    timeout: Duration | None = optional("Timeout of the step, a duration. Default: the workflow's.")
    retries: int | None = optional("Retries. Default: `errorHandling.maxRetries`.", ge=0, le=100)
    parallel: bool = Field(
        default=False, description="Whether it may run in parallel with other steps that are ready."
    )
    authentication: Authentication | None = optional(
        "Authentication at the agent. Default: for an agent of this namespace its first API key, otherwise none."
    )


class Webhook(Spec):
    """Destination of a notification."""

    secret_ref: SecretKey = Field(description="URL of the webhook.")


class NotificationChannel(Spec):
    """Where to send notifications."""

    type: Literal["slack", "webhook"] = Field(description="Kind of channel.")
    webhook: Webhook = Field(description="The webhook.")


class ErrorHandling(Spec):
    """What happens on failure."""

    on_step_failure: Literal["retry", "fail", "continue"] = Field(
        default="fail", description="What to do when a step fails."
    )
    max_retries: int = Field(default=0, description="Retries of a failed step.", ge=0, le=100)
    on_workflow_failure: Literal["notify", "none"] = Field(
        default="none", description="What to do when the workflow fails."
    )
    notification_channel: NotificationChannel | None = optional(
        "Where to send notifications. Required for notify."
    )


class Concurrency(Spec):
    """Limit of concurrent runs."""

    max_concurrent: int = Field(default=1, description="Concurrent runs.", ge=1, le=10000)
    policy: Literal["queue", "reject", "replace"] = Field(
        default="queue", description="What happens to further runs."
    )


class WorkflowMemory(Spec):
    """Where runs are kept."""

    store: QualifiedName = Field(
        description="Name of a MemoryStore of type `redis` or `postgres`, or `namespace/name`."
    )


class Serve(Spec):
    """An HTTP API that begins, shows and ends runs, and the pods that execute them."""

    auth: Auth = Field(description="How callers authenticate.")
    ui: bool = Field(
        default=True,
        description="Whether it serves a page at `/`, on which people begin runs, look at their steps and decide for them.",
    )
    replicas: int = Field(
        default=1,
        description="Pods. More than one need a `memory` that they share.",
        ge=1,
        le=100,
    )


class Schedule(Spec):
    """Runs that begin by themselves."""

    cron: Annotated[str, StringConstraints(min_length=1, max_length=253)] = Field(
        description="When, as minute, hour, day, month and weekday, or `@daily` and the like."
    )
    time_zone: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        default="Etc/UTC", description="Time zone of `cron`, as the IANA database names it."
    )
    input: dict[str, Json] = Field(
        default_factory=dict, description="Inputs. Default: the workflow's own defaults."
    )


class FlowPod(Spec):
    """Where the pods that execute runs are placed, and what others read of them."""

    annotations: dict[LabelKey, str] = Field(
        default_factory=dict, description="Pod annotations. Default: none."
    )
    node_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="Node labels to require. Default: none."
    )
    tolerations: list[Toleration] = Field(
        default_factory=list, description="Taints to tolerate. Default: none."
    )
    affinity: Affinity | None = optional("Scheduling affinity. Default: none.")
    priority_class_name: Name | None = optional("Priority class. Default: the cluster's.")


class FlowNetwork(Spec):
    """Traffic in addition to what the spec implies."""

    allow_to: list[Peer] = Field(
        default_factory=list, description="Additional destinations. Default: none."
    )


class WorkflowObservability(Spec):
    """Traces and logs of what executes runs."""

    tracing: Tracing = Field(default_factory=Tracing, description="Traces.")
    logging: Logging = Field(default_factory=Logging, description="Logs.")


class WorkflowSpec(Spec):
    """Steps, what flows between them, and what happens on failure."""

    display_name: str | None = optional("Display name. Default: the name.", max_length=253)
    description: str | None = optional("What it does. Default: none.", max_length=16384)
    input: list[Parameter] = Field(
        default_factory=list, description="Inputs of a run. Default: none."
    )
    steps: list[Step] = Field(
        description="Steps, which run in the order of their dependencies.", min_length=1
    )
    output: dict[str, Json] = Field(
        default_factory=dict,
        description="Result of a run, with `{{ … }}` filled in. Default: none.",
    )
    error_handling: ErrorHandling = Field(
        default_factory=ErrorHandling, description="What happens on failure."
    )
    timeout: Duration = Field(default="1h", description="Timeout of a run, a duration.")
    concurrency: Concurrency = Field(default_factory=Concurrency, description="Concurrent runs.")
    memory: WorkflowMemory | None = optional(
        "Where runs are kept. Default: the Redis or PostgreSQL that all agents of its steps share, otherwise each pod's memory."
    )
    serve: Serve | None = optional(
        "An HTTP API, and pods that execute what it is asked for. Default: only WorkflowRuns and `schedule` begin runs."
    )
    schedule: Schedule | None = optional("Runs that begin by themselves. Default: none.")
    observability: WorkflowObservability = Field(
        default_factory=WorkflowObservability,
        description="Traces and logs of what executes runs; the agents have their own.",
    )
    resources: Resources = Field(
        default_factory=Resources,
        description="Requests and limits of the pods that execute runs; the agents have their own.",
    )
    env: list[EnvVar] = Field(
        default_factory=list,
        description="Environment variables of these pods, such as `HTTPS_PROXY`, through which webhooks are told. Default: none.",
    )
    pod_template: FlowPod = Field(
        default_factory=FlowPod, description="Settings of these pods. Default: the cluster's."
    )
    network: FlowNetwork = Field(
        default_factory=FlowNetwork,
        description="What these pods reach besides agents, store and webhook. Default: nothing.",
    )


class Workflow(Spec):
    """Agents working together."""

    api_version: Literal["fleetform.dev/v1alpha1"] = Field(description="API version.")
    kind: Literal["Workflow"] = Field(description="Kind of the document.")
    metadata: Metadata = Field(description="Name, namespace and labels.")
    spec: WorkflowSpec = Field(description="The workflow.")


class WorkflowRef(Spec):
    """A workflow by name."""

    name: Name = Field(description="Name of the Workflow in the same namespace.")


class WorkflowRunSpec(Spec):
    """One run of a workflow."""

    workflow_ref: WorkflowRef = Field(description="Which workflow.")
    input: dict[str, Json] = Field(
        default_factory=dict, description="Inputs. Default: the workflow's own defaults."
    )


class WorkflowRun(Spec):
    """One run of a workflow."""

    api_version: Literal["fleetform.dev/v1alpha1"] = Field(description="API version.")
    kind: Literal["WorkflowRun"] = Field(description="Kind of the document.")
    metadata: Metadata = Field(description="Name, namespace and labels.")
    spec: WorkflowRunSpec = Field(description="The run.")
