"""An agent's configuration for the generic runtime: `agent.json`, and prompts in keys of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import canonical, view
from fleetform.durations import seconds
from fleetform.plan.model import Config
from fleetform.plan.names import fit
from fleetform.plan.secrets import SecretFiles
from fleetform.resolve import hosts
from fleetform.resolve.ports import HTTP_PORT, METRICS_PORT, http_port
from fleetform.rules.agents import FILESYSTEM

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec, Auth, Quota, ToolUse
    from fleetform.models.mcp_server import McpAccess, McpTls
    from fleetform.models.memory_store import Policy, Postgres, Redis, StoreTls
    from fleetform.models.model_config import ModelSettings, ModelTls
    from fleetform.models.tool import Authentication, Parameter, ToolSpec
    from fleetform.resolve import Fleet, Resolved
    from fleetform.resolve.references import Uses

CONTRACT = 1
DIRECTORY = "/etc/fleetform"
PROMPT = "system-prompt.md"


def revision(name: str, data: dict[str, str], directory: str) -> Config:
    """Return an immutable revision, named by the hash of its content."""
    return Config(fit(name, f"-config-{canonical.digest(data)[:8]}", 253), data, directory)


def agent_config(
    fleet: Fleet, agent: Resolved, uses: Uses, secrets: SecretFiles, grace: int
) -> Config:
    """Return the ConfigMap of an agent on the generic runtime."""
    document = settings(fleet, agent, uses, secrets, grace)
    data = {"agent.json": canonical.dumps(document) + "\n", PROMPT: agent.spec.system_prompt or ""}
    return revision(agent.name, data, DIRECTORY)


def settings(
    fleet: Fleet, agent: Resolved, uses: Uses, secrets: SecretFiles, grace: int
) -> dict[str, Any]:
    """Return `agent.json` as data: only what was decided, nothing that is the runtime's own default."""
    spec: AgentSpec = agent.spec
    return _present(
        contract=CONTRACT,
        agent=_present(
            name=agent.name,
            namespace=fleet.target_namespace(agent.namespace),
            displayName=spec.display_name,
            description=spec.description,
        ),
        prompt={"system": {"file": PROMPT}},
        model=_model(fleet, agent, uses.model, secrets, spec.model_config_ref)
        if uses.model
        else None,
        models=[_model(fleet, agent, model, secrets, ref) for ref, model in uses.models],
        fallbacks=[_model(fleet, agent, model, secrets, ref) for ref, model in uses.fallbacks],
        tools=[*_tools(fleet, agent, uses, secrets)],
        mcpServers=[*_mcp_servers(fleet, agent, uses, secrets)],
        memory=_memory(fleet, agent, uses, secrets),
        auth=_auth(spec.auth, secrets) if spec.auth else None,
        limits=_limits(spec),
        server=_present(
            port=HTTP_PORT,
            metricsPort=spec.observability.metrics.port or METRICS_PORT,
            shutdownGraceSeconds=grace,
        ),
        health=_present(
            livePath=spec.health_check.path,
            readyPath=spec.health_check.readiness_path,
            startupPath=spec.health_check.startup_path,
        ),
        observability=_observability(fleet, spec, secrets, agent.namespace),
    )


def _present(**members: Any) -> dict[str, Any]:
    """Return the members that are set: empty lists and maps say nothing that absence does not."""
    return {
        key: value for key, value in members.items() if value is not None and value not in ([], {})
    }


def _model(
    fleet: Fleet,
    agent: Resolved,
    model: ModelSettings,
    secrets: SecretFiles,
    ref: str | None = None,
) -> dict[str, Any]:
    return _present(
        provider=model.provider,
        name=model.name,
        id=ref,
        endpoint=hosts.rewritten(fleet, agent.namespace, model.endpoint)
        if model.endpoint
        else None,
        apiKey=secrets.file(model.api_key_secret_ref) if model.api_key_secret_ref else None,
        temperature=model.temperature,
        maxTokens=model.max_tokens,
        topP=model.top_p,
        frequencyPenalty=model.frequency_penalty,
        presencePenalty=model.presence_penalty,
        contextTokens=model.context_tokens,
        pricing=view.dump(model.pricing) if model.pricing else None,
        timeouts={"requestSeconds": model.timeout_seconds} if model.timeout_seconds else None,
        tls=_tls(model.tls, secrets),
    )


def _tls(tls: ModelTls | McpTls | None, secrets: SecretFiles) -> dict[str, Any] | None:
    if tls is None:
        return None
    ca = tls.ca_secret_ref
    return _present(
        caFile=secrets.file(ca)["file"] if ca else None,
        insecureSkipVerify=tls.insecure_skip_verify or None,
    )


# -- tools --------------------------------------------------------------------------------------


