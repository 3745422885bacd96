"""The contract between generator and runtime for workflows: workflow.json, one JSON document per workflow."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from fleetform_runtime.sections.access import Auth
from fleetform_runtime.sections.base import (
    HttpUrl,
    Json,
    Name,
    NonNegative,
    Seconds,
    SecretReference,
    Section,
    Tls,
)
from fleetform_runtime.sections.memory import (
    FilesystemMemory,
    InMemory,
    PostgresMemory,
    RedisMemory,
)
from fleetform_runtime.sections.serving import Health, Observability, Server
from fleetform_runtime.sections.tools import OutboundAuth, Parameter
from fleetform_runtime.workflows import expressions

DAY = 86_400

Kept = Annotated[
    InMemory | FilesystemMemory | RedisMemory | PostgresMemory, Field(discriminator="type")
]
StepName = Name
OutputName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,62}$")]
OutputPath = Annotated[str, Field(pattern=r"^(\.[A-Za-z0-9_-]+)+$", max_length=1_024)]


class Identity(Section):
    """Identity of the workflow."""

    name: Name = Field(description="Name; the label `workflow` of every metric.")
    namespace: Name = Field(description="Kubernetes namespace, or any name on a laptop.")
    display_name: str | None = Field(
        default=None, max_length=256, description="Display name; default: name."
    )
    description: str | None = Field(default=None, max_length=16_384, description="What it does.")


class StepAgent(Section):
    """An agent that performs steps."""

    name: Name = Field(description="Name by which steps refer to it.")
    url: HttpUrl = Field(
        description="URL of its A2A endpoint for JSON-RPC, such as http://name.ns.svc/a2a."
    )
    auth: OutboundAuth | None = Field(default=None, description="Authentication; default: none.")
    tls: Tls | None = Field(default=None, description="TLS of an https URL.")
    on_behalf: bool = Field(
        default=False,
        description="Whether the key is of a gateway there, and who has begun the run is named in X-User-Id; default false.",
    )
    schemas: bool = Field(
        default=True,
        description="Whether it takes the schema of its answer as metadata, as agents of this runtime do; otherwise it is "
        "told in words. Default true.",
    )


class StepOutput(Section):
    """A named part of an agent's answer."""

    name: OutputName = Field(description="Name by which later steps refer to it.")
    path: OutputPath = Field(description="Path within the answer, such as `.result.data`.")


class Step(Section):
    """One call of an agent, whose answer is kept."""

    name: StepName = Field(description="Name of the step.")
    agent: Name = Field(description="Name of the agent.")
    depends_on: tuple[StepName, ...] = Field(
        default=(), description="Steps that must be over before; default: none."
    )
    input: dict[str, Json] = Field(
        default_factory=dict,
        description="Data for the agent; `{{ .input.x }}` and `{{ .steps.s.output.y }}` are filled in. Default: none.",
    )
    output: tuple[StepOutput, ...] = Field(
        default=(), description="Parts of the answer that are kept; default: none."
    )
    timeout_seconds: Seconds | None = Field(
        default=None,
        description="Seconds for one attempt, without those in which it waits for a person; default: the run's.",
    )
    retries: NonNegative = Field(
        default=0, le=100, description="Further attempts after one that failed; default 0."
    )
    parallel: bool = Field(
        default=False,
        description="Whether it may run beside other steps that are ready; default false.",
    )


class Notification(Section):
    """Who is told of a run that fails."""

    type: Literal["slack", "webhook"] = Field(
        description="Form of the message: of Slack's incoming webhooks, or JSON."
    )
    url: SecretReference = Field(description="URL of the webhook.")


class Concurrency(Section):
    """How many runs are open at the same time, and what becomes of further ones."""

    max_concurrent: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1, description="Runs that are executed at the same time; default 1."
    )
    policy: Literal["queue", "reject", "replace"] = Field(
        default="queue",
        description="What becomes of a further run: it waits, is refused, or ends the oldest. Default queue.",
    )


