"""The contract between generator and runtime: agent.json, one JSON document per agent.

The document and its prompts are in one folder, the agent's mounted ConfigMap. Secrets are
references, durations are seconds, and unset fields are left out, never null.
"""

import hashlib
from collections.abc import Iterable, Mapping
from enum import StrEnum, unique
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from fleetform_runtime.sections.access import (
    ApiKeyAuth,
    Approvals,
    Auth,
    Limits,
    NoAuth,
    OidcAuth,
)
from fleetform_runtime.sections.base import HttpUrl, JsonSchema, Name, NonNegative, Section
from fleetform_runtime.sections.long_term import TOOLS, LongTermMemory
from fleetform_runtime.sections.memory import InMemory, Memory, NoMemory
from fleetform_runtime.sections.model import Model
from fleetform_runtime.sections.serving import Health, Observability, Server
from fleetform_runtime.sections.tools import HumanTool, McpServer, Tool

__all__ = ["SERVED_FEATURES", "Feature", "Prompts", "Settings", "load", "read_prompts"]

BASE = "base"
"""What the agent's own prompt, model and tools are called beside its variants."""


@unique
class Feature(StrEnum):
    """Features, besides types of tools, that a spec may ask for; `SERVED_FEATURES` lists the supported ones."""

    CHAT = "chat"
    STREAMING = "streaming"
    WEB_SOCKET = "webSocket"
    OPENAI_API = "openaiApi"
    SESSIONS = "sessions"
    RUNS = "runs"
    MODEL_SWITCHING = "modelSwitching"
    MODEL_FALLBACKS = "modelFallbacks"
    MCP = "mcp"
    APPROVALS = "approvals"
    MEMORY = "memory"
    LONG_TERM_MEMORY = "longTermMemory"
    SUMMARISATION = "summarisation"
    AUTHENTICATION = "authentication"
    LIMITS = "limits"
    METRICS = "metrics"
    TRACING = "tracing"
    LOGGING = "logging"
    WORKFLOWS = "workflows"
    A2A = "a2a"
    WEB_UI = "webUi"


SERVED_FEATURES: frozenset[Feature] = frozenset(Feature) - {
    Feature.WORKFLOWS,
    Feature.WEB_UI,
}
"""What agent.json can express; the generator warns about anything else and leaves it out."""


class Agent(Section):
    """Identity of the agent."""

    name: Name = Field(description="Name; the label `agent` of every metric.")
    namespace: Name = Field(description="Kubernetes namespace, or any name on a laptop.")
    display_name: str | None = Field(
        default=None, max_length=256, description="Display name; default: name."
    )
    description: str | None = Field(
        default=None, max_length=4_096, description="What it does, for users and other agents."
    )


class PromptFile(Section):
    """A text next to agent.json: a separate key in the ConfigMap, which reviewers can read."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}$")] = Field(
        description="Name of the file, UTF-8, in the folder of agent.json."
    )


class Prompt(Section):
    """Instructions for the model before a conversation."""

    system: PromptFile = Field(description="The system prompt.")


class Variant(Section):
    """Another prompt or model for a share of the sessions; a session keeps what it began with."""

    name: Name = Field(
        description="Name; the label `variant` of metrics. `base` is the agent itself."
    )
    weight: Annotated[float, Field(ge=0, le=100)] = Field(
        description="Percent of new sessions that get it; 0: none any more."
    )
    prompt: Prompt | None = Field(default=None, description="Instructions; default: the agent's.")
    model: Model | None = Field(
        default=None,
        description="Model of its sessions that do not choose another one; default: the agent's.",
    )


class A2a(Section):
    """What the card says to other agents."""

    url: HttpUrl = Field(
        description="Base URL of the agent as others reach it, such as http://name.ns.svc; the card has it, and "
        "nothing that a request says."
    )


class Output(Section):
    """What the agent's last answer must be."""

    schema_: JsonSchema = Field(
        alias="schema",
        description="JSON Schema of the answer, draft 2020-12; it is validated, and asked for again if it does "
        "not match.",
    )
    repairs: NonNegative = Field(
        default=2, le=5, description="Times that the model is asked again; default 2."
    )

    @field_validator("schema_")
    @classmethod
    def _can_be_compared(cls, value: dict[str, Any]) -> dict[str, Any]:
        from fleetform_runtime.tools.mcp.schemas import check  # noqa: PLC0415 - a library few need

        check(value)
        return value


