"""An agent's configuration for the generic runtime: `agent.json`, and prompts in keys of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform import canonical, view
from fleetform.plan.model import Config
from fleetform.plan.names import fit
from fleetform.plan.secrets import SecretFiles
from fleetform.plan.tools import mcp_servers, present, tls_files, tools
from fleetform.resolve import hosts
from fleetform.resolve.ports import HTTP_PORT, METRICS_PORT
from fleetform.resolve.switches import tls_is_on
from fleetform.rules.agents import FILESYSTEM
from fleetform.rules.resources import MARGIN

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec, Auth, Quota
    from fleetform.models.memory_store import Policy, Postgres, Redis, StoreTls
    from fleetform.models.model_config import ModelSettings
    from fleetform.resolve import Fleet, Resolved
    from fleetform.resolve.references import Uses

CONTRACT = 1
DIRECTORY = "/etc/fleetform"
PROMPT = "system-prompt.md"


def turn_seconds(grace: int, pre_stop: int) -> int:
    """Return the seconds that the longest turn may take, of those that a pod has to end."""
    return max(0, grace - pre_stop - MARGIN)


def revision(
    name: str, data: dict[str, str], directory: str, settings: dict[str, Any] | None = None
) -> Config:
    """Return an immutable revision, named by the hash of its content."""
    hashed = fit(name, f"-config-{canonical.digest(data)[:8]}", 253)
    return Config(hashed, data, directory, settings or {})


def agent_config(
    fleet: Fleet, agent: Resolved, uses: Uses, secrets: SecretFiles, grace: int
) -> Config:
    """Return the ConfigMap of an agent on the generic runtime."""
    document = settings(fleet, agent, uses, secrets, grace)
    data = {"agent.json": canonical.dumps(document) + "\n", PROMPT: agent.spec.system_prompt or ""}
    return revision(agent.name, data, DIRECTORY, document)


def settings(
    fleet: Fleet, agent: Resolved, uses: Uses, secrets: SecretFiles, grace: int
) -> dict[str, Any]:
    """Return `agent.json` as data: only what was decided, nothing that is the runtime's own default."""
    spec: AgentSpec = agent.spec
    return present(
        contract=CONTRACT,
        agent=present(
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
        tools=[*tools(fleet, agent, uses, secrets)],
        mcpServers=[*mcp_servers(fleet, agent, uses, secrets)],
        memory=_memory(fleet, agent, uses, secrets),
        auth=_auth(spec.auth, secrets) if spec.auth else None,
        limits=_limits(spec),
        server=present(
            port=HTTP_PORT,
            metricsPort=spec.observability.metrics.port or METRICS_PORT,
            shutdownGraceSeconds=grace,
        ),
        health=present(
            livePath=spec.health_check.path,
            readyPath=spec.health_check.readiness_path,
            startupPath=spec.health_check.startup_path,
        ),
        observability=_observability(fleet, spec, secrets, agent.namespace),
    )


def _model(
    fleet: Fleet,
    agent: Resolved,
    model: ModelSettings,
    secrets: SecretFiles,
    ref: str | None = None,
) -> dict[str, Any]:
    return present(
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
        tls=tls_files(model.tls, secrets),
    )


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
        # An empty `tls` is TLS with public CAs: it must not go the way of other empty members.
        tls = _store_tls(server.tls, secrets)
        return {**present(type=store.type, host=host, **own), **tls, **present(policy=policy)}
    if store.type == "filesystem":
        path = store.filesystem.path if store.filesystem else FILESYSTEM
        return present(type="filesystem", path=path, policy=policy)
    return present(type="in-memory", policy=policy)


def _policy(policy: Policy) -> dict[str, Any]:
    return present(
        sessionTtlSeconds=policy.session_ttl,
        maxConversationHistory=policy.max_conversation_history,
        maxSessionsPerUser=policy.max_sessions_per_user,
    )


def _redis(redis: Redis, secrets: SecretFiles) -> dict[str, Any]:
    return present(
        port=redis.port,
        database=redis.database or None,
        username=redis.auth.username,
        password=secrets.file(redis.auth.secret_ref) if redis.auth.secret_ref else None,
    )


def _postgres(postgres: Postgres, secrets: SecretFiles) -> dict[str, Any]:
    return present(
        port=postgres.port,
        database=postgres.database,
        username=postgres.username,
        password=secrets.file(postgres.password_secret_ref)
        if postgres.password_secret_ref
        else None,
    )


def _store_tls(tls: StoreTls, secrets: SecretFiles) -> dict[str, Any]:
    """Return the `tls` member; for a store it means TLS by being there, even empty."""
    if not tls_is_on(tls):
        return {}
    files: dict[str, Any] = {}
    if tls.secret_ref:
        name = tls.secret_ref.name
        files = {"caFile": secrets.path(name, "ca.crt")}
        if tls.client_certificate:
            files["certFile"] = secrets.path(name, "tls.crt")
            files["keyFile"] = secrets.path(name, "tls.key")
    if tls.insecure_skip_verify:
        files["insecureSkipVerify"] = True
    return {"tls": files}


def _auth(auth: Auth, secrets: SecretFiles) -> dict[str, Any]:
    if auth.type == "apiKey" and auth.api_key:
        keys = [
            present(
                name=key.name, secret=secrets.file(key.secret_ref), onBehalf=key.on_behalf or None
            )
            for key in auth.api_key.keys
        ]
        return {"type": "apiKey", "keys": keys}
    if auth.type == "oidc" and auth.oidc:
        oidc = auth.oidc
        return present(
            type="oidc", issuer=oidc.issuer, audience=oidc.audience, userClaim=oidc.user_claim
        )
    return {"type": auth.type}


def _limits(spec: AgentSpec) -> dict[str, Any]:
    limits, rates = spec.limits, spec.rate_limits
    return present(
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
    return present(
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
        traces = present(
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
    return present(
        tracing=traces, logging=present(level=logging.level, loggers=dict(logging.loggers))
    )
