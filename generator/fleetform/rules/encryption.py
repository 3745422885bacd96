"""Connections out of the cluster that carry a secret in the open: plain http, and stores without TLS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.contract import STORE_PORTS
from fleetform.lazy import regex
from fleetform.problems import Problem
from fleetform.records import NamedTuple
from fleetform.resolve import Fleet, memories
from fleetform.resolve.collector import PLACE
from fleetform.resolve.hosts import destination, split
from fleetform.resolve.searches import mode, reached
from fleetform.resolve.switches import keda_is_on, tls_is_on
from fleetform.rules.pods import extras, placed, workloads
from fleetform.tree import TreePath, at, problem_at

if TYPE_CHECKING:
    from fleetform.models.memory_store import Embedding, StoreTls
    from fleetform.models.tool import Authentication
    from fleetform.resolve import Resolved
    from fleetform.resolve.references import Uses
    from fleetform.rules import AgentUses
    from fleetform.tree import Map

GRANT: TreePath = ("spec", "network", "unencrypted")
"""Where an environment names the hosts that are reached without encryption all the same."""
_KEY, _TOKEN, _PASSWORD = "an API key", "a credential", "a password"
_KEYS = "the question which keys callers are known by"


class Sent(NamedTuple):
    """Something secret on its way: the document and the place that say where it goes, and what it is."""

    tree: Map
    path: TreePath
    namespace: str
    host: str
    what: str


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield every secret that leaves the cluster unencrypted, to a host that the environment does not name."""
    granted, used = fleet.environment.network.unencrypted, set()
    for sent in _all(fleet, uses):
        host = sent.host.rstrip(".").lower()
        if not host or not is_outside(fleet, sent.namespace, host):
            continue
        used.add(host)
        if host not in granted:
            yield problem_at(
                sent.tree,
                sent.path,
                "unencrypted",
                f"{sent.what} would go to `{host[:80]}`, outside of the cluster, without encryption",
                hint="use TLS; where the way there is safe, the environment can name the host in `network.unencrypted`",
            )
    for number, host in enumerate(granted):
        if host not in used and at(fleet.environment_own, (*GRANT, number)) is not None:
            yield problem_at(
                fleet.environment_tree,
                (*GRANT, number),
                "idle-key",
                f"no credential goes to `{host[:80]}` without encryption",
                hint="remove it: what is not needed is not granted",
                severity="warning",
            )


def is_outside(fleet: Fleet, namespace: str, host: str) -> bool:
    """Tell whether a host is neither the pod itself nor a Service of the cluster."""
    from fleetform.addresses import is_self  # noqa: PLC0415 - few specs have a bare URL

    found = destination(fleet, namespace, host, 0)
    return not (found.service or is_self(host))


def _all(fleet: Fleet, uses: AgentUses) -> Iterator[Sent]:
    for agent in fleet.of(kinds.AGENT):
        found = uses[agent.key]
        if agent.spec.container is None:
            yield from _models(fleet, agent, found)
            yield from _memory(fleet, agent, found)
            yield from _callers(agent)
        for number, use in enumerate(agent.spec.tools):
            path: TreePath = ("spec", "tools", number)
            yield from _authenticated(
                agent,
                (*path, "endpoint"),
                use.endpoint,
                (*path, "authentication"),
                use.authentication,
            )
    if fleet.page is not None:
        for sent in _callers(fleet.page):
            yield sent._replace(tree=fleet.environment_tree, path=fleet.page.said_at(sent.path))
    for tool in fleet.of(kinds.TOOL):
        yield from _tool(tool)
    for server in fleet.of(kinds.MCP_SERVER):
        way: TreePath = ("spec", "authentication")
        yield from _authenticated(
            server, ("spec", "url"), server.spec.url, way, server.spec.authentication
        )
    for workflow in fleet.of(kinds.WORKFLOW):
        yield from _workflow(workflow)
    for store in fleet.of(kinds.MEMORY_STORE):
        yield from _store(store, ("spec",), store.spec)
    yield from _workloads(fleet)
    yield from _variables(fleet)
    yield from _environment(fleet)


def _bare(
    owner: Resolved[Any], path: TreePath, url: str | None, what: str, tree: Map | None = None
) -> Iterator[Sent]:
    """Yield what is sent to a URL, if that is one of plain http."""
    if url and url.lower().startswith("http://"):
        yield Sent(owner.tree if tree is None else tree, path, owner.namespace, split(url)[0], what)


def _open(
    owner: Resolved[Any], path: TreePath, host: str | None, tls: StoreTls | None, what: str
) -> Iterator[Sent]:
    """Yield what is sent to a store, if it is reached without TLS."""
    if host and not (tls is not None and tls_is_on(tls)):
        yield Sent(owner.tree, path, owner.namespace, host, what)


