"""An agent's configuration for the generic runtime: `agent.json`, and prompts in separate files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform import contract, view
from fleetform.plan.exposure import hosts_of, path_of
from fleetform.plan.model import Files
from fleetform.plan.present import present, secret_of
from fleetform.plan.stores import STORES, tls
from fleetform.plan.tools import embedding, mcp_servers, service_url, tls_files, tools
from fleetform.resolve import collector, hosts, memories, regions
from fleetform.resolve.canaries import known_as
from fleetform.resolve.references import folder_of
from fleetform.resolve.waits import longest

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec, Approvals, Auth, Quota, Variant
    from fleetform.models.memory_store import LongTermMemory, Policy
    from fleetform.models.model_config import ModelSettings
    from fleetform.models.observability import Observability
    from fleetform.models.workflow import WorkflowObservability
    from fleetform.resolve import Fleet, Resolved
    from fleetform.resolve.references import Uses

PROMPT = "system-prompt.md"
NO_MODEL = {"provider": "openai", "name": "none"}
"""Where a model must be named and is never asked."""
DRAIN = 30
"""Grace period in seconds of what has no turns to end."""
MARGIN = 5
"""Seconds after the longest turn, for closing connections."""


def files(fleet: Fleet, agent: Resolved[AgentSpec], uses: Uses) -> Files:
    """Return the configuration of an agent on the generic runtime."""
    spec = agent.spec
    own = {prompt_of(item.name): item.system_prompt for item in spec.variants if item.system_prompt}
    prompts = {PROMPT: spec.system_prompt or "", **own}
    return Files(contract.FOLDER, prompts, settings(fleet, agent, uses))


def prompt_of(variant: str) -> str:
    """Return the name of the file with the prompt of a variant."""
    return f"system-prompt.{variant}.md"


def of_documents(fleet: Fleet, agent: Resolved[AgentSpec], uses: Uses, tool: str) -> Files:
    """Return the configuration of what takes documents in: one search, and nothing else of the agent's."""
    document = present(
        contract=contract.VERSION,
        agent=present(name=agent.name, namespace=fleet.target_namespace(agent.namespace)),
        prompt={"system": {"file": PROMPT}},
        model=NO_MODEL,
        tools=[item for item in tools(fleet, agent, uses) if item["name"] == tool],
        auth={"type": "none"},  # nothing is served
        server={"shutdownGraceSeconds": DRAIN - MARGIN},
    )
    return Files(contract.FOLDER, {PROMPT: "You take documents in.\n"}, document)


def settings(fleet: Fleet, agent: Resolved[AgentSpec], uses: Uses) -> dict[str, Any]:
    """Return `agent.json` as data: only explicit decisions, none of the runtime's own defaults.

    Secrets, the paths of secret files and addresses in it are symbols of the plan's model.
    """
    spec: AgentSpec = agent.spec
    document = present(
        contract=contract.VERSION,
        agent=present(
            name=known_as(fleet, agent).name,
            namespace=fleet.target_namespace(agent.namespace),
            displayName=spec.display_name,
            description=spec.description,
        ),
        prompt={"system": {"file": PROMPT}},
        model=_model(fleet, agent, uses.model, spec.model_config_ref) if uses.model else None,
        models=[_model(fleet, agent, model, ref) for ref, model in uses.models],
        fallbacks=[_model(fleet, agent, model, ref) for ref, model in uses.fallbacks],
        tools=[*tools(fleet, agent, uses)],
        mcpServers=[*mcp_servers(fleet, agent, uses)],
        variants=[_variant(fleet, agent, uses, item) for item in spec.variants],
        output={"schema": spec.output_schema} if spec.output_schema is not None else None,
        memory=_memory(fleet, agent, uses),
        auth=auth(spec.auth) if spec.auth else None,
        approvals=_approvals(fleet, agent.namespace, spec.approvals) if spec.approvals else None,
        limits=_limits(spec),
        server=present(
            port=contract.HTTP_PORT,
            ui=spec.ui or None,
            corsOrigins=list(spec.cors_origins),
            metricsPort=spec.observability.metrics.port or contract.METRICS_PORT,
            shutdownGraceSeconds=longest(spec.limits),
        ),
        a2a={"url": _url(fleet, agent)},
        health=present(
            livePath=spec.health_check.path,
            readyPath=spec.health_check.readiness_path,
            startupPath=spec.health_check.startup_path,
        ),
        observability=observability(fleet, spec.observability, agent.namespace),
    )
    remembers = memories.long_term(uses)
    if remembers is None:
        return document
    # Empty, it means that users are remembered: it must not be dropped like other empty members.
    return {**document, "longTermMemory": _long_term(fleet, agent, uses, remembers)}


