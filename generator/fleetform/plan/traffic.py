"""Who a workload talks to and who may call it, gathered from everything that its spec uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform.plan import network
from fleetform.plan.draft import Draft
from fleetform.problems import Problem
from fleetform.resolve.ports import http_port, ports
from fleetform.resolve.references import Uses, is_set

if TYPE_CHECKING:
    from fleetform.models.tool import Authentication
    from fleetform.resolve import Fleet, Resolved
    from fleetform.tree import Path


def agent(fleet: Fleet, draft: Draft, uses: Uses, problems: list[Problem]) -> None:
    """Gather an agent's traffic: models, tools, servers, agents, peers, memory."""
    common(fleet, draft, problems)
    _models(fleet, draft, uses, problems)
    _tools(fleet, draft, uses, problems)
    _servers(fleet, draft, uses, problems)
    for _, other in uses.agents:
        _call_http(fleet, draft, other)
    for peer in uses.peers:
        _peer(fleet, draft, peer)
    _memory(fleet, draft, uses, problems)
    auth = draft.resolved.spec.auth
    if draft.workload.container is None and auth is not None and auth.oidc is not None:
        place: Path = ("spec", "auth", "oidc", "issuer")
        problems += network.to_url(fleet, draft.resolved, auth.oidc.issuer, place, draft.traffic)


def _peer(fleet: Fleet, draft: Draft, peer: Resolved) -> None:
    """Allow both ways; a side without ports cannot be called, and no ports would mean all of them."""
    theirs = _all_ports(peer)
    own = _all_ports(draft.resolved)
    if theirs:
        draft.traffic.call(fleet, peer, theirs)
    if own:
        draft.callers.call(fleet, peer, own)


def _models(fleet: Fleet, draft: Draft, uses: Uses, problems: list[Problem]) -> None:
    own = is_set(draft.resolved, ("spec", "model", "endpoint"))
    path: Path = ("spec", "model") if own else ("spec", "modelConfig")
    for _, model in (("", uses.model), *uses.models, *uses.fallbacks):
        if model is not None:
            url = model.endpoint or "https://provider.example"
            problems += network.to_url(fleet, draft.resolved, url, path, draft.traffic)


def _tools(fleet: Fleet, draft: Draft, uses: Uses, problems: list[Problem]) -> None:
    for _, tool in uses.tools:
        api = tool.spec.api
        if api is None:
            continue
        # A fleet-wide tool's short hosts are relative to the agent that uses it.
        owner = tool if tool.namespace else draft.resolved
        url = api.endpoint.replace("{", "").replace("}", "")
        problems += network.to_url(fleet, owner, url, ("spec", "api", "endpoint"), draft.traffic)
        place: Path = ("spec", "api", "authentication")
        problems += _token(fleet, draft, owner, api.authentication, place)


def _servers(fleet: Fleet, draft: Draft, uses: Uses, problems: list[Problem]) -> None:
    for _, other in uses.servers:
        if other.spec.url:
            problems += network.to_url(fleet, other, other.spec.url, ("spec", "url"), draft.traffic)
        else:
            _call_http(fleet, draft, other)
    for number, use in enumerate(draft.resolved.spec.tools):
        if use.endpoint:
            path: Path = ("spec", "tools", number, "endpoint")
            problems += network.to_url(fleet, draft.resolved, use.endpoint, path, draft.traffic)
        place = ("spec", "tools", number, "authentication")
        problems += _token(fleet, draft, draft.resolved, use.authentication, place)


def _token(
    fleet: Fleet, draft: Draft, owner: Resolved, auth: Authentication | None, path: Path
) -> Iterator[Problem]:
    """Allow the server that gives out the tokens of a sign-in."""
    if auth is not None and auth.oauth2 is not None:
        url = auth.oauth2.token_url
        yield from network.to_url(fleet, owner, url, (*path, "oauth2", "tokenUrl"), draft.traffic)


def _call_http(fleet: Fleet, draft: Draft, other: Resolved) -> None:
    port = http_port(other)
    if port is not None:
        draft.traffic.call(fleet, other, (("TCP", port.container_port),))


def _all_ports(workload: Resolved) -> network.Ports:
    return tuple(sorted((port.protocol, port.container_port) for port in ports(workload)))


def _memory(fleet: Fleet, draft: Draft, uses: Uses, problems: list[Problem]) -> None:
    memory = uses.memory
    if memory is None or memory.type not in ("redis", "postgres"):
        return
    endpoint = getattr(memory, memory.type)
    if endpoint is not None and endpoint.host:
        owner = uses.store or draft.resolved
        path: Path = ("spec", memory.type, "host") if uses.store else ("spec", "memory")
        problems += network.to_host(fleet, owner, endpoint.host, endpoint.port, path, draft.traffic)


def common(fleet: Fleet, draft: Draft, problems: list[Problem]) -> None:
    """Gather what every workload has: names, identity, the Kubernetes API, traces, and what is extra."""
    resolved, spec, traffic = draft.resolved, draft.workload, draft.traffic
    network.dns(fleet, traffic)
    if spec.stateful and draft.ports:  # replicas that have names talk to each other
        traffic.call(fleet, resolved, _all_ports(resolved))
    network.platform(fleet, spec.identity, traffic)
    if spec.rbac is not None and spec.rbac.rules:
        network.api_server(fleet, traffic)
    tracing = spec.observability.tracing
    if tracing.enabled:
        url = tracing.endpoint or fleet.environment.monitoring.otlp_endpoint or ""
        place: Path = ("spec", "observability", "tracing", "endpoint")
        problems += network.to_url(fleet, resolved, url, place, traffic)
    for number, peer in enumerate(spec.network.allow_to):
        place = ("spec", "network", "allowTo", number)
        problems += network.to_peer(fleet, resolved, peer, place, traffic)
    _callers(fleet, draft, problems)


def _callers(fleet: Fleet, draft: Draft, problems: list[Problem]) -> None:
    spec, environment = draft.workload, fleet.environment
    scraped = draft.metrics_port(fleet)
    if scraped is not None:
        prometheus = network.everything_in(environment.network.prometheus_namespace)
        draft.callers.allow(prometheus, (("TCP", scraped.container_port),))
    gateway = environment.expose.gateway
    space = environment.network.gateway_namespace or (gateway.namespace if gateway else "")
    exposed = draft.exposed_port()
    if spec.expose is not None and exposed is not None and space:
        draft.callers.allow(network.everything_in(space), (("TCP", exposed.container_port),))
    if spec.expose is not None and exposed is not None:
        for cidr in environment.network.gateway_ranges:
            draft.callers.allow({"ipBlock": {"cidr": cidr}}, (("TCP", exposed.container_port),))
    main = draft.main_port()
    default = (("TCP", main.container_port),) if main else ()
    for number, peer in enumerate(spec.network.allow_from):
        place: Path = ("spec", "network", "allowFrom", number)
        problems += network.from_peer(fleet, draft.resolved, peer, place, draft.callers, default)
