"""What an agent can do, in the runtime's terms: the `tools` and `mcpServers` of `agent.json`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.durations import seconds
from fleetform.plan.secrets import SecretFiles
from fleetform.resolve import hosts
from fleetform.resolve.ports import http_port

if TYPE_CHECKING:
    from fleetform.models.agent import ToolUse
    from fleetform.models.mcp_server import McpAccess, McpTls
    from fleetform.models.model_config import ModelTls
    from fleetform.models.tool import Authentication, Parameter, ToolSpec
    from fleetform.resolve import Fleet, Resolved
    from fleetform.resolve.references import Uses


def present(**members: Any) -> dict[str, Any]:
    """Return the members that are set: empty lists and maps say nothing that absence does not."""
    return {
        key: value for key, value in members.items() if value is not None and value not in ([], {})
    }


def tls_files(tls: ModelTls | McpTls | None, secrets: SecretFiles) -> dict[str, Any] | None:
    """Return how the other side's certificate is verified, None for the default way."""
    if tls is None:
        return None
    ca = tls.ca_secret_ref
    return present(
        caFile=secrets.file(ca)["file"] if ca else None,
        insecureSkipVerify=tls.insecure_skip_verify or None,
    )


def tools(
    fleet: Fleet, agent: Resolved, uses: Uses, secrets: SecretFiles
) -> Iterator[dict[str, Any]]:
    """Yield the tools of an agent: API calls, questions to people, other agents."""
    for use, tool in uses.tools:
        spec: ToolSpec = tool.spec
        if spec.type == "api" and spec.api is not None:
            yield _api_tool(fleet, agent, use, tool, secrets)
        elif spec.type == "human":
            asked = spec.human.prompt if spec.human else None
            yield present(
                **_tool(use, spec, asked),
                type="human",
                parameters=[_parameter(item) for item in spec.parameters],
                output=spec.output,
            )
    for use, other in uses.agents:
        yield present(
            name=use.name,
            type="agent",
            displayName=other.spec.display_name,
            description=use.description
            or other.spec.description
            or f"Asks the agent {other.name}.",
            requiresApproval=use.requires_approval or None,
            url=service_url(fleet, other),
            auth=_agent_auth(fleet, agent, use, other, secrets),
        )


def _tool(use: ToolUse, spec: ToolSpec, fallback: str | None = None) -> dict[str, Any]:
    approval = spec.requires_approval if use.requires_approval is None else use.requires_approval
    return present(
        name=use.name,
        displayName=spec.display_name,
        description=spec.description or fallback or spec.display_name or use.name,
        requiresApproval=approval or None,
    )


def _api_tool(
    fleet: Fleet, agent: Resolved, use: ToolUse, tool: Resolved, secrets: SecretFiles
) -> dict[str, Any]:
    api = tool.spec.api
    return present(
        **_tool(use, tool.spec),
        type="api",
        endpoint=hosts.rewritten(fleet, tool.namespace or agent.namespace, api.endpoint),
        method=api.method,
        headers=dict(api.headers),
        auth=_outbound(api.authentication, secrets, fleet, tool.namespace or agent.namespace),
        parameters=[
            {
                **_parameter(item),
                "in": item.location or default_location(item.name, api.endpoint, api.method),
            }
            for item in tool.spec.parameters
        ],
        output=tool.spec.output,
        timeoutSeconds=seconds(api.timeout),
        retries=api.retries or None,
        idempotencyKey=None if api.idempotency_key else False,
    )


def default_location(name: str, endpoint: str, method: str) -> str:
    """Return where a parameter goes that does not say: path, query or JSON body."""
    if f"{{{name}}}" in endpoint:
        return "path"
    return "query" if method in ("GET", "DELETE") else "body"


def _parameter(item: Parameter) -> dict[str, Any]:
    body = view.dump(item)
    body.pop("in", None)
    if not item.required:
        body.pop("required", None)
    return body


def _outbound(
    auth: Authentication | None, secrets: SecretFiles, fleet: Fleet, namespace: str
) -> dict[str, Any] | None:
    if auth is None or auth.type == "none" or auth.secret_ref is None:
        return None
    secret = secrets.file(auth.secret_ref)
    if auth.type == "bearer":
        return {"type": "bearer", "token": secret}
    if auth.type == "basic":
        return {"type": "basic", "username": auth.username or "", "password": secret}
    if auth.type == "header":
        return {"type": "header", "name": auth.header or "X-API-Key", "value": secret}
    oauth = auth.oauth2
    if oauth is None:
        return None
    return present(
        type="oauth2ClientCredentials",
        tokenUrl=hosts.rewritten(fleet, namespace, oauth.token_url),
        clientId=oauth.client_id,
        clientSecret=secret,
        scopes=list(oauth.scopes),
    )


def _agent_auth(
    fleet: Fleet, agent: Resolved, use: ToolUse, other: Resolved, secrets: SecretFiles
) -> dict[str, Any] | None:
    if use.authentication is not None:
        return _outbound(use.authentication, secrets, fleet, agent.namespace)
    theirs = other.spec.auth
    if theirs and theirs.api_key and other.namespace == agent.namespace:
        return {"type": "bearer", "token": secrets.file(theirs.api_key.keys[0].secret_ref)}
    return None


def mcp_servers(
    fleet: Fleet, agent: Resolved, uses: Uses, secrets: SecretFiles
) -> Iterator[dict[str, Any]]:
    """Yield the MCP servers of an agent, named ones before those in place."""
    for use, server in uses.servers:
        spec: McpAccess = server.spec
        yield present(
            name=use.name,
            transport=spec.transport,
            url=server_url(fleet, server, agent),
            headers=dict(spec.headers),
            auth=_outbound(
                use.authentication or spec.authentication,
                secrets,
                fleet,
                server.namespace or agent.namespace,
            ),
            tools=use.allow if use.allow is not None else spec.allow,
            capabilities=use.capabilities if use.capabilities is not None else spec.capabilities,
            requiresApproval=(
                spec.requires_approval if use.requires_approval is None else use.requires_approval
            )
            or None,
            timeouts={"requestSeconds": spec.timeout_seconds},
            tls=tls_files(spec.tls, secrets),
        )
    for use in uses.inline_servers:
        yield present(
            name=use.name,
            transport=use.transport or "streamable-http",
            url=with_path(hosts.rewritten(fleet, agent.namespace, use.endpoint or ""), "/mcp"),
            auth=_outbound(use.authentication, secrets, fleet, agent.namespace),
            tools=use.allow,
            capabilities=use.capabilities,
            requiresApproval=use.requires_approval or None,
        )


def server_url(fleet: Fleet, server: Resolved, agent: Resolved) -> str:
    """Return the URL of an MCP server: its own, or that of the Service of its container."""
    spec = server.spec
    if spec.url:
        return with_path(
            hosts.rewritten(fleet, server.namespace or agent.namespace, spec.url), spec.path
        )
    return f"{service_url(fleet, server)}{spec.path}"


def service_url(fleet: Fleet, workload: Resolved) -> str:
    """Return the URL of a fleet workload's Service, without a path."""
    host = hosts.service_host(fleet, workload)
    port = http_port(workload)
    return f"http://{host}:{port.service_port}" if port else f"http://{host}"


def with_path(url: str, path: str) -> str:
    """Return a URL with a path, unless it has one."""
    scheme, _, rest = url.partition("://")
    authority, slash, tail = rest.partition("/")
    return url if slash and tail else f"{scheme}://{authority}{path}"
