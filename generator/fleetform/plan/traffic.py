"""Who a workload calls and who may call it, collected from everything that its spec uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import addresses, kinds
from fleetform.contract import STORE_PORTS, VECTOR_STORES
from fleetform.plan.draft import Call, Draft
from fleetform.plan.model import Outside, Party, Ports, Range, Shape, Space
from fleetform.problems import Problem
from fleetform.resolve import memories
from fleetform.resolve.collector import endpoint
from fleetform.resolve.hosts import Address, destination, is_beside, is_deployed, split
from fleetform.resolve.ports import Port, main_port, ports
from fleetform.resolve.references import Uses, is_set, lookup
from fleetform.resolve.searches import mode, reached

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec, ToolUse
    from fleetform.models.tool import Authentication, ToolSpec
    from fleetform.models.workflow import WorkflowSpec
    from fleetform.models.workload import Peer
    from fleetform.resolve import Fleet, Resolved
    from fleetform.resolve.flows import Kept
    from fleetform.tree import TreePath

PUBLIC = "https://provider.example"
"""Stands for the endpoint that a provider has for everybody: a policy knows no names."""


def agent(fleet: Fleet, draft: Draft, uses: Uses, problems: list[Problem]) -> None:
    """Collect an agent's traffic: models, tools, servers, agents, peers, memory."""
    common(fleet, draft, problems)
    problems += _models(fleet, draft, uses)
    problems += _tools(fleet, draft, uses)
    problems += _servers(fleet, draft, uses)
    for use, other in uses.agents:
        _call(draft, other, _place(draft, use))
    for peer in uses.peers:
        _peer(draft, peer)
    problems += _memory(fleet, draft, uses)
    problems += _memories(fleet, draft, uses)
    auth = draft.resolved.spec.auth
    if draft.workload.container is None and auth is not None and auth.oidc is not None:
        place: TreePath = ("spec", "auth", "oidc", "issuer")
        problems += to_url(fleet, draft, draft.resolved, auth.oidc.issuer, place)
    if draft.workload.container is None:
        problems += _webhook(fleet, draft)
        problems += _proxies(fleet, draft)


def step(draft: Draft, agent: Resolved[Any], owner: Resolved[Any], path: TreePath) -> None:
    """Allow the agent of a workflow's step."""
    port = main_port(agent)
    if port is not None:
        draft.calls.append(Call(agent, (("TCP", port.container_port),), owner, path))


def workflow(
    fleet: Fleet, draft: Draft, found: Resolved[WorkflowSpec], kept: Kept | None
) -> Iterator[Problem]:
    """Collect what executing runs calls besides agents: a store, tokens, and a webhook, whose URL nobody knows."""
    if kept is not None:
        section = getattr(kept.spec, kept.spec.type)
        place: TreePath = ("spec", kept.spec.type, "host")
        if section is not None and section.host:
            yield from to_host(fleet, draft, kept.store, section.host, section.port, place)
    spec = found.spec
    for number, item in enumerate(spec.steps):
        place = ("spec", "steps", number, "authentication")
        yield from _token(fleet, draft, found, item.authentication, place)
    if spec.error_handling.on_workflow_failure == "notify":
        place = ("spec", "errorHandling", "notificationChannel")
        yield from to_url(fleet, draft, found, PUBLIC, place)
    yield from _through(fleet, draft, found)
    for number, peer in enumerate(spec.network.allow_to):
        yield from _to_peer(fleet, draft, found, peer, ("spec", "network", "allowTo", number))
    if spec.serve is not None and spec.serve.auth.oidc is not None and draft.ports:
        place = ("spec", "serve", "auth", "oidc", "issuer")
        yield from to_url(fleet, draft, found, spec.serve.auth.oidc.issuer, place)


def documents(fleet: Fleet, draft: Draft, uses: Uses, tool: Resolved[ToolSpec]) -> None:
    """Collect what taking documents in calls: a store and an embedding; what is wrong with them is the agent's to say."""
    for _ in (
        *_vectors(fleet, draft, tool),
        *_embeddings(fleet, draft, uses, tool),
        *_proxies(fleet, draft),
    ):
        pass


def _webhook(fleet: Fleet, draft: Draft) -> Iterator[Problem]:
    """Allow what is told when a run waits for people."""
    approvals = draft.resolved.spec.approvals
    if approvals is not None and approvals.webhook is not None:
        place: TreePath = ("spec", "approvals", "webhook", "url")
        yield from to_url(fleet, draft, draft.resolved, approvals.webhook.url, place)


def _proxies(fleet: Fleet, draft: Draft) -> Iterator[Problem]:
    """Allow the proxies through which the runtime sends its requests."""
    yield from _through(fleet, draft, draft.resolved)