class Definition(Section):
    """What a run does; it is kept with the run, which goes on with it however the workflow changes."""

    input: tuple[Parameter, ...] = Field(default=(), description="Inputs of a run; default: none.")
    steps: tuple[Step, ...] = Field(min_length=1, description="The steps.")
    output: dict[str, Json] = Field(
        default_factory=dict,
        description="Result of a run, with `{{ … }}` filled in; default: nothing.",
    )
    on_step_failure: Literal["fail", "continue"] = Field(
        default="fail",
        description="What becomes of a run when a step has failed for the last time; with continue, steps that need "
        "its output are skipped. Default fail.",
    )
    notify: bool = Field(
        default=False,
        description="Whether `notification` is told of runs that fail; default false.",
    )
    timeout_seconds: Seconds = Field(
        default=3_600, description="Seconds for one run, from its start; default 3600."
    )

    @model_validator(mode="after")
    def _hold_together(self) -> Self:
        names = [step.name for step in self.steps]
        for step in self.steps:
            if names.count(step.name) > 1:
                raise ValueError(f"two steps are named {step.name}")
            for other in step.depends_on:
                if other not in names:
                    raise ValueError(f"step {step.name} depends on {other}, which is no step")
        left = {step.name: {*step.depends_on} for step in self.steps}
        while ready := [name for name, waits in left.items() if not waits & {*left}]:
            for name in ready:
                del left[name]
        if left:
            raise ValueError(f"steps wait for each other: {', '.join(sorted(left))}")
        return self


class WorkflowSettings(Section):
    """Configuration of one workflow, complete except for secrets."""

    contract: Literal[1] = Field(description="Version of this contract; a runtime refuses others.")
    workflow: Identity = Field(description="Name and namespace of the workflow.")
    definition: Definition = Field(description="What a run does.")
    agents: tuple[StepAgent, ...] = Field(
        min_length=1, description="The agents that perform the steps."
    )
    notification: Notification | None = Field(
        default=None, description="Who is told of runs that fail; default: nobody."
    )
    concurrency: Concurrency = Field(
        default_factory=Concurrency, description="How many runs are open at the same time."
    )
    memory: Kept = Field(description="Where runs are kept.")
    retention_seconds: Seconds = Field(
        default=7 * DAY,
        description="Seconds for which a run is kept after its end; its name may be used again afterwards. Default 604800.",
    )
    lease_seconds: Annotated[float, Field(ge=1, le=600)] = Field(
        default=15,
        description="Seconds after which the run of a process that has died is taken over; default 15.",
    )
    auth: Auth = Field(
        description="How callers of the HTTP API authenticate. There is no default: without a decision it does not start."
    )
    server: Server = Field(default_factory=Server, description="Ports and shutdown.")
    health: Health = Field(default_factory=Health, description="Paths of the probes.")
    observability: Observability = Field(
        default_factory=Observability, description="Traces and logs."
    )

    @model_validator(mode="after")
    def _name_what_there_is(self) -> Self:
        agents = [agent.name for agent in self.agents]
        for step in self.definition.steps:
            if step.agent not in agents:
                raise ValueError(f"step {step.name}: there is no agent {step.agent}")
        if self.definition.notify and self.notification is None:
            raise ValueError("definition.notify is true, and notification is missing")
        for where, text in _texts(self.definition):
            if found := expressions.fault(text):
                raise ValueError(f"{where}: {found}")
        return self

    @property
    def key(self) -> str:
        """Return the name of the workflow in a store that others use as well."""
        return f"{self.workflow.namespace}/{self.workflow.name}"

    def agent(self, name: str) -> StepAgent | None:
        """Return an agent by its name."""
        return next((agent for agent in self.agents if agent.name == name), None)


def _texts(definition: Definition) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = [
        (f"definition.steps.{step.name}.input", step.input) for step in definition.steps
    ]
    return [*found, ("definition.output", definition.output)]


def load(path: Path) -> WorkflowSettings:
    """Read workflow.json.

    Raises:
        OSError: the file cannot be read.
        pydantic.ValidationError: it violates the contract; `loc` of each error is the JSON path.
    """
    return WorkflowSettings.model_validate_json(path.read_bytes())