# -- models --------------------------------------------------------------------------------------


def _models(fleet: Fleet, agent: Resolved[Any], uses: Uses) -> Iterator[Sent]:
    """Yield the keys of an agent's models, and of those that turn its texts into vectors."""
    named = [(agent.spec.model_config_ref or "", uses.model), *uses.named_models]
    named += [(uses.summariser[0] or "", uses.summariser[1])] if uses.summariser else []
    for name, model in named:
        if model is not None and model.api_key_secret_ref is not None:
            tree, path = _said(fleet, agent, name, model)
            yield from _bare(agent, path, model.endpoint, _KEY, tree)
    for _, tool in uses.tools:
        search = tool.spec.retrieval
        if search is not None and mode(search) != "keyword":
            root: TreePath = ("spec", "retrieval", "embedding")
            yield from _embedding(tool, (*root, "endpoint"), search.embedding, uses)
    owner, path = memories.place(agent, uses, "embedding", "endpoint")
    yield from _embedding(owner, path, memories.embedding(uses), uses)


def _said(fleet: Fleet, agent: Resolved[Any], name: str, model: Any) -> tuple[Map, TreePath]:
    """Return where the endpoint of a model is set: by the agent, by its ModelConfig, or by the environment."""
    space, slash, short = name.rpartition("/")
    config = fleet.find(kinds.MODEL_CONFIG, space if slash else agent.namespace, short)
    places: list[tuple[Map, TreePath]] = [(agent.tree, ("spec", "model", "endpoint"))]
    if config is not None:
        places.append((config.tree, ("spec", "endpoint")))
    places.append((fleet.environment_tree, ("spec", "providers", model.provider, "endpoint")))
    return next((place for place in places if at(*place) == model.endpoint), places[0])


def _embedding(
    owner: Resolved[Any], path: TreePath, wanted: Embedding | None, uses: Uses
) -> Iterator[Sent]:
    found = reached(uses, wanted)
    if found is not None and found.secret is not None and not (found.by_model and uses.model):
        yield from _bare(owner, path, found.endpoint, _KEY)


# -- tools, stores and callers -------------------------------------------------------------------


def _tool(tool: Resolved[Any]) -> Iterator[Sent]:
    api, search, remote = tool.spec.api, tool.spec.retrieval, tool.spec.agent
    root: TreePath
    if api is not None:
        root = ("spec", "api")
        yield from _authenticated(
            tool, (*root, "endpoint"), api.endpoint, (*root, "authentication"), api.authentication
        )
    if remote is not None:
        root = ("spec", "agent")
        yield from _authenticated(
            tool, (*root, "card"), remote.card, (*root, "authentication"), remote.authentication
        )
    if search is not None and search.vector_store.secret_ref is not None:
        store = search.vector_store
        place: TreePath = ("spec", "retrieval", "vectorStore", "host")
        yield from _open(tool, place, store.host, store.tls, _PASSWORD)


def _authenticated(
    owner: Resolved[Any],
    path: TreePath,
    url: str | None,
    way: TreePath,
    auth: Authentication | None,
) -> Iterator[Sent]:
    """Yield what a call authenticates with, and what its token is bought with."""
    if auth is None or auth.type == "none":
        return
    yield from _bare(owner, path, url, _TOKEN)
    if auth.oauth2 is not None:
        yield from _bare(owner, (*way, "oauth2", "tokenUrl"), auth.oauth2.token_url, _TOKEN)


def _memory(fleet: Fleet, agent: Resolved[Any], uses: Uses) -> Iterator[Sent]:
    """Yield the password of an agent's own store; a MemoryStore speaks for itself."""
    del fleet
    if uses.store is None and uses.memory is not None:
        yield from _store(agent, ("spec", "memory"), uses.memory)


def _store(owner: Resolved[Any], root: TreePath, spec: Any) -> Iterator[Sent]:
    server = getattr(spec, spec.type, None) if spec.type in STORE_PORTS else None
    if server is None:
        return
    password = server.auth.secret_ref if spec.type == "redis" else server.password_secret_ref
    if password is not None:
        yield from _open(owner, (*root, spec.type, "host"), server.host, server.tls, _PASSWORD)


def _callers(agent: Resolved[Any]) -> Iterator[Sent]:
    """Yield what tells an agent who calls it, and whom it tells what it is about to do."""
    spec = agent.spec
    if spec.auth is not None and spec.auth.oidc is not None:
        place: TreePath = ("spec", "auth", "oidc", "issuer")
        yield from _bare(agent, place, spec.auth.oidc.issuer, _KEYS)
    if spec.approvals is not None and spec.approvals.webhook is not None:
        place = ("spec", "approvals", "webhook", "url")
        what = "what the agent is about to do"
        yield from _bare(agent, place, spec.approvals.webhook.url, what)


