"""What an agent can do: API calls, searches, questions to people, other agents, MCP servers."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fleetform_runtime.sections.base import (
    AbsolutePath,
    HeaderName,
    Headers,
    HttpUrl,
    Json,
    JsonSchema,
    Name,
    NonNegative,
    Seconds,
    SecretReference,
    Section,
    Text,
    TextOrSecret,
    Timeouts,
    Tls,
    ToolName,
    members,
    word_of,
)
from fleetform_runtime.sections.knowledge import Knowledge

Retries = Annotated[NonNegative, Field(le=10)]
Variants = Annotated[
    Annotated[tuple[Name, ...], Field(min_length=1)] | None,
    Field(description="Variants that have it, `base` for the agent itself; default: all of them."),
]


class BearerAuth(Section):
    """A token in the Authorization header."""

    type: Literal["bearer"] = Field(description="Type of authentication.")
    token: SecretReference = Field(description="The token, without the word Bearer.")


class BasicAuth(Section):
    """User name and password in the Authorization header."""

    type: Literal["basic"] = Field(description="Type of authentication.")
    username: TextOrSecret = Field(description="User name.")
    password: SecretReference = Field(description="Password.")


class HeaderAuth(Section):
    """A secret in a custom header."""

    type: Literal["header"] = Field(description="Type of authentication.")
    name: HeaderName = Field(description="Name of the header.")
    value: SecretReference = Field(description="Value of the header.")


class ClientCredentialsAuth(Section):
    """An OAuth 2 access token, fetched with the client credentials and cached."""

    type: Literal["oauth2ClientCredentials"] = Field(description="Type of authentication.")
    token_url: HttpUrl = Field(description="Token endpoint of the authorization server.")
    client_id: TextOrSecret = Field(description="Identifier of the client.")
    client_secret: SecretReference = Field(description="Secret of the client.")
    scopes: tuple[str, ...] = Field(default=(), description="Scopes to request; default: none.")
    audience: str | None = Field(
        default=None, max_length=2_048, description="Audience to request; default: none."
    )


OutboundAuth = Annotated[
    BearerAuth | BasicAuth | HeaderAuth | ClientCredentialsAuth, Field(discriminator="type")
]


class Parameter(Section):
    """One argument that the model fills in; the fields after `required` are JSON Schema's."""

    name: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,127}$", description="Name of the argument."
    )
    type: Literal["string", "number", "integer", "boolean", "array", "object"] = Field(
        description="JSON type of the argument."
    )
    required: bool = Field(default=False, description="Whether the argument is required.")
    description: Text | None = Field(default=None, description="Description for the model.")
    default: Json | None = Field(default=None, description="Value sent if the model gives none.")
    enum: tuple[Json, ...] | None = Field(
        default=None, min_length=1, description="The only values allowed."
    )
    format: str | None = Field(default=None, max_length=64, description="JSON Schema format.")
    pattern: str | None = Field(
        default=None, max_length=1_024, description="Regular expression that a string must match."
    )
    min_length: NonNegative | None = Field(
        default=None, description="Minimum length in characters."
    )
    max_length: NonNegative | None = Field(
        default=None, description="Maximum length in characters."
    )
    minimum: float | None = Field(default=None, description="Minimum value.")
    maximum: float | None = Field(default=None, description="Maximum value.")
    min_items: NonNegative | None = Field(
        default=None, description="Minimum number of items of an array."
    )
    max_items: NonNegative | None = Field(
        default=None, description="Maximum number of items of an array."
    )
    items: JsonSchema | None = Field(default=None, description="JSON Schema of each item.")
    properties: JsonSchema | None = Field(
        default=None, description="JSON Schemas of an object's members, by name."
    )


class ApiParameter(Parameter):
    """One argument of an API call, and where in the request it is sent."""

    location: Literal["path", "query", "header", "body"] = Field(
        alias="in",
        description="Where it is sent: percent-encoded in place of {name} in the endpoint, in the query, "
        "in a header, or as a member of the JSON body.",
    )


class _Tool(Section):
    """What every tool tells the model."""

    name: ToolName = Field(description="Name by which the model calls it.")
    display_name: str | None = Field(
        default=None, max_length=256, description="Display name; default: name."
    )
    description: Text = Field(description="Description by which the model chooses the tool.")
    requires_approval: bool = Field(
        default=False, description="Whether each call needs human approval."
    )
    variants: Variants = None