class Prompts(NamedTuple):
    """The texts beside agent.json."""

    system: str
    variants: Mapping[str, str] = MappingProxyType({})
    """Those of variants that have one of their own, by their names."""


class Settings(Section):
    """Configuration of one agent, complete except for prompts and secrets."""

    contract: Literal[1] = Field(description="Version of this contract; a runtime refuses others.")
    agent: Agent = Field(description="Name and namespace of the agent.")
    prompt: Prompt = Field(description="Instructions for the model.")
    model: Model = Field(description="Model of every session that does not choose another one.")
    models: tuple[Model, ...] = Field(
        default=(), description="Further models that a session may switch to; default: none."
    )
    fallbacks: tuple[Model, ...] = Field(
        default=(),
        description="Models tried in this order if one fails before its first token; default: "
        "none.",
    )
    tools: tuple[Tool, ...] = Field(default=(), description="Tools of the agent; default: none.")
    mcp_servers: tuple[McpServer, ...] = Field(
        default=(), description="MCP servers whose tools the agent has; default: none."
    )
    variants: tuple[Variant, ...] = Field(
        default=(),
        max_length=8,
        description="Variants that new sessions are shared out among; default: none.",
    )
    output: Output | None = Field(
        default=None, description="What the last answer must be; default: any text."
    )
    memory: Memory = Field(
        default_factory=InMemory, description="Where conversations are kept; default: in-memory."
    )
    long_term_memory: LongTermMemory | None = Field(
        default=None,
        description="What is remembered of each user beyond a conversation, in the store of `memory`; default: nothing.",
    )
    auth: Auth = Field(
        description="How callers authenticate. There is no default: without a decision the runtime does not start."
    )
    approvals: Approvals | None = Field(
        default=None,
        description="Who decides on calls that need approval; default: whoever asked.",
    )
    limits: Limits = Field(default_factory=Limits, description="Limits.")
    server: Server = Field(default_factory=Server, description="Ports and shutdown.")
    a2a: A2a | None = Field(
        default=None,
        alias="a2a",
        description="What other agents are told of this one; default: that it is on this machine.",
    )
    health: Health = Field(default_factory=Health, description="Paths of the probes.")
    observability: Observability = Field(
        default_factory=Observability, description="Traces and logs."
    )

    @model_validator(mode="after")
    def _refuse_repeated_names(self) -> Self:
        _refuse_repeated("model", (model.key for model in (self.model, *self.models)))
        _refuse_repeated("tool", (tool.name for tool in self.tools))
        _refuse_repeated("MCP server", (server.name for server in self.mcp_servers))
        _refuse_repeated("variant", (BASE, *(variant.name for variant in self.variants)))
        return self

    @model_validator(mode="after")
    def _refuse_variants_that_nobody_gets(self) -> Self:
        whole = sum(variant.weight for variant in self.variants)
        if whole > 100:
            raise ValueError(f"variants: their weights sum up to {whole:g} percent")
        models = {model.key: model for model in (self.model, *self.models)}
        for item in self.variants:
            if (
                item.model is not None
                and models.setdefault(item.model.key, item.model) != item.model
            ):
                raise ValueError(
                    f"variant {item.name}: another model is named {item.model.key}; give it an id"
                )
        known = {BASE, *(variant.name for variant in self.variants)}
        for tool in (*self.tools, *self.mcp_servers):
            if unknown := sorted({*(tool.variants or ())} - known):
                raise ValueError(f"{tool.name}: there is no variant {unknown[0]}")
        return self

    @property
    def keeps(self) -> bool:
        """Whether anything is kept from one request to the next."""
        return not isinstance(self.memory, NoMemory)

    @property
    def session_models(self) -> tuple[Model, ...]:
        """Return the models that answer in sessions: the offered ones, and what only variants have."""
        offered = (self.model, *self.models)
        known = {model.key for model in offered}
        own = {item.model.key: item.model for item in self.variants if item.model is not None}
        return (*offered, *(model for key, model in own.items() if key not in known))

    @property
    def every_model(self) -> tuple[tuple[str, Model], ...]:
        """Return all models, each with its JSON path."""
        compression = self.memory.policy.compression
        return (
            ("$.model", self.model),
            *((f"$.models[{index}]", model) for index, model in enumerate(self.models)),
            *((f"$.fallbacks[{index}]", model) for index, model in enumerate(self.fallbacks)),
            *(
                (f"$.variants[{index}].model", variant.model)
                for index, variant in enumerate(self.variants)
                if variant.model is not None
            ),
            *(
                [("$.memory.policy.compression.model", compression.model)]
                if compression and compression.model
                else []
            ),
        )

    def fingerprint(self, prompts: Prompts) -> str:
        """Return a hash of the configuration, which contains no secrets."""
        text = self.model_dump_json(by_alias=True, exclude_unset=True)
        text = "\n".join((text, prompts.system, *prompts.variants.values()))
        return hashlib.sha256(text.encode()).hexdigest()

    @model_validator(mode="after")
    def _refuse_to_wait_without_memory(self) -> Self:
        tools = (*self.tools, *self.mcp_servers)
        for tool in () if self.keeps else tools:
            if isinstance(tool, HumanTool) or tool.requires_approval:
                raise ValueError(
                    f"{tool.name} waits for people, which memory of type none cannot keep"
                )
        return self

    @model_validator(mode="after")
    def _refuse_approvers_that_nobody_is(self) -> Self:
        approvers = self.approvals.approvers if self.approvals else None
        if approvers is None:
            return self
        keys = self.auth.keys if isinstance(self.auth, ApiKeyAuth) else ()
        gateways = {key.name for key in keys if key.on_behalf}
        alone = {key.name for key in keys if not key.on_behalf}
        for name in approvers.keys:
            key, _, user = name.partition("/")
            if not ((user and key in gateways) or name in alone):
                raise ValueError(
                    f"approvals.approvers.keys: {name} is no key without onBehalf, nor a user of one with it"
                )
        if approvers.roles and not (isinstance(self.auth, OidcAuth) and self.auth.roles_claim):
            raise ValueError(
                "approvals.approvers.roles: callers have no roles without auth.rolesClaim"
            )
        return self

    @model_validator(mode="after")
    def _refuse_memories_of_nobody(self) -> Self:
        section = self.long_term_memory
        if section is None:
            return self
        if not self.keeps:
            raise ValueError("longTermMemory needs a store, and memory is of type none")
        if isinstance(self.auth, NoAuth) and section.user is None:
            raise ValueError(
                "longTermMemory.user is missing: with auth of type none callers are not told apart"
            )
        if not isinstance(self.auth, NoAuth) and section.user is not None:
            raise ValueError(
                "longTermMemory.user is for auth of type none: callers who authenticate are users themselves"
            )
        keys = [model.key for model in (self.model, *self.models)]
        if section.model is not None and section.model not in keys:
            raise ValueError(
                f"longTermMemory.model: {section.model} is none of the agent's models: {', '.join(keys)}"
            )
        if taken := sorted({tool.name for tool in self.tools} & {*TOOLS}):
            raise ValueError(
                f"tools: {taken[0]} is the name of a tool that comes with longTermMemory; rename yours"
            )
        return self

    @model_validator(mode="after")
    def _refuse_a_shared_port(self) -> Self:
        if self.server.port == self.server.metrics_port:
            raise ValueError("server.port and server.metricsPort are the same")
        return self


def _refuse_repeated(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"two {what}s are named {name}")
        seen.add(name)


def read_prompts(settings: Settings, folder: Path) -> Prompts:
    """Read the prompts next to agent.json."""
    own = {item.name: item.prompt for item in settings.variants if item.prompt is not None}
    texts = {name: _read(folder, prompt) for name, prompt in own.items()}
    return Prompts(_read(folder, settings.prompt), texts)


def _read(folder: Path, prompt: Prompt) -> str:
    return (folder / prompt.system.file).read_text("utf-8")


def load(path: Path) -> Settings:
    """Read agent.json.

    Raises:
        OSError: the file cannot be read.
        pydantic.ValidationError: it violates the contract; `loc` of each error is the JSON path.
    """
    return Settings.model_validate_json(path.read_bytes())