def _tools(
    fleet: Fleet, agent: Resolved, uses: Uses, secrets: SecretFiles
) -> Iterator[dict[str, Any]]:
    for use, tool in uses.tools:
        spec: ToolSpec = tool.spec
        if spec.type == "api" and spec.api is not None:
            yield _api_tool(fleet, agent, use, tool, secrets)
        elif spec.type == "human":
            asked = spec.human.prompt if spec.human else None
            yield _present(
                **_tool(use, spec, asked),
                type="human",
                parameters=[_parameter(item) for item in spec.parameters],
                output=spec.output,
            )
    for use, other in uses.agents:
        yield _present(
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
    return _present(
        name=use.name,
        displayName=spec.display_name,
        description=spec.description or fallback or spec.display_name or use.name,
        requiresApproval=approval or None,
    )


def _api_tool(
    fleet: Fleet, agent: Resolved, use: ToolUse, tool: Resolved, secrets: SecretFiles
) -> dict[str, Any]:
    api = tool.spec.api
    return _present(
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
    return _present(
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


def _mcp_servers(
    fleet: Fleet, agent: Resolved, uses: Uses, secrets: SecretFiles
) -> Iterator[dict[str, Any]]:
    for use, server in uses.servers:
        spec: McpAccess = server.spec
        yield _present(
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
            tls=_tls(spec.tls, secrets),
        )
    for use in uses.inline_servers:
        yield _present(
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
    host = f"{workload.name}.{fleet.target_namespace(workload.namespace)}.svc.cluster.local"
    port = http_port(workload)
    return f"http://{host}:{port.service_port}" if port else f"http://{host}"


def with_path(url: str, path: str) -> str:
    """Return a URL with a path, unless it has one."""
    scheme, _, rest = url.partition("://")
    authority, slash, tail = rest.partition("/")
    return url if slash and tail else f"{scheme}://{authority}{path}"


# -- memory, limits, sign-in, observability ------------------------------------------------------


def _memory(
    fleet: Fleet, agent: Resolved, uses: Uses, secrets: SecretFiles
) -> dict[str, Any] | None:
    store = uses.memory
    if store is None:
        return None
    owner = uses.store or agent
    policy = _policy(store.policy)
    server = getattr(store, store.type) if store.type in ("redis", "postgres") else None
    if server is not None:
        host = hosts.written_out(fleet, owner.namespace, server.host or "")
        own = _redis(server, secrets) if store.type == "redis" else _postgres(server, secrets)
        return _present(type=store.type, host=host, **own, policy=policy)
    if store.type == "filesystem":
        path = store.filesystem.path if store.filesystem else FILESYSTEM
        return _present(type="filesystem", path=path, policy=policy)
    return _present(type="in-memory", policy=policy)


def _policy(policy: Policy) -> dict[str, Any]:
    return _present(
        sessionTtlSeconds=policy.session_ttl,
        maxConversationHistory=policy.max_conversation_history,
        maxSessionsPerUser=policy.max_sessions_per_user,
    )


def _redis(redis: Redis, secrets: SecretFiles) -> dict[str, Any]:
    return _present(
        port=redis.port,
        database=redis.database or None,
        username=redis.auth.username,
        password=secrets.file(redis.auth.secret_ref) if redis.auth.secret_ref else None,
    ) | _store_tls(redis.tls, secrets)


def _postgres(postgres: Postgres, secrets: SecretFiles) -> dict[str, Any]:
    return _present(
        port=postgres.port,
        database=postgres.database,
        username=postgres.username,
        password=secrets.file(postgres.password_secret_ref)
        if postgres.password_secret_ref
        else None,
    ) | _store_tls(postgres.tls, secrets)


def _store_tls(tls: StoreTls, secrets: SecretFiles) -> dict[str, Any]:
    """Return the `tls` member; for a store it means TLS by being there, even empty."""
    if not tls.enabled:
        return {}
    files: dict[str, Any] = {}
    if tls.secret_ref:
        name = tls.secret_ref.name
        files = {
            "caFile": secrets.path(name, "ca.crt"),
            "certFile": secrets.path(name, "tls.crt"),
            "keyFile": secrets.path(name, "tls.key"),
        }
    if tls.insecure_skip_verify:
        files["insecureSkipVerify"] = True
    return {"tls": files}


def _auth(auth: Auth, secrets: SecretFiles) -> dict[str, Any]:
    if auth.type == "apiKey" and auth.api_key:
        keys = [
            _present(
                name=key.name, secret=secrets.file(key.secret_ref), onBehalf=key.on_behalf or None
            )
            for key in auth.api_key.keys
        ]
        return {"type": "apiKey", "keys": keys}
    if auth.type == "oidc" and auth.oidc:
        oidc = auth.oidc
        return _present(
            type="oidc", issuer=oidc.issuer, audience=oidc.audience, userClaim=oidc.user_claim
        )
    return {"type": auth.type}


def _limits(spec: AgentSpec) -> dict[str, Any]:
    limits, rates = spec.limits, spec.rate_limits
    return _present(
        **_quota(rates),
        perUser=_quota(rates.per_user) if rates.per_user else None,
        maxSteps=limits.max_steps,
        maxToolCalls=limits.max_tool_calls,
        concurrentRuns=limits.concurrent_runs,
        bodyBytes=limits.max_body_bytes,
        toolResultBytes=limits.max_tool_result_bytes,
        runSeconds=limits.turn_timeout_seconds,
    )


def _quota(quota: Quota) -> dict[str, Any]:
    return _present(
        requestsPerMinute=quota.requests_per_minute,
        tokensPerMinute=quota.tokens_per_minute,
        dailyCostUsd=quota.daily_cost_usd,
    )


def _observability(
    fleet: Fleet, spec: AgentSpec, secrets: SecretFiles, namespace: str
) -> dict[str, Any]:
    tracing, logging = spec.observability.tracing, spec.observability.logging
    traces = None
    if tracing.enabled:
        endpoint = tracing.endpoint or fleet.environment.monitoring.otlp_endpoint
        traces = _present(
            enabled=True,
            provider=tracing.provider,
            endpoint=hosts.rewritten(fleet, namespace, endpoint) if endpoint else None,
            publicKey=secrets.file(tracing.public_key_secret_ref)
            if tracing.public_key_secret_ref
            else None,
            secretKey=secrets.file(tracing.secret_key_secret_ref)
            if tracing.secret_key_secret_ref
            else None,
            sampleRate=tracing.sample_rate,
            captureContent=tracing.capture_content or None,
            environment=fleet.environment_name,
        )
    return _present(
        tracing=traces, logging=_present(level=logging.level, loggers=dict(logging.loggers))
    )