def _url(fleet: Fleet, agent: Resolved[AgentSpec]) -> str | hosts.Url:
    """Return where others reach an agent: from outside if it is exposed, else by its Service."""
    agent = known_as(fleet, agent)
    host = hosts_of(fleet, agent)[0] if agent.spec.expose is not None else ""
    if not host:
        return service_url(fleet, agent)
    return f"https://{host}{path_of(agent).rstrip('/')}"


def _model(
    fleet: Fleet,
    agent: Resolved[AgentSpec],
    model: ModelSettings,
    ref: str | None = None,
) -> dict[str, Any]:
    return present(
        provider=model.provider,
        name=model.name,
        id=ref,
        endpoint=hosts.rewritten(fleet, agent.namespace, model.endpoint)
        if model.endpoint
        else None,
        apiKey=secret_of(model.api_key_secret_ref) if model.api_key_secret_ref else None,
        temperature=model.temperature,
        maxTokens=model.max_tokens,
        topP=model.top_p,
        frequencyPenalty=model.frequency_penalty,
        presencePenalty=model.presence_penalty,
        contextTokens=model.context_tokens,
        **_wishes(model),
        pricing=view.dump(model.pricing) if model.pricing else None,
        retries=model.retries,
        region=model.region if regions.has_region(model) else None,
        project=model.project if regions.has_project(model) else None,
        timeouts={"requestSeconds": model.timeout_seconds} if model.timeout_seconds else None,
        tls=tls_files(model.tls),
    )


def _variant(
    fleet: Fleet, agent: Resolved[AgentSpec], uses: Uses, variant: Variant
) -> dict[str, Any]:
    ref, model = uses.variants.get(variant.name, (None, None))
    return present(
        name=variant.name,
        weight=variant.weight,
        prompt={"system": {"file": prompt_of(variant.name)}} if variant.system_prompt else None,
        model=_model(fleet, agent, model, ref) if model else None,
    )


def _wishes(model: ModelSettings) -> dict[str, Any]:
    """Return those settings that the provider of a model has a place for."""
    wishes = present(
        reasoningEffort=model.reasoning_effort,
        parallelToolCalls=model.parallel_tool_calls,
        strictTools=model.strict_tools,
        promptCaching=model.prompt_caching,
        extraBody=model.extra_body,
    )
    ignored = contract.IGNORED.get(model.provider or "", frozenset())
    return {name: value for name, value in wishes.items() if name not in ignored}


# -- memory, limits, authentication, observability -----------------------------------------------


def _memory(fleet: Fleet, agent: Resolved[AgentSpec], uses: Uses) -> dict[str, Any] | None:
    store = uses.memory
    if store is None:
        return None
    owner = uses.store or agent
    policy = _policy(fleet, agent, uses, store.policy)
    kind = store.type or ""
    section = getattr(store, kind) if kind in STORES else None
    if section is not None:
        host = hosts.written_out(fleet, owner.namespace, section.host or "")
        own = present(type=kind, host=host, **STORES[kind].settings(section))
        # An empty `tls` means TLS with public CAs: it must not be dropped like other empty members.
        return {**own, **tls(section.tls), **present(policy=policy)}
    if kind == contract.NO_MEMORY:
        return {"type": kind}
    if kind == "filesystem":
        return present(type=kind, path=folder_of(store), policy=policy)
    held = store.in_memory
    limits = present(maxBytes=held.max_bytes, maxSessions=held.max_sessions) if held else {}
    return present(type="in-memory", **limits, policy=policy)


def _policy(fleet: Fleet, agent: Resolved[AgentSpec], uses: Uses, policy: Policy) -> dict[str, Any]:
    wanted = policy.compression
    ref, model = uses.summariser or (None, None)
    return {
        **present(
            sessionTtlSeconds=policy.session_ttl,
            maxConversationHistory=policy.max_conversation_history,
            maxSessionsPerUser=policy.max_sessions_per_user,
        ),
        # Its presence means summaries, even if it is empty: it must not be dropped like other empty members.
        **(
            {
                "compression": present(
                    threshold=wanted.threshold,
                    contextThreshold=wanted.context_threshold,
                    maxContextTokens=wanted.max_context_tokens,
                    model=_model(fleet, agent, model, ref) if model else None,
                )
            }
            if wanted is not None and wanted.enabled
            else {}
        ),
    }