def _through(fleet: Fleet, draft: Draft, owner: Resolved[Any]) -> Iterator[Problem]:
    """Allow the proxies that the variables of a spec name."""
    for number, variable in enumerate(owner.spec.env):
        if variable.name.lower() in ("http_proxy", "https_proxy") and variable.value:
            url = variable.value if "://" in variable.value else f"http://{variable.value}"
            yield from to_url(fleet, draft, owner, url, ("spec", "env", number, "value"))


def _peer(draft: Draft, peer: Resolved[AgentSpec]) -> None:
    """Allow traffic both ways; a side without ports cannot be called, and no ports would mean all of them."""
    path: TreePath = ("spec", "peers")
    theirs = _all_ports(peer)
    own = _all_ports(draft.resolved)
    if theirs:
        draft.calls.append(Call(peer, theirs, draft.resolved, path, named=True))
    if own:
        draft.called_by.append(Call(peer, own, draft.resolved, path, named=True))


def _models(fleet: Fleet, draft: Draft, uses: Uses) -> Iterator[Problem]:
    own = is_set(draft.resolved, ("spec", "model", "endpoint"))
    path: TreePath = ("spec", "model") if own else ("spec", "modelConfig")
    for model in uses.every_model:
        url = model.endpoint or PUBLIC
        yield from to_url(fleet, draft, draft.resolved, url, path)


def _tools(fleet: Fleet, draft: Draft, uses: Uses) -> Iterator[Problem]:
    for _, tool in uses.tools:
        api, remote = tool.spec.api, tool.spec.agent
        if remote is not None:
            owner = tool if tool.namespace else draft.resolved
            yield from to_url(fleet, draft, owner, remote.card, ("spec", "agent", "card"))
            place: TreePath = ("spec", "agent", "authentication")
            yield from _token(fleet, draft, owner, remote.authentication, place)
        if tool.spec.type == "retrieval":
            yield from _vectors(fleet, draft, tool)
            yield from _embeddings(fleet, draft, uses, tool)
        if api is None:
            continue
        # Short hosts in a fleet-wide tool are relative to the agent that uses it.
        owner = tool if tool.namespace else draft.resolved
        url = api.endpoint.replace("{", "").replace("}", "")
        yield from to_url(fleet, draft, owner, url, ("spec", "api", "endpoint"))
        place = ("spec", "api", "authentication")
        yield from _token(fleet, draft, owner, api.authentication, place)


def _vectors(fleet: Fleet, draft: Draft, tool: Resolved[ToolSpec]) -> Iterator[Problem]:
    """Allow the server that has the vectors."""
    store = tool.spec.retrieval.vector_store if tool.spec.retrieval else None
    if store is None or not store.host:
        return
    port = store.port or VECTOR_STORES[store.type]
    if port is not None:
        owner = tool if tool.namespace else draft.resolved
        place: TreePath = ("spec", "retrieval", "vectorStore", "host")
        yield from to_host(fleet, draft, owner, store.host, port, place)


def _embeddings(
    fleet: Fleet, draft: Draft, uses: Uses, tool: Resolved[ToolSpec]
) -> Iterator[Problem]:
    """Allow the model that turns texts into vectors; an agent's own model is allowed already."""
    found = tool.spec.retrieval
    if found is None or found.embedding is None or mode(found) == "keyword":
        return
    at = reached(uses, found.embedding)
    assert at
    if not at.by_model:
        owner = tool if tool.namespace else draft.resolved
        place: TreePath = ("spec", "retrieval", "embedding", "endpoint")
        yield from to_url(fleet, draft, owner, at.endpoint or PUBLIC, place)
    elif draft.shape is Shape.JOB:
        yield from to_url(fleet, draft, draft.resolved, at.endpoint or PUBLIC, ("spec", "model"))


def _servers(fleet: Fleet, draft: Draft, uses: Uses) -> Iterator[Problem]:
    path: TreePath
    for used, other in uses.servers:
        if other.spec.url:
            yield from to_url(fleet, draft, other, other.spec.url, ("spec", "url"))
        elif is_beside(other):
            for number, peer in enumerate(other.spec.network.allow_to):
                path = ("spec", "network", "allowTo", number)
                yield from _to_peer(fleet, draft, other, peer, path)
        else:
            _call(draft, other, _place(draft, used))
    for number, use in enumerate(draft.resolved.spec.tools):
        if use.endpoint:
            path = ("spec", "tools", number, "endpoint")
            yield from to_url(fleet, draft, draft.resolved, use.endpoint, path)
        place = ("spec", "tools", number, "authentication")
        yield from _token(fleet, draft, draft.resolved, use.authentication, place)


def _token(
    fleet: Fleet, draft: Draft, owner: Resolved[Any], auth: Authentication | None, path: TreePath
) -> Iterator[Problem]:
    """Allow the server that issues OAuth tokens."""
    if auth is not None and auth.oauth2 is not None:
        url = auth.oauth2.token_url
        yield from to_url(fleet, draft, owner, url, (*path, "oauth2", "tokenUrl"))


