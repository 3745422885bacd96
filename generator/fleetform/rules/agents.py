"""What an agent needs to start, and to start safely."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.contract import (
    HTTP_PORT,
    NO_MEMORY,
    SESSION_TTL,
    SHARED_STORES,
    STORE_PORTS,
)
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved, collector
from fleetform.resolve.memories import embedding
from fleetform.resolve.references import Uses, folder_of
from fleetform.resolve.regions import has_project
from fleetform.resolve.searches import by_meaning, reached
from fleetform.resolve.waits import asking, asks_people, longest
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec, Auth, ToolUse
    from fleetform.rules import AgentUses

METRICS_PATH = "/metrics"
"""Where the generic runtime serves its metrics."""


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield what prevents an agent from starting, keeping its data or being safe."""
    for agent in fleet.of(kinds.AGENT):
        if agent.spec.container is None:
            yield from _generic(fleet, agent, uses[agent.key])
            yield from _approvals(agent, uses)


def _generic(fleet: Fleet, agent: Resolved[AgentSpec], uses: Uses) -> Iterator[Problem]:
    spec = agent.spec
    if not (spec.system_prompt or "").strip():
        yield agent.problem(
            ("spec",),
            "no-prompt",
            "the agent has no `systemPrompt`",
            hint="write one, or extend a template or agent that has one",
            key=True,
        )
    if spec.auth is None:
        yield agent.problem(
            ("spec",),
            "no-auth",
            "no decision on how callers authenticate",
            hint="set `auth.type` (apiKey, oidc, or none) in the spec, a template or the environment's defaults",
            key=True,
        )
    else:
        yield from _auth(agent, spec.auth)
        yield from _approvers(agent, spec.auth)
    yield from _memory(agent, uses)
    yield from _filesystem(agent, uses)
    yield from _forgetful(agent, uses)
    yield from _sign_in(agent, uses)
    yield from _models(agent)
    yield from _origins(agent)
    yield from _identity(agent, uses)
    if spec.observability.metrics.port == HTTP_PORT:
        yield agent.problem(
            ("spec", "observability", "metrics", "port"),
            "port-taken",
            f"{HTTP_PORT} is the port of the agent's own API",
            hint="choose another port; 9090 is the default",
        )
    if spec.observability.metrics.path != METRICS_PATH:
        yield agent.problem(
            ("spec", "observability", "metrics", "path"),
            "wrong-path",
            f"the generic runtime serves its metrics at {METRICS_PATH}: Prometheus would find nothing at this path",
            hint="remove `path`",
        )
    yield from tracing(fleet, agent)
    yield from _cut_off(fleet, agent)
    limits = spec.rate_limits
    priced = uses.model is None or uses.model.pricing is not None
    if not priced and (
        limits.daily_cost_usd or (limits.per_user and limits.per_user.daily_cost_usd)
    ):
        yield agent.problem(
            ("spec", "rateLimits"),
            "no-prices",
            "a daily cost limit needs prices, and that of the model is not known",
            hint="set the model's `pricing`; docs/cost.md lists those that are known",
            severity="warning",
            key=True,
        )


def _cut_off(fleet: Fleet, agent: Resolved[AgentSpec]) -> Iterator[Problem]:
    """Yield a turn that the way from outside ends before the agent does."""
    most, most_taken = fleet.environment.expose.request_timeout_seconds, longest(agent.spec.limits)
    if agent.spec.expose is not None and most_taken > most:
        yield agent.problem(
            ("spec", "limits", "turnTimeoutSeconds"),
            "timeout-too-long",
            f"from outside an answer has {most} s: it is cut off, where a turn takes up to {most_taken} s",
            hint="raise `expose.requestTimeoutSeconds` of the environment, or lower this one",
            severity="warning",
        )


def callers(owner: Resolved[Any], path: TreePath, auth: Auth) -> Iterator[Problem]:
    """Yield sections that the type of an authentication of callers lacks, or has no use for."""
    for kind, value, name in (("apiKey", auth.api_key, "apiKey"), ("oidc", auth.oidc, "oidc")):
        if auth.type == kind and value is None:
            yield owner.problem(
                path,
                "missing-field",
                f"`{name}` is missing",
                hint=f"add `{name}:`, which this type requires",
                key=True,
            )
        if auth.type != kind and value is not None:
            yield owner.problem(
                (*path, name),
                "contradiction",
                f"`{name}` is set, but the type is `{auth.type}`",
                hint=f"remove one of them; a spec that inherits it says `{name}: null`",
                key=True,
            )


def _auth(agent: Resolved[AgentSpec], auth: Auth) -> Iterator[Problem]:
    path: TreePath = ("spec", "auth")
    yield from callers(agent, path, auth)
    if agent.spec.expose is not None or agent.spec.service.type != "ClusterIP":
        yield from open_to_all(agent, (*path, "type"), "the agent")


def open_to_all(owner: Resolved[Any], path: TreePath, what: str) -> Iterator[Problem]:
    """Yield that something which is reached from outside lets everybody in."""
    if owner.spec.auth.type == "none":
        yield owner.problem(
            path,
            "open-to-all",
            f"{what} is exposed outside the cluster without authentication",
            hint="set `auth.type` to apiKey or oidc",
            severity="warning",
        )


