"""MCPServer: a server that provides tools, remote or deployed with the fleet."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fleetform.models.base import Metadata, SecretKey, Shared, Spec, Url, optional
from fleetform.models.tool import Authentication, HeaderName, HeaderValue
from fleetform.models.workload import Workload

McpCapability = Literal["read", "query", "write", "destructive"]
Transport = Literal["streamable-http", "sse", "stdio"]


class McpTls(Spec):
    """TLS for connections to an MCP server."""

    ca_secret_ref: SecretKey | None = optional("PEM bundle of a private CA. Default: public CAs.")
    insecure_skip_verify: bool = Field(
        default=False, description="Weakens: accepts any certificate."
    )


class McpAccess(Spec):
    """How agents reach a server, and which of its tools they may use."""

    transport: Transport = Field(
        default="streamable-http",
        description="MCP transport; with `stdio`, `container` runs in the pods of each agent that uses the server, and needs a `command` and a shell.",
    )
    path: str = Field(
        default="/mcp",
        pattern=r"^/\S*$",
        max_length=1024,
        description="Path of the endpoint, if the URL has none.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, description="Fixed headers; never credentials. Default: none."
    )
    authentication: Authentication | None = optional("Authentication. Default: none.")
    timeout_seconds: float = Field(
        default=30, description="Timeout of one call, in seconds.", gt=0, le=3600
    )
    tls: McpTls | None = optional("TLS. Default: public CAs, verified.")
    allow: list[str] | None = optional("Names of the tools that may be called. Default: all.")
    capabilities: list[McpCapability] | None = optional(
        "Kinds of tools that may be called, by their annotations: `read` and `query` are read-only, `write` is non-destructive, `destructive` includes everything. Default: all."
    )
    requires_approval: bool = Field(
        default=False, description="Whether each call needs human approval."
    )


class McpServerSpec(McpAccess, Workload, Shared):
    """A server at a URL, one that is deployed from a container, or one that runs beside its agents."""

    description: str | None = optional(
        "Purpose, for readers of the spec; not rendered. Default: none.",
        max_length=4096,
    )
    url: Url | None = optional("URL of the server. Default: the Service of `container`.")


class MCPServer(Spec):
    """A server that provides tools; agents refer to it by name."""

    api_version: Literal["fleetform.dev/v1alpha1"] = Field(description="API version.")
    kind: Literal["MCPServer"] = Field(description="Kind of the document.")
    metadata: Metadata = Field(description="Name, namespace and labels.")
    spec: McpServerSpec = Field(description="The server.")