class ApiTool(_Tool):
    """One HTTP request."""

    type: Literal["api"] = Field(description="Type of tool.")
    endpoint: HttpUrl = Field(
        description="URL; {name} in the path is filled from the parameter of that name. Its host "
        "and port are the only ones reached, even by redirects."
    )
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(description="HTTP method.")
    headers: Headers = Field(
        default_factory=dict, description="Headers of every request; credentials as references."
    )
    auth: OutboundAuth | None = Field(default=None, description="Authentication; default: none.")
    parameters: tuple[ApiParameter, ...] = Field(
        default=(), description="Arguments, in the order in which the model sees them."
    )
    output: JsonSchema | None = Field(
        default=None,
        description="JSON Schema of the response; members that it does not list are removed. "
        "Default: the model sees the whole response.",
    )
    timeout_seconds: Seconds = Field(
        default=30, description="Seconds for one call, including retries; default 30."
    )
    retries: Retries = Field(
        default=0,
        description="Retries after 429, 5xx or a lost connection; default 0.",
    )
    idempotency_key: bool = Field(
        default=True,
        description="Whether calls with methods other than GET carry a key; without one, POST and PATCH "
        "are never retried; default True.",
    )
    idempotency_header: HeaderName = Field(
        default="Idempotency-Key",
        description="Header with the call's key, which is the same for each retry, for methods "
        "other than GET; default Idempotency-Key.",
    )
    tls: Tls | None = Field(default=None, description="TLS of an https endpoint.")

    @model_validator(mode="after")
    def _fill_the_endpoint(self) -> Self:
        """Refuse placeholders in the endpoint without a parameter, and path parameters without a placeholder."""
        holes = set(re.findall(r"\{([^{}]*)\}", self.endpoint))
        fillings = {item.name for item in self.parameters if item.location == "path"}
        if odd := sorted(holes ^ fillings):
            raise ValueError(f"path parameters and {{}} in the endpoint differ: {', '.join(odd)}")
        return self


class HumanTool(_Tool):
    """A question to a human; the run pauses until it is answered or expires."""

    type: Literal["human"] = Field(description="Type of tool.")
    parameters: tuple[Parameter, ...] = Field(
        default=(), description="Arguments, in the order in which the model sees them."
    )
    output: JsonSchema | None = Field(
        default=None, description="JSON Schema of the answer; default: any text."
    )


class AgentTool(_Tool):
    """Another agent, which speaks A2A."""

    type: Literal["agent"] = Field(description="Type of tool.")
    url: HttpUrl | None = Field(
        default=None,
        description="Base URL of an agent on this runtime, such as http://name.ns.svc. Default: `card` says where.",
    )
    card: HttpUrl | None = Field(
        default=None,
        description="URL of the card of any agent; what it names has to be on the same host and port. Default: `url`.",
    )
    on_behalf: bool = Field(
        default=False,
        description="Whether the key is of a gateway there, and the user is named in X-User-Id; default false.",
    )
    auth: OutboundAuth | None = Field(default=None, description="Authentication; default: none.")
    timeout_seconds: Seconds = Field(
        default=120, description="Seconds for one answer, including tools; default 120."
    )
    tls: Tls | None = Field(default=None, description="TLS of an https URL.")

    @model_validator(mode="after")
    def _be_somewhere(self) -> Self:
        if (self.url is None) == (self.card is None):
            raise ValueError("either `url` or `card` says where the agent is")
        return self


class RetrievalParameter(Parameter):
    """An argument of a search: the question, or a condition."""

    field: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,127}$",
        description="Member of a passage's metadata that must be equal to it; default: name.",
    )


class RetrievalTool(_Tool):
    """A search in documents."""

    type: Literal["retrieval"] = Field(description="Type of tool.")
    knowledge: Knowledge = Field(description="What is searched, and how.")
    parameters: tuple[RetrievalParameter, ...] = Field(
        min_length=1,
        description="Arguments, in the order in which the model sees them. The value of each but the question is "
        "a condition; none, and `all` where it is one of `enum`, sets none.",
    )
    question: str = Field(
        default="query",
        description="Name of the parameter that says what to look for; default query.",
    )
    output: JsonSchema | None = Field(
        default=None,
        description="JSON Schema of the passages; members that it does not list are removed. Default: content, "
        "score, metadata and source of each.",
    )
    timeout_seconds: Seconds = Field(default=30, description="Seconds for one search; default 30.")

    @model_validator(mode="after")
    def _have_the_question(self) -> Self:
        if all(item.name != self.question for item in self.parameters):
            raise ValueError(f"no parameter is named {self.question}, which is the question")
        return self