def _workflow(workflow: Resolved[Any]) -> Iterator[Sent]:
    serve = workflow.spec.serve
    if serve is not None and serve.auth.oidc is not None:
        place: TreePath = ("spec", "serve", "auth", "oidc", "issuer")
        yield from _bare(workflow, place, serve.auth.oidc.issuer, _KEYS)
    for number, step in enumerate(workflow.spec.steps):
        way: TreePath = ("spec", "steps", number, "authentication")
        yield from _authenticated(workflow, way, None, way, step.authentication)


# -- what others send ----------------------------------------------------------------------------


def _workloads(fleet: Fleet) -> Iterator[Sent]:
    """Yield the keys of Langfuse, and what KEDA's operator signs in with."""
    traced: list[Resolved[Any]] = [*fleet.of(kinds.AGENT), *fleet.of(kinds.WORKFLOW)]
    for resolved in traced:
        tracing = resolved.spec.observability.tracing
        if tracing.enabled and tracing.provider == "langfuse":
            place: TreePath = ("spec", "observability", "tracing", "endpoint")
            shared = fleet.environment.monitoring.otlp_endpoint
            if tracing.endpoint:
                yield from _bare(resolved, place, tracing.endpoint, _KEY)
            else:
                place = ("spec", "monitoring", "otlpEndpoint")
                yield from _bare(resolved, place, shared, _KEY, fleet.environment_tree)
    for resolved, spec, root in workloads(fleet):
        scaling = getattr(spec, "scaling", None)
        if scaling is None or not keda_is_on(scaling):
            continue
        for number, trigger in enumerate(scaling.keda.triggers):
            path: TreePath = (*root, "scaling", "keda", "triggers", number, "metadata")
            for name, value in trigger.metadata.items() if trigger.authentication else ():
                yield from _bare(resolved, (*path, name), value, _TOKEN)


def _variables(fleet: Fleet) -> Iterator[Sent]:
    """Yield what images of others read of a Secret, and where they send it, as far as names of variables tell.

    `CRM_URL` and `CRM_API_KEY` are of one subject.
    """
    for resolved, spec, root in placed(fleet):
        own = resolved.kind != "Agent" or spec.container is not None
        more = extras(spec, root) if resolved.kind in kinds.WORKLOADS else ()
        for path, container in [*([(root, spec)] if own else []), *more]:
            secret = {
                _subject(item.name)
                for item in container.env
                if item.value_from is not None and item.value_from.secret_key_ref is not None
            }
            for number, item in enumerate(container.env):
                url = item.value or ""
                if url.lower().startswith(_OPEN) and _subject(item.name) in secret:
                    host = split(url)[0]
                    place = (*path, "env", number, "value")
                    if "$" not in host:
                        yield Sent(resolved.tree, place, resolved.namespace, host, _TOKEN)


_OPEN = ("http://", "ws://", "redis://", "amqp://", "mqtt://", "ldap://", "ftp://")
"""Schemes that have an encrypted twin."""
_WORD = regex(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_OF_ANY = frozenset(
    {
        "access", "addr", "address", "api", "auth", "authorization", "base", "bearer", "client", "credential",
        "credentials", "dsn", "endpoint", "host", "http", "id", "key", "origin", "pass", "passwd", "password", "pwd",
        "root", "secret", "server", "service", "token", "uri", "url", "user", "username", "v",
    }
)  # fmt: skip
"""Words of a variable that say what it is, and not of what."""


def _subject(name: str) -> tuple[str, ...]:
    """Return what a variable is about: its words without those at the end that only say what it holds."""
    words = [word.lower() for word in _WORD.findall(name)]
    while words and (words[-1] in _OF_ANY or words[-1].isdigit()):
        words.pop()
    return tuple(words)


def _environment(fleet: Fleet) -> Iterator[Sent]:
    """Yield what controllers sign in with, where the environment tells them."""
    environment, tree = fleet.environment, fleet.environment_tree
    store, source = environment.secrets.store, environment.gitops.source
    places: list[tuple[TreePath, str, str]] = []
    if store is not None and store.vault is not None and environment.secrets.provider == "vault":
        path: TreePath = ("spec", "secrets", "store", "vault", "server")
        places.append((path, store.vault.server, "every secret of the fleet"))
    if source.url and source.secret:
        places.append((("spec", "gitops", "source", "url"), source.url, _TOKEN))
    for path, url, what in places:
        host = split(url)[0]
        if url.lower().startswith("http://") and "." in host:
            yield Sent(tree, path, "", host, what)
    collector = environment.monitoring.collector
    for number, exporter in enumerate(collector.exporters if collector else ()):
        if fleet.collector is not None and exporter.secret_headers:
            path = (*PLACE, "exporters", number, "endpoint")
            yield from _bare(fleet.collector, path, exporter.endpoint, _KEY, tree)
