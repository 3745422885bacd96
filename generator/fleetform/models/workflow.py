"""Workflow and WorkflowRun: agents working together step by step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fleetform.models.base import Duration, Json, Metadata, Name, SecretKey, Spec, optional
from fleetform.models.tool import Parameter

OutputPath = Annotated[str, StringConstraints(pattern=r"^(\.[A-Za-z0-9_-]+)+$", max_length=1024)]


class StepOutput(Spec):
    """A named part of a step's answer."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=63)] = (
        Field(description="Name for later steps.")
    )
    path: OutputPath = Field(description="Path in the answer, such as `.result.data`.")


class Step(Spec):
    """One step: an agent is asked, its answer is kept."""

    name: Name = Field(description="Name of the step.")
    agent: Name = Field(description="Agent that does it.")
    depends_on: list[Name] = Field(
        default_factory=list, description="Steps that must be done first. Default: none."
    )
    input: dict[str, Json] = Field(
        default_factory=dict,
        description="Data for the agent; `{{ .input.x }}` and `{{ .steps.s.output.y }}` are filled in. Default: none.",
    )
    output: list[StepOutput] = Field(
        default_factory=list, description="Parts of the answer to keep. Default: none."
    )
    timeout: Duration | None = optional(
        "Time that the step may take, a duration. Default: the workflow's."
    )
    retries: int | None = optional(
        "Further tries. Default: `errorHandling.maxRetries`.", ge=0, le=100
    )
    parallel: bool = Field(
        default=False, description="Whether it may run beside other steps that are ready."
    )


class Webhook(Spec):
    """Where a notification goes."""

    secret_ref: SecretKey = Field(description="URL of the webhook.")


class NotificationChannel(Spec):
    """Whom to tell."""

    type: Literal["slack", "webhook"] = Field(description="Kind of channel.")
    webhook: Webhook = Field(description="The webhook.")


class ErrorHandling(Spec):
    """What happens on failure."""

    on_step_failure: Literal["retry", "fail", "continue"] = Field(
        default="fail", description="When a step fails."
    )
    max_retries: int = Field(default=0, description="Further tries of a failed step.", ge=0, le=100)
    on_workflow_failure: Literal["notify", "none"] = Field(
        default="none", description="When the workflow fails."
    )
    notification_channel: NotificationChannel | None = optional("Whom to tell. Needed for notify.")


class Concurrency(Spec):
    """How many runs there may be at a time."""

    max_concurrent: int = Field(default=1, description="Runs at a time.", ge=1, le=10000)
    policy: Literal["queue", "reject", "replace"] = Field(
        default="queue", description="What happens to one more."
    )


class WorkflowSpec(Spec):
    """Steps, what flows between them, and what happens on failure."""

    display_name: str | None = optional("Name for people. Default: the name.", max_length=253)
    description: str | None = optional("What it does. Default: none.", max_length=16384)
    input: list[Parameter] = Field(
        default_factory=list, description="Inputs of a run. Default: none."
    )
    steps: list[Step] = Field(
        description="Steps; they run in the order of their dependencies.", min_length=1
    )
    output: dict[str, Json] = Field(
        default_factory=dict,
        description="Result of a run, with `{{ … }}` filled in. Default: none.",
    )
    error_handling: ErrorHandling = Field(
        default_factory=ErrorHandling, description="What happens on failure."
    )
    timeout: Duration = Field(default="1h", description="Time that a run may take, a duration.")
    concurrency: Concurrency = Field(default_factory=Concurrency, description="Runs at a time.")


class Workflow(Spec):
    """Agents working together."""

    api_version: Literal["fleetform.dev/v1alpha1"] = Field(description="API version.")
    kind: Literal["Workflow"] = Field(description="Kind of the document.")
    metadata: Metadata = Field(description="Name and place.")
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
    metadata: Metadata = Field(description="Name and place.")
    spec: WorkflowRunSpec = Field(description="The run.")