def _approvers(agent: Resolved[AgentSpec], auth: Auth) -> Iterator[Problem]:
    """Report approvers that no caller can be: runs would wait until they expire."""
    approvals = agent.spec.approvals
    if approvals is None:
        return
    approvers = approvals.approvers
    if approvers is None:
        if approvals.self_:
            yield agent.problem(
                ("spec", "approvals", "self"),
                "no-approver",
                "nobody is named who approves: whoever asked decides",
                hint="add `approvers`, or remove `self`",
            )
        return
    base: TreePath = ("spec", "approvals", "approvers")
    if not (approvers.keys or approvers.roles):
        yield agent.problem(
            base,
            "no-approver",
            "nobody is named who approves",
            hint="name `keys` of `auth.apiKey`, or `roles` of `auth.oidc`; without `approvals` whoever asked decides",
            key=True,
        )
    for number, name in enumerate(approvers.keys):
        why, hint = _no_key(name, auth)
        if why:
            yield agent.problem((*base, "keys", number), "no-approver", why, hint=hint)
    oidc = auth.oidc if auth.type == "oidc" else None
    if approvers.roles and (oidc is None or oidc.roles_claim is None):
        yield agent.problem(
            (*base, "roles"),
            "no-approver",
            "callers of this agent have no roles",
            hint="set `auth.oidc.rolesClaim`, the claim of a token that has them"
            if oidc
            else "roles need `auth.type: oidc`; name `keys` of `auth.apiKey` instead",
            key=True,
        )
    keys = auth.api_key.keys if auth.type == "apiKey" and auth.api_key else []
    if len(keys) == 1 and list(approvers.keys) == [keys[0].name] and not approvals.self_:
        yield agent.problem(
            (*base, "keys"),
            "no-approver",
            f"`{keys[0].name}` is the agent's only key: all runs are its own, and it may not decide on them",
            hint="add another key to `auth.apiKey`, or set `approvals.self`",
            key=True,
        )


def _no_key(name: str, auth: Auth) -> tuple[str, str]:
    """Return why no caller is the approver of this name, and what to do; empty if one is."""
    if auth.type != "apiKey":
        hint = "name `roles` of `auth.oidc` instead"
        if auth.type == "none":
            hint = "set `auth.type`: without it all callers are the same"
        return f"callers of this agent have no keys: `auth.type` is `{auth.type}`", hint
    keys = {key.name: key.on_behalf for key in auth.api_key.keys} if auth.api_key else {}
    key, slash, user = name.partition("/")
    if key not in keys:
        known = ", ".join(sorted(keys)) or "none"
        return f"the agent has no key `{key}`", f"name one of `auth.apiKey.keys`: {known}"
    if keys[key] and not user:
        hint = f"name the user as well: `{key}/<user>`"
        return f"`{key}` calls on behalf of others, and is nobody who could approve", hint
    if slash and not keys[key]:
        return f"`{key}` names no users: it is one itself", f"write `{key}`, or set its `onBehalf`"
    return "", ""


def _memory(agent: Resolved[AgentSpec], uses: Uses) -> Iterator[Problem]:
    scaling = agent.spec.scaling
    most = max(scaling.max_replicas or 0, scaling.min_replicas or 1)
    kind = uses.memory.type if uses.memory else "in-memory"
    if agent.spec.memory is not None and uses.memory is None:
        return
    if most > 1 and kind not in SHARED_STORES:
        path: TreePath = ("spec", "memory") if agent.spec.memory else ("spec", "scaling")
        yield agent.problem(
            path,
            "memory-not-shared",
            f"{most} replicas cannot share {kind} memory: a conversation would be lost when another pod answers",
            hint=f"use a {' or '.join(sorted(STORE_PORTS, reverse=True))} MemoryStore, one replica, or `type: none` if each request stands alone",
            key=True,
        )


def _filesystem(agent: Resolved[AgentSpec], uses: Uses) -> Iterator[Problem]:
    """The root filesystem is read-only: a filesystem store needs a volume at or above its folder."""
    if uses.memory is None or uses.memory.type != "filesystem":
        return
    folder = folder_of(uses.memory)
    writable = [
        volume.mount_path.rstrip("/") for volume in agent.spec.volumes if not volume.read_only
    ]
    if not any(folder == path or folder.startswith(f"{path}/") for path in writable):
        yield agent.problem(
            ("spec", "memory"),
            "no-volume",
            f"nothing is mounted at `{folder}`, where conversations are written",
            hint="add a volume with that `mountPath`, such as a `claim`",
            key=True,
        )


def _approvals(agent: Resolved[AgentSpec], known: AgentUses) -> Iterator[Problem]:
    """An approval waits in its session, which expires when nothing happens in it."""
    uses = known[agent.key]
    waits = agent.spec.limits.approval_timeout_seconds
    if uses.memory and uses.memory.type == NO_MEMORY:
        return
    ttl = (uses.memory.policy.session_ttl if uses.memory else None) or SESSION_TTL
    if waits is not None and ttl < waits and asks_people(uses, known):
        yield agent.problem(
            ("spec", "limits", "approvalTimeoutSeconds"),
            "contradiction",
            f"an approval cannot wait for {waits} seconds: its session expires after {ttl}",
            hint="raise `policy.sessionTTL` of the memory, or lower this",
        )