def _long_term(
    fleet: Fleet, agent: Resolved[AgentSpec], uses: Uses, found: LongTermMemory
) -> dict[str, Any]:
    owner, _ = memories.place(agent, uses, "embedding", "endpoint")
    return present(
        embedding=embedding(
            fleet, agent, owner.namespace or agent.namespace, uses, memories.embedding(uses)
        ),
        model=found.model,
        maxMemories=found.max_memories,
        maxPerUser=found.max_per_user,
        ttlSeconds=found.ttl,
        requiresApproval=found.requires_approval or None,
        user=found.user,
    )


def auth(auth: Auth) -> dict[str, Any]:
    """Return how callers authenticate."""
    if auth.type == "apiKey" and auth.api_key:
        keys = [
            present(name=key.name, secret=secret_of(key.secret_ref), onBehalf=key.on_behalf or None)
            for key in auth.api_key.keys
        ]
        return {"type": "apiKey", "keys": keys}
    if auth.type == "oidc" and auth.oidc:
        oidc = auth.oidc
        return present(
            type="oidc",
            issuer=oidc.issuer,
            audience=oidc.audience,
            userClaim=oidc.user_claim,
            rolesClaim=oidc.roles_claim,
            clientId=oidc.client_id,
            scopes=list(oidc.scopes) if oidc.client_id else None,
        )
    return {"type": auth.type}


def _approvals(fleet: Fleet, namespace: str, approvals: Approvals) -> dict[str, Any]:
    named, hook = approvals.approvers, approvals.webhook
    return present(
        approvers=present(keys=list(named.keys), roles=list(named.roles)) if named else None,
        self=approvals.self_ or None,
        webhook=present(
            url=hosts.rewritten(fleet, namespace, hook.url),
            secret=secret_of(hook.secret_ref),
            format=None if hook.format == "json" else hook.format,
            includeArguments=hook.include_arguments or None,
        )
        if hook
        else None,
    )


def _limits(spec: AgentSpec) -> dict[str, Any]:
    limits, rates = spec.limits, spec.rate_limits
    return present(
        **_quota(rates),
        perUser=_quota(rates.per_user) if rates.per_user else None,
        maxSteps=limits.max_steps,
        maxToolCalls=limits.max_tool_calls,
        concurrentRuns=limits.concurrent_runs,
        agentHops=limits.max_agent_hops,
        bodyBytes=limits.max_body_bytes,
        attachmentBytes=limits.max_attachment_bytes,
        toolResultBytes=limits.max_tool_result_bytes,
        runSeconds=limits.turn_timeout_seconds,
        queueSeconds=limits.queue_timeout_seconds,
        approvalSeconds=limits.approval_timeout_seconds,
    )


def _quota(quota: Quota) -> dict[str, Any]:
    return present(
        requestsPerMinute=quota.requests_per_minute,
        tokensPerMinute=quota.tokens_per_minute,
        dailyCostUsd=quota.daily_cost_usd,
    )


def observability(
    fleet: Fleet, given: Observability | WorkflowObservability, namespace: str
) -> dict[str, Any]:
    """Return where traces are sent, and how logs are written."""
    tracing, logging = given.tracing, given.logging
    traces = None
    if tracing.enabled:
        endpoint = collector.endpoint(fleet, tracing)
        traces = present(
            enabled=True,
            provider=tracing.provider,
            endpoint=hosts.rewritten(fleet, namespace, endpoint) if endpoint else None,
            publicKey=secret_of(tracing.public_key_secret_ref)
            if tracing.public_key_secret_ref
            else None,
            secretKey=secret_of(tracing.secret_key_secret_ref)
            if tracing.secret_key_secret_ref
            else None,
            sampleRate=tracing.sample_rate,
            captureContent=tracing.capture_content or None,
            environment=fleet.environment_name,
        )
    return present(
        tracing=traces,
        logging=present(level=logging.level, loggers=dict(logging.loggers), format=logging.format),
    )