class CodeTool(_Tool):
    """A program that runs where it can reach nothing: no network, no other program, no file but its own."""

    type: Literal["code"] = Field(description="Type of tool.")
    code: Annotated[str, Field(min_length=1, max_length=1_000_000)] | None = Field(
        default=None,
        description="The program, in Python; it finds the arguments in `inputs`, and what it prints is the result.",
    )
    engine: Literal["auto", "python", "monty", "sandbox"] = Field(
        default="auto",
        description="What runs it: python, in a process that locks itself in; monty, an interpreter of a part of Python; "
        "auto, the first of these two that is possible; sandbox, a pod of agent-sandbox that is new for each run. Default auto.",
    )
    pool: Name | None = Field(
        default=None,
        description="With the engine sandbox, the SandboxWarmPool in the pod's own namespace that runs take their pods from.",
    )
    allow_model_code: bool = Field(
        default=False,
        description="Whether the model writes the program, as the argument `code`; default false.",
    )
    parameters: tuple[Parameter, ...] = Field(
        default=(), description="Arguments, in the order in which the model sees them."
    )
    timeout_seconds: Seconds = Field(default=30, description="Seconds for one run; default 30.")
    memory_bytes: Annotated[int, Field(ge=1_048_576, le=68_719_476_736)] = Field(
        default=134_217_728,
        description="Bytes of memory of one run, beside those of Python itself; default 134217728 (128 MiB).",
    )
    output_bytes: Annotated[int, Field(ge=1_024, le=16_777_216)] = Field(
        default=65_536, description="Bytes that it may print; default 65536."
    )

    @model_validator(mode="after")
    def _be_written_by_somebody(self) -> Self:
        if (self.code is None) != self.allow_model_code:
            raise ValueError("either there is `code`, or `allowModelCode` is true")
        if self.allow_model_code and self.parameters:
            raise ValueError("a program that the model writes has no parameters")
        if (self.engine == "sandbox") != (self.pool is not None):
            raise ValueError("there is a `pool` with the engine sandbox, and with no other")
        return self


Tool = Annotated[
    ApiTool | RetrievalTool | CodeTool | HumanTool | AgentTool, Field(discriminator="type")
]
TOOL_TYPES = tuple(word_of(member) for member in members(Tool))


class _McpServer(Section):
    """Permissions of every MCP server."""

    name: Name = Field(description="Name of the server in metrics, logs and /info.")
    tool_prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_-]{0,32}$",
        description="Prefix of each tool's name, in case two servers use the same names; default: "
        "nothing.",
    )
    tools: tuple[str, ...] | None = Field(
        default=None,
        description="Names of the tools that may be called; default: all that the server lists.",
    )
    capabilities: tuple[Literal["read", "query", "write", "destructive"], ...] | None = Field(
        default=None,
        description="Tools allowed by their annotations: read and query = readOnlyHint; write = "
        "not destructiveHint; destructive = any. Applies on top of tools; default: no "
        "restriction.",
    )
    requires_approval: bool | tuple[str, ...] = Field(
        default=False, description="Tools whose calls need human approval: true for all, or names."
    )
    variants: Variants = None
    timeouts: Timeouts = Field(default_factory=Timeouts, description="Deadlines of a call.")


class McpHttpServer(_McpServer):
    """An MCP server reached over HTTP."""

    transport: Literal["streamable-http", "sse"] = Field(
        description="Transport; sse is that of protocol 2024-11-05."
    )
    url: HttpUrl = Field(description="URL of the endpoint, including its path.")
    headers: Headers = Field(
        default_factory=dict, description="Headers of every request; credentials as references."
    )
    auth: OutboundAuth | None = Field(default=None, description="Authentication; default: none.")
    tls: Tls | None = Field(default=None, description="TLS of an https URL.")


class McpStdioServer(_McpServer):
    """An MCP server started as a child process of the runtime."""

    transport: Literal["stdio"] = Field(description="Transport.")
    command: tuple[str, ...] = Field(min_length=1, description="Program and its arguments.")
    env: dict[str, TextOrSecret] = Field(
        default_factory=dict,
        description="Environment of the process in addition to PATH and HOME; credentials as references.",
    )
    working_directory: AbsolutePath | None = Field(
        default=None, description="Working directory of the process; default: the runtime's."
    )


class McpPipeServer(_McpServer):
    """An MCP server in another container of the pod, its standard streams two named pipes."""

    transport: Literal["pipes"] = Field(description="Transport.")
    directory: AbsolutePath = Field(
        description="Folder that both containers mount; the runtime makes the pipes `in` and `out` there."
    )


McpServer = Annotated[
    McpHttpServer | McpStdioServer | McpPipeServer, Field(discriminator="transport")
]
