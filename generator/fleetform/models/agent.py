"""Agent and AgentTemplate: what an agent is, does and may do."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic.json_schema import WithJsonSchema

from fleetform.models.base import Metadata, Name, ReferenceName, SecretKey, Spec, Url, optional
from fleetform.models.mcp_server import McpCapability, Transport
from fleetform.models.memory_store import AgentMemory
from fleetform.models.model_config import ModelSettings
from fleetform.models.tool import Authentication
from fleetform.models.workload import Workload
from fleetform.patterns import REFERENCE_NAME

_REFERENCE = {"pattern": REFERENCE_NAME, "maxLength": 253}


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Names = Annotated[
    list[ReferenceName],
    BeforeValidator(_as_list),
    WithJsonSchema(
        {"type": ["string", "array"], **_REFERENCE, "items": {"type": "string", **_REFERENCE}}
    ),
]
"""One name or a list of names."""


class ToolUse(Spec):
    """A tool that the agent uses: a Tool, an MCPServer or another agent by name, or an MCP server in place."""

    name: Name = Field(
        description="Name of the Tool, MCPServer or Agent; with `endpoint`, a name of your own."
    )
    kind: Literal["Tool", "MCPServer", "Agent"] | None = optional(
        "Kind of what is named. Default: whichever has that name."
    )
    namespace: Name | None = optional(
        "Namespace of what is named. Default: the agent's, then the fleet-wide ones."
    )
    endpoint: Url | None = optional(
        "URL of an MCP server in place. A short host is relative to the agent's namespace. Default: `name` is looked up."
    )
    transport: Transport | None = optional("MCP transport of `endpoint`. Default: streamable-http.")
    description: str | None = optional(
        "What the model is told, for an agent used as a tool. Default: that agent's description.",
        max_length=4096,
    )
    allow: list[str] | None = optional(
        "Names of the MCP tools that may be called. Default: the server's."
    )
    capabilities: list[McpCapability] | None = optional(
        "Kinds of MCP tools that may be called, such as `read`. Default: the server's."
    )
    authentication: Authentication | None = optional(
        "Sign-in at `endpoint` or at an agent. Default: the server's; for an agent of this namespace its first API key."
    )
    requires_approval: bool | None = optional(
        "Whether a person must approve each call. Default: the tool's own."
    )


class ApiKey(Spec):
    """One key and the caller that it names."""

    name: Name = Field(description="User that a caller with this key is; appears in logs.")
    secret_ref: SecretKey = Field(description="The key, at least 16 characters.")
    on_behalf: bool = Field(
        default=False,
        description="Whether the caller, such as a gateway, may name the user in a header.",
    )


class ApiKeyAuth(Spec):
    """Callers show a key: `Authorization: Bearer <key>` or `X-API-Key: <key>`."""

    keys: list[ApiKey] = Field(description="Keys that are accepted.", min_length=1)


class OidcAuth(Spec):
    """Callers sign in with a JWT."""

    issuer: Url = Field(description="Issuer URL; its keys are discovered.")
    audience: str = Field(
        description="Audience that tokens must name.", min_length=1, max_length=253
    )
    user_claim: str = Field(default="sub", description="Claim that names the user.", max_length=64)


class Auth(Spec):
    """How callers sign in. There is no default: somebody must decide."""

    type: Literal["none", "apiKey", "oidc"] = Field(
        description="`none` weakens: everybody who reaches the agent is one user."
    )
    api_key: ApiKeyAuth | None = optional("For type apiKey.")
    oidc: OidcAuth | None = optional("For type oidc.")


class Quota(Spec):
    """What may be used in a period."""

    requests_per_minute: int | None = optional("Requests a minute. Default: no limit.", ge=1)
    tokens_per_minute: int | None = optional("Model tokens a minute. Default: no limit.", ge=1)
    daily_cost_usd: float | None = optional(
        "US dollars a day, UTC; needs prices. Default: no limit.", gt=0, le=1000000000
    )


class RateLimits(Quota):
    """How much the agent as a whole may be asked; shared by its replicas through a Redis store."""

    per_user: Quota | None = optional("The same for each user. Default: no limit.")


class Limits(Spec):
    """How long and how wide one run may get."""

    max_steps: int = Field(default=20, description="Model calls of one run.", ge=1, le=1000)
    max_tool_calls: int = Field(default=50, description="Tool calls of one run.", ge=1, le=1000)
    turn_timeout_seconds: int = Field(
        default=120,
        description="Seconds that one turn may take; shutdown waits as long.",
        ge=1,
        le=3300,
    )
    concurrent_runs: int = Field(
        default=50,
        description="Runs at a time per pod; further ones wait in a short queue.",
        ge=1,
        le=10000,
    )
    max_body_bytes: int = Field(
        default=1048576, description="Largest request body in bytes.", ge=1024, le=104857600
    )
    max_tool_result_bytes: int = Field(
        default=65536,
        description="Largest tool result in bytes that the model sees.",
        ge=256,
        le=10485760,
    )


Prompt = Annotated[str, StringConstraints(max_length=1_000_000)]


class AgentSpec(Workload):
    """An agent: prompt, model, tools, memory, and how it runs."""

    display_name: str | None = optional(
        "Name for people; with an image of your own, only agents that use it as a tool show it. Default: the name.",
        max_length=253,
    )
    description: str | None = optional(
        "What it does; agents that use it as a tool read it. Default: none.", max_length=4096
    )
    extends: Names | None = optional(
        "Templates (or agents) to build on, later ones win. Default: none."
    )
    model_config_ref: ReferenceName | None = optional(
        "Name of a ModelConfig. Default: the environment's, or `model`.", alias="modelConfig"
    )
    model: ModelSettings | None = optional(
        "Model settings; they win over the ModelConfig's. Default: the ModelConfig."
    )
    models: list[ReferenceName] | None = optional(
        "ModelConfigs that a session may switch to. Default: only its own."
    )
    fallbacks: list[ReferenceName] | None = optional(
        "ModelConfigs to try, in order, when the model fails. Default: none."
    )
    system_prompt: Prompt | None = optional("System prompt. Needed on the generic runtime.")
    tools: list[ToolUse] = Field(
        default_factory=list, description="What the agent can use. Default: nothing."
    )
    memory: AgentMemory | None = optional(
        "Where conversations live. Default: in process, which fits one replica only."
    )
    auth: Auth | None = optional(
        "How callers sign in. No default: the spec, a template or the environment must decide."
    )
    rate_limits: RateLimits = Field(
        default_factory=RateLimits, description="Limits per minute and day."
    )
    limits: Limits = Field(default_factory=Limits, description="Limits of one run.")
    peers: list[str] = Field(
        default_factory=list,
        description="Agents that talk to this one on all its ports, both ways. Default: none.",
    )


class Agent(Spec):
    """An agent of the fleet."""

    api_version: Literal["fleetform.dev/v1alpha1"] = Field(description="API version.")
    kind: Literal["Agent"] = Field(description="Kind of the document.")
    metadata: Metadata = Field(description="Name and place.")
    spec: AgentSpec = Field(description="The agent.")


class AgentTemplate(Spec):
    """What several agents share; an agent names it in `extends`."""

    api_version: Literal["fleetform.dev/v1alpha1"] = Field(description="API version.")
    kind: Literal["AgentTemplate"] = Field(description="Kind of the document.")
    metadata: Metadata = Field(description="Name; without a namespace it serves the whole fleet.")
    spec: AgentSpec = Field(description="What agents that extend it start from.")
