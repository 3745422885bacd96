"""Agent and AgentTemplate: what an agent is, does and may do."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic.json_schema import WithJsonSchema

from fleetform.models.base import (
    Json,
    Metadata,
    Name,
    ObjectName,
    QualifiedName,
    ReferenceName,
    SecretKey,
    Spec,
    Url,
    optional,
)
from fleetform.models.delivery import Delivery
from fleetform.models.mcp_server import McpCapability, Transport
from fleetform.models.memory_store import AgentMemory
from fleetform.models.model_config import ModelSettings
from fleetform.models.objectives import Objectives
from fleetform.models.tool import Authentication
from fleetform.models.workload import Resources, Workload
from fleetform.patterns import ORIGIN, REFERENCE_NAME

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
    """A tool that the agent uses: a Tool, an MCPServer or another agent by name, or an inline MCP server."""

    name: Name = Field(
        description="Name of the Tool, MCPServer or Agent; with `endpoint`, any name."
    )
    kind: Literal["Tool", "MCPServer", "Agent"] | None = optional(
        "Kind of the named document. Default: whichever kind has that name."
    )
    namespace: Name | None = optional(
        "Namespace of the named document. Default: the agent's, then fleet-wide documents."
    )
    endpoint: Url | None = optional(
        "URL of an inline MCP server. A short host is relative to the agent's namespace. Default: `name` is looked up."
    )
    transport: Transport | None = optional(
        "MCP transport of `endpoint`; never `stdio`, for which there are MCPServers. Default: streamable-http."
    )
    description: str | None = optional(
        "Description for the model, for an agent used as a tool. Default: that agent's description.",
        max_length=4096,
    )
    allow: list[str] | None = optional(
        "Names of the MCP tools that may be called. Default: the server's."
    )
    capabilities: list[McpCapability] | None = optional(
        "Kinds of MCP tools that may be called, such as `read`. Default: the server's."
    )
    authentication: Authentication | None = optional(
        "Authentication at `endpoint` or at an agent. Default: the server's; for an agent of this namespace its first API key."
    )
    requires_approval: bool | None = optional(
        "Whether each call needs human approval. Default: the tool's own."
    )
    variants: list[Name] | None = optional(
        "Variants of the agent that have the tool, `base` for the agent itself. Default: all of them.",
        min_length=1,
        max_length=9,
    )


class ApiKey(Spec):
    """An API key and the caller it identifies."""

    name: Name = Field(description="User name of the caller with this key; appears in logs.")
    secret_ref: SecretKey = Field(description="The key, at least 16 characters.")
    on_behalf: bool = Field(
        default=False,
        description="Whether the caller, such as a gateway, may pass the user in a header.",
    )


class ApiKeyAuth(Spec):
    """Callers send a key: `Authorization: Bearer <key>` or `X-API-Key: <key>`."""

    keys: list[ApiKey] = Field(description="Keys that are accepted.", min_length=1)


class OidcAuth(Spec):
    """Callers authenticate with a JWT."""

    issuer: Url = Field(description="Issuer URL; its keys are discovered.")
    audience: str = Field(
        description="Audience that tokens must contain.", min_length=1, max_length=253
    )
    user_claim: str = Field(
        default="sub", description="Claim that contains the user.", max_length=64
    )
    roles_claim: str | None = optional(
        "Claim that contains the caller's roles, a text or a list of them; with dots between members, such as realm_access.roles. Default: callers have no roles.",
        min_length=1,
        max_length=256,
    )
    client_id: str | None = optional(
        "Public client of the issuer by which people sign in on the agent's page, with PKCE and no secret. Default: they paste a token.",
        min_length=1,
        max_length=256,
    )
    scopes: list[Annotated[str, StringConstraints(pattern=r"^[!#-\[\]-~]{1,128}$")]] = Field(
        default_factory=lambda: ["openid"],
        description="Scopes that the page asks for.",
        max_length=32,
    )


class Auth(Spec):
    """How callers authenticate. There is no default: it must be decided."""

    type: Literal["none", "apiKey", "oidc"] = Field(
        description="`none` weakens: anyone who can reach the agent counts as the same user."
    )
    api_key: ApiKeyAuth | None = optional("For type apiKey.")
    oidc: OidcAuth | None = optional("For type oidc.")


class Approvers(Spec):
    """Callers that may decide; one of them is enough."""

    keys: list[Annotated[str, StringConstraints(min_length=1, max_length=512)]] = Field(
        default_factory=list,
        description="Names of API keys; a user of a key with `onBehalf` is `<key>/<user>`. Default: none.",
    )
    roles: list[Annotated[str, StringConstraints(min_length=1, max_length=256)]] = Field(
        default_factory=list,
        description="Roles of callers, from `auth.oidc.rolesClaim`. Default: none.",
    )


class Webhook(Spec):
    """Who is told when a run waits for people, is decided on, is cancelled or expires."""

    url: Url = Field(
        description="URL that is sent a POST, https unless it is in the cluster; with format slack the origin of the one in the Secret. A short host is relative to the agent's namespace."
    )
    secret_ref: SecretKey = Field(
        description="Key of the signature (HMAC with SHA-256), at least 16 characters; with format slack the whole URL of the incoming webhook."
    )
    format: Literal["json", "slack"] = Field(
        default="json",
        description="Form of what is sent: JSON that is signed, or a text for Slack.",
    )
    include_arguments: bool = Field(
        default=False,
        description="Weakens: sends the arguments of the calls too, which may hold what users said.",
    )


class Approvals(Spec):
    """Who decides on calls that need approval, and who is told of them."""

    approvers: Approvers | None = optional(
        "Callers that decide on the calls of everybody's runs. Default: whoever asked."
    )
    webhook: Webhook | None = optional("Who is told when a run waits for people. Default: nobody.")
    self_: bool = Field(
        default=False,
        alias="self",
        description="Whether approvers may decide on calls of their own runs; true weakens: nobody else looks at those.",
    )


class KnowledgeSource(Spec):
    """A folder of documents: exactly one of its sources."""

    name: Name = Field(
        description="Name; documents are called by it, and by their path in the folder."
    )
    config_map: ObjectName | None = optional(
        "A ConfigMap of the agent's namespace, each key a document. Default: none."
    )
    claim: ObjectName | None = optional(
        "A PersistentVolumeClaim of the agent's namespace, which exists and is mounted read-only. Default: none."
    )


class Knowledge(Spec):
    """The documents that a collection of the agent holds; a Job of its own takes them in."""

    tool: Name | None = optional(
        "The tool whose collection it is, by its name in `tools`. Default: the agent's only one of type retrieval."
    )
    sources: list[KnowledgeSource] = Field(
        description="Where the documents are.", min_length=1, max_length=32
    )
    schedule: str | None = optional(
        "When they are taken in again, by cron's five fields in UTC, such as `0 3 * * *`. Default: only when the spec changes.",
        max_length=100,
    )
    prune: bool = Field(
        default=False,
        description="Whether documents that are in no source any more are removed from the collection.",
    )
    resources: Resources = Field(
        default_factory=Resources, description="Requests and limits of the Job's container."
    )


class Quota(Spec):
    """Limits per period."""

    requests_per_minute: int | None = optional("Requests per minute. Default: no limit.", ge=1)
    tokens_per_minute: int | None = optional("Model tokens per minute. Default: no limit.", ge=1)
    daily_cost_usd: float | None = optional(
        "US dollars per day (UTC); needs prices. Default: no limit.", gt=0, le=1000000000
    )


class RateLimits(Quota):
    """Limits for the agent as a whole; shared by its replicas through a Redis store."""

    per_user: Quota | None = optional("The same for each user. Default: no limit.")


class Limits(Spec):
    """Limits of one run, and of concurrent runs."""

    max_steps: int = Field(default=20, description="Model calls per run.", ge=1, le=1000)
    max_tool_calls: int = Field(default=50, description="Tool calls per run.", ge=1, le=1000)
    turn_timeout_seconds: int = Field(
        default=120,
        description="Maximum duration of a turn in seconds; shutdown waits as long.",
        ge=1,
        le=3300,
    )
    concurrent_runs: int = Field(
        default=50,
        description="Concurrent runs per pod; further ones wait in a short queue.",
        ge=1,
        le=10000,
    )
    queue_timeout_seconds: int | None = optional(
        "Seconds that a request waits in the queue before it gets 503; shutdown waits as long in addition. Default: 5.",
        ge=1,
        le=240,
    )
    approval_timeout_seconds: int | None = optional(
        "Seconds until an approval or question that nobody answers expires. Default: 86400.",
        ge=1,
        le=604800,
    )
    max_agent_hops: int | None = optional(
        "Agents that may call each other in a row, this one included; it refuses to be a later one. Default: 5.",
        ge=1,
        le=100,
    )
    max_body_bytes: int = Field(
        default=1048576,
        description="Maximum size of a request body in bytes, without its images and files.",
        ge=1024,
        le=104857600,
    )
    max_attachment_bytes: int | None = optional(
        "Maximum size in bytes, as base64, of the images and files of one message; 0 takes none. Default: 8388608.",
        ge=0,
        le=104857600,
    )
    max_tool_result_bytes: int = Field(
        default=65536,
        description="Maximum size in bytes of a tool result; the rest is cut off.",
        ge=256,
        le=10485760,
    )


Origin = Annotated[str, StringConstraints(pattern=ORIGIN, max_length=268)]
Prompt = Annotated[str, StringConstraints(max_length=1_000_000)]


class Variant(Spec):
    """Another prompt, model or set of tools for a share of the sessions; a session keeps what it began with."""

    name: Name = Field(description="Name, in metrics, traces and logs; not `base`.")
    weight: float = Field(
        description="Percent of new sessions that get it; at 0 only those that have it already. The rest is the agent's own.",
        ge=0,
        le=100,
    )
    system_prompt: Annotated[Prompt, StringConstraints(min_length=1)] | None = optional(
        "System prompt. Default: the agent's."
    )
    model_config_ref: QualifiedName | None = optional(
        "Name of a ModelConfig, or `namespace/name`. Default: the agent's model.",
        alias="modelConfig",
    )


class AgentSpec(Workload):
    """An agent: prompt, model, tools, memory, and how it runs."""

    display_name: str | None = optional(
        "Display name; with your own image, only agents that use it as a tool show it. Default: the name.",
        max_length=253,
    )
    description: str | None = optional(
        "What the agent does; shown to agents that use it as a tool. Default: none.",
        max_length=4096,
    )
    extends: Names | None = optional(
        "Templates (or agents) to inherit from; later ones win. Default: none."
    )
    canary_of: Name | None = optional(
        "Agent of the same namespace that this one tries something for: it inherits the other's spec but for `expose` and `scaling.keda`, keeps its sessions, and takes a share of its HTTPRoute. Default: none."
    )
    weight: int | None = optional(
        "Percent of the requests to the route of `canaryOf`. Default: 10.", ge=0, le=100
    )
    delivery: Delivery = Field(
        default_factory=Delivery, description="How new pods replace the old ones."
    )
    model_config_ref: QualifiedName | None = optional(
        "Name of a ModelConfig, or `namespace/name`. Default: the environment's, or `model`.",
        alias="modelConfig",
    )
    model: ModelSettings | None = optional(
        "Model settings, which override the ModelConfig's. Default: the ModelConfig."
    )
    models: list[QualifiedName] | None = optional(
        "ModelConfigs that a session may switch to. Default: only its own."
    )
    fallbacks: list[QualifiedName] | None = optional(
        "ModelConfigs to try, in order, when the model fails. Default: none."
    )
    system_prompt: Prompt | None = optional("System prompt. Needed on the generic runtime.")
    output_schema: dict[str, Json] | None = optional(
        "JSON Schema 2020-12 of the answer: it is validated, asked for again if it does not match, and in `data` of the response. Default: any text."
    )
    tools: list[ToolUse] = Field(
        default_factory=list, description="What the agent can use. Default: nothing."
    )
    variants: list[Variant] = Field(
        default_factory=list,
        description="Variants that new sessions are shared out among, each by a hash of its name. Default: none.",
        max_length=8,
    )
    knowledge: Knowledge | None = optional(
        "Documents for a collection that the agent searches. Default: others fill it."
    )
    memory: AgentMemory | None = optional(
        "Where conversations are stored. Default: in memory, which only works with one replica."
    )
    auth: Auth | None = optional(
        "How callers authenticate. No default: the spec, a template or the environment must decide."
    )
    approvals: Approvals | None = optional(
        "Who decides on calls that need approval, and who is told. Default: whoever asked."
    )
    rate_limits: RateLimits = Field(
        default_factory=RateLimits, description="Limits per minute and per day."
    )
    limits: Limits = Field(default_factory=Limits, description="Limits of one run.")
    slo: Objectives | None = optional(
        "Service level objectives, with alerts while one is missed too fast to be kept. Default: none."
    )
    ui: bool = Field(
        default=True,
        description="Whether `GET /` is a page to talk to the agent; the API behind it asks for what `auth` says.",
    )
    cors_origins: list[Origin] = Field(
        default_factory=list,
        description="Origins of web pages whose scripts may call the API from a browser. Default: none.",
        max_length=100,
    )
    peers: list[str] = Field(
        default_factory=list,
        description="Agents that exchange traffic with this one on all its ports. Default: none.",
    )


class Agent(Spec):
    """An agent of the fleet."""

    api_version: Literal["fleetform.dev/v1alpha1"] = Field(description="API version.")
    kind: Literal["Agent"] = Field(description="Kind of the document.")
    metadata: Metadata = Field(description="Name, namespace and labels.")
    spec: AgentSpec = Field(description="The agent.")


class AgentTemplate(Spec):
    """Settings shared by several agents, which name it in `extends`."""

    api_version: Literal["fleetform.dev/v1alpha1"] = Field(description="API version.")
    kind: Literal["AgentTemplate"] = Field(description="Kind of the document.")
    metadata: Metadata = Field(
        description="Name; without a namespace it is available to the whole fleet."
    )
    spec: AgentSpec = Field(description="Settings that agents inherit.")