def _forgetful(agent: Resolved[AgentSpec], uses: Uses) -> Iterator[Problem]:
    """Report calls that wait for a person, for agents that keep nothing until the answer comes."""
    if uses.memory is None or uses.memory.type != NO_MEMORY:
        return
    for use in asking(uses):
        yield agent.problem(
            ("spec", "tools", _number(agent, use), "name"),
            "contradiction",
            f"calls of `{use.name}` wait for a person, and memory of type `none` keeps nothing until the answer comes",
            hint="choose another `memory`, or a tool without approvals and questions",
        )


def _sign_in(agent: Resolved[AgentSpec], uses: Uses) -> Iterator[Problem]:
    """Report agents that would reject calls when used as a tool."""
    for use, other in uses.agents:
        theirs = other.spec.auth
        if use.authentication is not None or theirs is None or theirs.type == "none":
            continue
        if theirs.type == "apiKey" and other.namespace == agent.namespace:
            continue  # its Secret is accessible
        number = _number(agent, use)
        yield agent.problem(
            ("spec", "tools", number, "name"),
            "no-sign-in",
            f"the agent `{other.name}` requires authentication, and this tool has none",
            hint="add `authentication:` to this tool, with a Secret of this namespace",
        )


def _models(agent: Resolved[AgentSpec]) -> Iterator[Problem]:
    """Sessions choose a model by its name: two with the same name cannot be told apart."""
    spec = agent.spec
    first = spec.model_config_ref or (spec.model.name if spec.model else None)
    seen = {first}
    for number, name in enumerate(spec.models or []):
        if name in seen:
            yield agent.problem(
                ("spec", "models", number),
                "duplicate-name",
                f"the model `{name}` is already listed",
                hint="remove it: `modelConfig` is always one of them",
            )
        seen.add(name)


def _identity(agent: Resolved[AgentSpec], uses: Uses) -> Iterator[Problem]:
    """Report models that know the pod by its identity in a cloud, for agents that have none there."""
    identity = agent.spec.identity
    if identity is not None and identity.gcp_service_account:
        return
    wanted = (*(retrieval.embedding for _, retrieval in by_meaning(uses)), embedding(uses))
    vectors = (reached(uses, one) for one in wanted)
    if any(asked is not None and has_project(asked) for asked in (*uses.every_model, *vectors)):
        yield agent.problem(
            ("spec",),
            "no-identity",
            "a model is asked through a Google Cloud project, with the pod's identity, and the agent has none",
            hint="set `identity.gcpServiceAccount`, which also opens the network to where the identity comes from",
            severity="warning",
            key=True,
        )


def _origins(agent: Resolved[AgentSpec]) -> Iterator[Problem]:
    """Browsers leave out the port that is the scheme's own, and the runtime compares texts."""
    for number, origin in enumerate(agent.spec.cors_origins):
        scheme, _, rest = origin.partition("://")
        _, colon, port = rest.partition(":")
        usual = {"http": 80, "https": 443}[scheme]
        if colon and (port.startswith("0") or int(port) in (usual, *range(65536, 100000))):
            yield agent.problem(
                ("spec", "corsOrigins", number),
                "bad-url",
                f"no browser sends `{origin}`: it would match nothing",
                hint=f"write `{origin.removesuffix(colon + port)}`"
                if int(port) == usual
                else "use a port from 1 to 65535, without leading zeros",
            )


def tracing(fleet: Fleet, agent: Resolved[Any]) -> Iterator[Problem]:
    """Yield traces that nobody receives, of an agent or a workflow."""
    tracing = agent.spec.observability.tracing
    path: TreePath = ("spec", "observability", "tracing")
    if not tracing.enabled:
        return
    if not collector.endpoint(fleet, tracing):
        yield agent.problem(
            path,
            "no-endpoint",
            "tracing is on but has no `endpoint`"
            if fleet.collector is None
            else "tracing to Langfuse has no `endpoint`, and the collector takes plain OTLP",
            hint="set it, or the environment's `monitoring.otlpEndpoint` or `collector`"
            if fleet.collector is None
            else "set it; or use `provider: otlp`, and give the collector an exporter to Langfuse",
            key=True,
        )
    if tracing.provider == "langfuse":
        missing = [
            name
            for name, value in (
                ("publicKeySecretRef", tracing.public_key_secret_ref),
                ("secretKeySecretRef", tracing.secret_key_secret_ref),
            )
            if value is None
        ]
        if missing:
            yield agent.problem(
                path,
                "no-langfuse-keys",
                f"Langfuse rejects traces without keys: {', '.join(missing)} missing",
                hint="add them under `observability.tracing`, each a Secret's name and key",
                severity="warning",
                key=True,
            )


def _number(agent: Resolved[AgentSpec], use: ToolUse) -> int:
    return next(number for number, item in enumerate(agent.spec.tools) if item is use)
