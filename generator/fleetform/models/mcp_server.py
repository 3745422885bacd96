"""MCPServer: a server of tools, somewhere else or deployed with the fleet."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fleetform.models.base import Metadata, SecretKey, Spec, Url, optional
from fleetform.models.tool import Authentication, HeaderName, HeaderValue
from fleetform.models.workload import Workload

McpCapability = Literal["read", "query", "write", "destructive"]
Transport = Literal["streamable-http", "sse"]


class McpTls(Spec):
    """TLS towards an MCP server."""

    ca_secret_ref: SecretKey | None = optional("PEM bundle of a private CA. Default: public CAs.")
    insecure_skip_verify: bool = Field(
        default=False, description="Weakens: accepts any certificate."
    )


class McpAccess(Spec):
    """How agents reach a server, and what they may use of it."""

    transport: Transport = Field(default="streamable-http", description="MCP transport.")
    path: str = Field(
        default="/mcp",
        pattern=r"^/\S*$",
        max_length=1024,
        description="Path of the endpoint, when the URL has none.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, description="Fixed headers; never credentials. Default: none."
    )
    authentication: Authentication | None = optional("Sign-in. Default: none.")
    timeout_seconds: float = Field(
        default=30, description="Seconds that one call may take.", gt=0, le=3600
    )
    tls: McpTls | None = optional("TLS. Default: public CAs, verified.")
    allow: list[str] | None = optional("Names of the tools that may be called. Default: all.")
    capabilities: list[McpCapability] | None = optional(
        "Kinds of tools that may be called, by their annotations: `read` and `query` only read, `write` does not destroy, `destructive` is all. Default: all."
    )
    requires_approval: bool = Field(
        default=False, description="Whether a person must approve each call."
    )


class McpServerSpec(McpAccess, Workload):
    """A server at a URL, or one that is deployed from a container."""

    description: str | None = optional(
        "What it is for, for people who read the spec; rendered nowhere. Default: none.",
        max_length=4096,
    )
    url: Url | None = optional("Where the server is. Default: the Service of `container`.")


class MCPServer(Spec):
    """A server of tools that agents refer to by name."""

    api_version: Literal["fleetform.dev/v1alpha1"] = Field(description="API version.")
    kind: Literal["MCPServer"] = Field(description="Kind of the document.")
    metadata: Metadata = Field(description="Name and place.")
    spec: McpServerSpec = Field(description="The server.")