def _place(draft: Draft, use: ToolUse) -> TreePath:
    """Return where a spec names a tool."""
    tools = draft.resolved.spec.tools
    return (
        "spec",
        "tools",
        next(number for number, item in enumerate(tools) if item.name == use.name),
    )


def _call(draft: Draft, other: Resolved[Any], path: TreePath) -> None:
    port = main_port(other)
    if port is not None:
        ports = (("TCP", port.container_port),)
        draft.calls.append(Call(other, ports, draft.resolved, path))


def _all_ports(workload: Resolved[Any]) -> Ports:
    return tuple(sorted((port.protocol, port.container_port) for port in ports(workload)))


def _memory(fleet: Fleet, draft: Draft, uses: Uses) -> Iterator[Problem]:
    memory = uses.memory
    if memory is None or memory.type not in STORE_PORTS:
        return
    endpoint = getattr(memory, memory.type)
    if endpoint is not None and endpoint.host:
        owner = uses.store or draft.resolved
        path: TreePath = ("spec", memory.type, "host") if uses.store else ("spec", "memory")
        yield from to_host(fleet, draft, owner, endpoint.host, endpoint.port, path)


def _memories(fleet: Fleet, draft: Draft, uses: Uses) -> Iterator[Problem]:
    """Allow the model by whose vectors memories are compared; an agent's own model is allowed already."""
    wanted = memories.embedding(uses)
    if wanted is None or draft.workload.container is not None:
        return
    at = reached(uses, wanted)
    if at is not None and not at.by_model:
        owner, path = memories.place(draft.resolved, uses, "embedding", "endpoint")
        yield from to_url(fleet, draft, owner, at.endpoint or PUBLIC, path)


def common(fleet: Fleet, draft: Draft, problems: list[Problem]) -> None:
    """Collect what every workload has: traffic among its own instances, traces, and what its spec adds explicitly."""
    resolved, spec = draft.resolved, draft.workload
    if spec.stateful and draft.ports:  # named instances talk to each other
        draft.calls.append(Call(resolved, _all_ports(resolved), resolved, ("spec", "stateful")))
    tracing = spec.observability.tracing
    if tracing.enabled:
        url = endpoint(fleet, tracing) or ""
        place: TreePath = ("spec", "observability", "tracing", "endpoint")
        problems += to_url(fleet, draft, resolved, url, place)
    for number, peer in enumerate(spec.network.allow_to):
        place = ("spec", "network", "allowTo", number)
        problems += _to_peer(fleet, draft, resolved, peer, place)
    for number, peer in enumerate(spec.network.allow_from):
        place = ("spec", "network", "allowFrom", number)
        problems += _from_peer(fleet, draft, peer, place)


# -- where a host leads --------------------------------------------------------------------------


def to_url(
    fleet: Fleet, draft: Draft, owner: Resolved[Any], url: str, path: TreePath
) -> Iterator[Problem]:
    """Allow what a URL in a spec refers to."""
    host, port = split(url)
    if host and port:
        yield from to_host(fleet, draft, owner, host, port, path)


def to_host(
    fleet: Fleet, draft: Draft, owner: Resolved[Any], host: str, port: int, path: TreePath
) -> Iterator[Problem]:
    """Allow a host and the port of its URL."""
    found = destination(fleet, owner.namespace, host, port)
    if found.workload is not None:
        yield from _to_workload(draft, owner, found.workload, port, path)
    elif found.namespace:
        draft.reach(Address(found.service, found.namespace), (("TCP", port),), owner, path)
    elif addresses.is_self(host):
        yield from _to_itself(draft, owner, port, path)
    elif not addresses.closed_host(host):
        # What is closed is refused by rules/urls, but for the servers that an identity needs, which it opens itself.
        draft.reach(_party(host), (("TCP", port),), owner, path)


def _to_itself(draft: Draft, owner: Resolved[Any], port: int, path: TreePath) -> Iterator[Problem]:
    """Yield a port of the pod itself on which nothing is known to listen."""
    template = draft.workload.pod_template
    stay = [item for item in template.init_containers if item.restart_policy == "Always"]
    beside = [*template.sidecars, *stay]
    listens = {item.container_port for container in beside for item in container.ports}
    listens |= {item.container_port for item in draft.ports}
    if port in listens or any(not container.ports for container in beside):
        return
    yield owner.problem(
        path,
        "nobody-listens",
        f"this is the pod itself, where nothing listens on port {port}",
        hint=f"add a container with that port to `podTemplate.sidecars`, or name a Service: http://name.namespace.svc:{port}",
        severity="warning",
    )


def _party(host: str) -> Party:
    found = addresses.address(host)
    return Outside(host) if found is None else Range(f"{found}/{found.max_prefixlen}")


