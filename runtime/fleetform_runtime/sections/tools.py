"""What an agent can do: API calls, questions to people, other agents, MCP servers."""

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

Retries = Annotated[NonNegative, Field(le=10)]


class BearerAuth(Section):
    """A token in the Authorization header."""

    type: Literal["bearer"] = Field(description="Kind of authentication.")
    token: SecretReference = Field(description="The token, without the word Bearer.")


class BasicAuth(Section):
    """User name and password in the Authorization header."""

    type: Literal["basic"] = Field(description="Kind of authentication.")
    username: TextOrSecret = Field(description="User name.")
    password: SecretReference = Field(description="Password.")


class HeaderAuth(Section):
    """A secret in a custom header."""

    type: Literal["header"] = Field(description="Kind of authentication.")
    name: HeaderName = Field(description="Name of the header.")
    value: SecretReference = Field(description="Value of the header.")


class ClientCredentialsAuth(Section):
    """An OAuth 2 access token, fetched with the client credentials and cached."""

    type: Literal["oauth2ClientCredentials"] = Field(description="Kind of authentication.")
    token_url: HttpUrl = Field(description="Token endpoint of the authorization server.")
    client_id: TextOrSecret = Field(description="Identifier of the client.")
    client_secret: SecretReference = Field(description="Secret of the client.")
    scopes: tuple[str, ...] = Field(default=(), description="Scopes to ask for; default: none.")
    audience: str | None = Field(
        default=None, max_length=2_048, description="Audience to ask for; default: none."
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
    required: bool = Field(default=False, description="Whether a call without it is refused.")
    description: Text | None = Field(default=None, description="What the model reads about it.")
    default: Json | None = Field(default=None, description="Value sent when the model gives none.")
    enum: tuple[Json, ...] | None = Field(
        default=None, min_length=1, description="The only values allowed."
    )
    format: str | None = Field(default=None, max_length=64, description="JSON Schema format.")
    pattern: str | None = Field(
        default=None, max_length=1_024, description="Regular expression that a string matches."
    )
    min_length: NonNegative | None = Field(default=None, description="Fewest characters.")
    max_length: NonNegative | None = Field(default=None, description="Most characters.")
    minimum: float | None = Field(default=None, description="Smallest number.")
    maximum: float | None = Field(default=None, description="Largest number.")
    min_items: NonNegative | None = Field(default=None, description="Fewest items of an array.")
    max_items: NonNegative | None = Field(default=None, description="Most items of an array.")
    items: JsonSchema | None = Field(default=None, description="JSON Schema of each item.")
    properties: JsonSchema | None = Field(
        default=None, description="JSON Schemas of an object's members, by name."
    )


class ApiParameter(Parameter):
    """One argument of an API call, and where in the request it is sent."""

    location: Literal["path", "query", "header", "body"] = Field(
        alias="in",
        description="Where it goes: percent-encoded into {name} of the endpoint, into the query, "
        "into a header, or as a member of the JSON body.",
    )


class _Tool(Section):
    """What every tool tells the model."""

    name: ToolName = Field(description="Name by which the model calls it.")
    display_name: str | None = Field(
        default=None, max_length=256, description="Name for people; default: name."
    )
    description: Text = Field(description="What the model reads to choose the tool.")
    requires_approval: bool = Field(
        default=False, description="Whether each call waits until a person approves it."
    )


class ApiTool(_Tool):
    """One HTTP request."""

    type: Literal["api"] = Field(description="Kind of tool.")
    endpoint: HttpUrl = Field(
        description="URL; {name} in the path is filled from the parameter of that name. Its host "
        "and port are the only ones reached, redirects included."
    )
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(description="HTTP method.")
    headers: Headers = Field(
        default_factory=dict, description="Headers of every request; credentials as references."
    )
    auth: OutboundAuth | None = Field(default=None, description="Authentication; default: none.")
    parameters: tuple[ApiParameter, ...] = Field(
        default=(), description="Arguments, in the order that the model sees."
    )
    output: JsonSchema | None = Field(
        default=None,
        description="JSON Schema of the answer; members that it does not list are left out. "
        "Default: the model sees the whole answer.",
    )
    timeout_seconds: Seconds = Field(
        default=30, description="Seconds for one call, retries included; default 30."
    )
    retries: Retries = Field(
        default=0,
        description="Repeats after 429, 5xx or a lost connection; default 0.",
    )
    idempotency_key: bool = Field(
        default=True,
        description="Whether calls by methods other than GET carry a key; without one, POST and PATCH "
        "are never repeated; default True.",
    )
    idempotency_header: HeaderName = Field(
        default="Idempotency-Key",
        description="Header that carries a key of the call, the same on each repeat, on methods "
        "other than GET; default Idempotency-Key.",
    )
    tls: Tls | None = Field(default=None, description="TLS of an https endpoint.")

    @model_validator(mode="after")
    def _fill_the_endpoint(self) -> Self:
        """Refuse placeholders in the endpoint without a parameter, and path parameters without a placeholder."""
        holes = set(re.findall(r"\{([^{}]*)\}", self.endpoint))
        fillings = {item.name for item in self.parameters if item.location == "path"}
        if odd := sorted(holes ^ fillings):
            raise ValueError(f"path parameters and {{}} of the endpoint differ: {', '.join(odd)}")
        return self


class HumanTool(_Tool):
    """A question to a human; the run pauses until it is answered or expires."""

    type: Literal["human"] = Field(description="Kind of tool.")
    parameters: tuple[Parameter, ...] = Field(
        default=(), description="Arguments, in the order that the model sees."
    )
    output: JsonSchema | None = Field(
        default=None, description="JSON Schema of the answer; default: any text."
    )


class AgentTool(_Tool):
    """Another agent, called through its POST /chat."""

    type: Literal["agent"] = Field(description="Kind of tool.")
    url: HttpUrl = Field(description="Base URL of the other agent, such as http://name.ns.svc.")
    auth: OutboundAuth | None = Field(default=None, description="Authentication; default: none.")
    timeout_seconds: Seconds = Field(
        default=120, description="Seconds for one answer, tools included; default 120."
    )
    tls: Tls | None = Field(default=None, description="TLS of an https URL.")


Tool = Annotated[ApiTool | HumanTool | AgentTool, Field(discriminator="type")]
TOOL_TYPES = tuple(word_of(member) for member in members(Tool))


class _McpServer(Section):
    """Permissions of every MCP server."""

    name: Name = Field(description="Name of the server in metrics, logs and /info.")
    tool_prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_-]{0,32}$",
        description="Put before each tool's name, where two servers use the same one; default: "
        "nothing.",
    )
    tools: tuple[str, ...] | None = Field(
        default=None,
        description="The only tools that may be listed and called; default: all that it lists.",
    )
    capabilities: tuple[Literal["read", "query", "write", "destructive"], ...] | None = Field(
        default=None,
        description="Tools allowed by their annotations: read and query = readOnlyHint; write = "
        "not destructiveHint; destructive = any. Applies on top of tools; default: no "
        "restriction.",
    )
    requires_approval: bool | tuple[str, ...] = Field(
        default=False, description="Tools whose calls wait for approval: true for all, or names."
    )
    timeouts: Timeouts = Field(default_factory=Timeouts, description="Deadlines of a call.")


class McpHttpServer(_McpServer):
    """An MCP server reached over HTTP."""

    transport: Literal["streamable-http", "sse"] = Field(
        description="Transport; sse is that of protocol 2024-11-05."
    )
    url: HttpUrl = Field(description="URL of the endpoint, path included.")
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
        description="Environment of the process beside PATH and HOME; credentials as references.",
    )
    working_directory: AbsolutePath | None = Field(
        default=None, description="Directory of the process; default: that of the runtime."
    )


McpServer = Annotated[McpHttpServer | McpStdioServer, Field(discriminator="transport")]