def _to_workload(
    draft: Draft, owner: Resolved[Any], workload: Resolved[Any], port: int, path: TreePath
) -> Iterator[Problem]:
    known = [item for item in ports(workload) if item.protocol == "TCP"]
    for item in known:
        if item.service_port == port:
            reached = (("TCP", item.container_port),)
            draft.calls.append(Call(workload, reached, owner, path, named=path[1] == "network"))
            return
    names = ", ".join(f"{item.service_port} ({item.name})" for item in known) or "none"
    yield owner.problem(
        path,
        "unknown-port",
        f"{workload.kind} `{workload.name}` has no port {port}",
        hint=f"its ports: {names}",
    )


# -- what a spec adds explicitly ----------------------------------------------------------------


def _to_peer(
    fleet: Fleet, draft: Draft, owner: Resolved[Any], peer: Peer, path: TreePath
) -> Iterator[Problem]:
    """Allow a destination listed in `network.allowTo` of a workload, or of a server beside it."""
    if peer.host and not (peer.agent or peer.namespace or peer.cidr):
        for port in peer.ports or [443]:
            yield from to_host(fleet, draft, owner, peer.host, port, path)
        return
    said: list[Problem] = []
    found = _named(fleet, owner, peer, path, said)
    yield from said
    if isinstance(found, Space | Range):
        numbers = tuple(("TCP", port) for port in peer.ports or (443,))
        draft.reach(found, numbers, owner, path)
    elif found is not None and (numbers := _numbers(peer, main_port(found))):
        draft.calls.append(Call(found, numbers, owner, path, named=True))
    elif found is not None:
        yield _portless(owner, path, f"{found.kind} `{found.name}`")


def _from_peer(fleet: Fleet, draft: Draft, peer: Peer, path: TreePath) -> Iterator[Problem]:
    """Allow a caller listed in `network.allowFrom`."""
    if peer.host:
        yield draft.resolved.problem(
            (*path, "host"),
            "contradiction",
            "a caller cannot be identified by its host",
            hint="use its agent, namespace or cidr",
            key=True,
        )
        return
    said: list[Problem] = []
    found = _named(fleet, draft.resolved, peer, path, said)
    yield from said
    numbers = _numbers(peer, draft.main_port)
    if found is not None and not numbers:
        yield _portless(draft.resolved, path, "the container")
    elif isinstance(found, Space | Range):
        draft.admit(found, numbers, path)
    elif found is not None:
        draft.called_by.append(Call(found, numbers, draft.resolved, path, named=True))


def _numbers(peer: Peer, main: Port | None) -> tuple[tuple[str, int], ...]:
    """Return the ports that a peer opens, by default the main one; a policy without any would open them all."""
    given = peer.ports or ([main.container_port] if main else [])
    return tuple(("TCP", port) for port in given)


def _portless(owner: Resolved[Any], path: TreePath, what: str) -> Problem:
    return owner.problem(
        path,
        "no-port",
        f"{what} has no ports: all of them would be open",
        hint="name the peer's `ports`, or the container's",
    )


def _named(
    fleet: Fleet, owner: Resolved[Any], peer: Peer, path: TreePath, said: list[Problem]
) -> Resolved[Any] | Space | Range | None:
    """Return whom a peer names, None if it names nothing."""
    named = [name for name in ("agent", "namespace", "host", "cidr") if getattr(peer, name)]
    if len(named) != 1:
        words = " and ".join(f"`{name}`" for name in named) or "none of them"
        said.append(
            owner.problem(
                path,
                "bad-peer",
                f"the peer sets {words}",
                hint="set exactly one of agent, namespace, host or cidr",
                key=True,
            )
        )
        return None
    if peer.agent:
        place: TreePath = (*path, "agent")
        found = lookup(fleet, owner, place, kinds.CALLABLE, peer.agent, said)
        if found is None or is_deployed(found):
            return found
        said.append(
            owner.problem(
                place,
                "bad-peer",
                f"{found.kind} `{found.name}` does not run in this fleet",
                hint="use its `host`",
            )
        )
        return None
    if peer.namespace:
        known = peer.namespace in fleet.spaces
        return Space(fleet.target_namespace(peer.namespace) if known else peer.namespace)
    wrong = [*_range(owner, path, peer.cidr or "")]
    said += wrong
    return None if wrong else Range(peer.cidr or "")


def _range(owner: Resolved[Any], path: TreePath, cidr: str) -> Iterator[Problem]:
    from ipaddress import ip_network  # noqa: PLC0415 - few specs name a range

    try:
        ip_network(cidr)
    except ValueError as error:
        yield owner.problem(
            (*path, "cidr"),
            "bad-cidr",
            f"`{cidr}` is not an address range: {error}",
            hint="write it as 10.20.0.0/16",
        )
