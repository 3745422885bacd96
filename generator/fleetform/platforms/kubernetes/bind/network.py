"""NetworkPolicies: the traffic of a plan as peers and pod ports, and what the cluster itself needs."""

from __future__ import annotations

from collections import defaultdict
from functools import cache, partial
from ipaddress import IPv4Network, ip_network
from typing import TYPE_CHECKING, Any

from fleetform import addresses
from fleetform.plan.collector import COMPONENT
from fleetform.plan.model import Outside, Plan, Ports, Range, Space, Traffic, Workload
from fleetform.platforms.kubernetes.clusters import CLUSTERS
from fleetform.platforms.kubernetes.model import (
    SANDBOX_PORT,
    NetworkRule,
    sandbox_selector,
    selector,
)
from fleetform.resolve.hosts import Address, identity_addresses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleetform.models.service import Service
    from fleetform.problems import Problem
    from fleetform.resolve import Fleet
    from fleetform.resolve.catalog import Key

NODE_LOCAL_DNS = "169.254.20.10/32"
EVERYWHERE = {"IPv4": "0.0.0.0/0", "IPv6": "::/0"}


Pair = tuple[str, Ports]
"""A peer as text, which orders peers, and ports."""


class Known:
    """What was made for one workload of a fleet before: most others have the same."""

    def __init__(self) -> None:
        self.rules: dict[tuple[Pair, ...], tuple[NetworkRule, ...]] = {}
        self._texts: dict[int, tuple[dict[str, Any], str]] = {}

    def text(self, peer: dict[str, Any]) -> str:
        """Return a peer as text; peers are held, so that no other one gets the id of one."""
        known = self._texts.get(id(peer))
        if known is None:
            known = self._texts[id(peer)] = peer, repr(sorted(peer.items()))
        return known[1]


class Rules:
    """One direction of a policy being built: (peers, ports) pairs without duplicates."""

    def __init__(self, known: Known) -> None:
        self.found: dict[Pair, dict[str, Any]] = {}
        self._known = known

    def allow(self, peer: dict[str, Any], ports: Ports) -> None:
        """Add one peer and its ports; no ports means all of them."""
        self.found.setdefault((self._known.text(peer), ports), peer)

    def grouped(self) -> tuple[NetworkRule, ...]:
        """Return one rule per set of ports, sorted by ports, its peers in a stable order."""
        pairs, known = tuple(self.found), self._known.rules
        if pairs not in known:
            known[pairs] = self._grouped()
        return known[pairs]

    def _grouped(self) -> tuple[NetworkRule, ...]:
        by_ports: dict[Ports, list[tuple[str, dict[str, Any]]]] = {}
        for (text, numbers), peer in self.found.items():
            by_ports.setdefault(numbers, []).append((text, peer))
        return tuple(
            NetworkRule(tuple(peer for _, peer in sorted(peers, key=lambda item: item[0])), numbers)
            for numbers, peers in sorted(by_ports.items())
        )


class Policy:
    """Both directions of a workload's policy, and the workloads that it calls."""

    def __init__(self, known: Known) -> None:
        self.ingress = Rules(known)
        self.egress = Rules(known)
        self.callees: set[tuple[str, str]] = set()


def policies(fleet: Fleet, plan: Plan, problems: list[Problem]) -> dict[Key, Policy]:
    """Return the policies of all workloads: each egress within the fleet is an ingress on the other side."""
    found: dict[Key, Policy] = defaultdict(partial(Policy, Known()))
    for workload in plan.workloads:
        own = found[workload.key]
        _cluster(fleet, workload, own)
        for traffic in workload.reaches:
            _reach(fleet, workload, traffic, own.egress, problems)
        for traffic in workload.admits:
            _admit(traffic, own.ingress)
    names = {workload.key: (workload.namespace, workload.name) for workload in plan.workloads}
    # An agent answers without anybody taking its traces: what is rolled out does not wait for the collector.
    unawaited = {item.key for item in plan.workloads if item.component == COMPONENT}
    for caller, callee, ports in plan.links:
        if caller not in names or callee not in names:
            continue
        found[caller].egress.allow(pods(*names[callee]), ports)
        if callee not in unawaited:
            found[caller].callees.add(names[callee])
        found[callee].ingress.allow(pods(*names[caller]), ports)
    return found


def pods(namespace: str, name: str) -> dict[str, Any]:
    """Return the peer that is one workload of a namespace."""
    return {
        "namespaceSelector": _namespace(namespace),
        "podSelector": {"matchLabels": selector(name)},
    }


@cache
def everything_in(namespace: str) -> dict[str, Any]:
    """Return the peer that is every pod of a namespace."""
    return {"namespaceSelector": _namespace(namespace)}


def _namespace(name: str) -> dict[str, Any]:
    return {"matchLabels": {"kubernetes.io/metadata.name": name}}


@cache
def _pods_of(namespace: str, labels: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Return the peer that is the pods of a namespace which have some labels."""
    return {
        "namespaceSelector": _namespace(namespace),
        "podSelector": {"matchLabels": dict(labels)},
    }


def dns(fleet: Fleet, egress: Rules) -> None:
    """Allow name resolution, without which nothing else works."""
    network, cluster = fleet.environment.network, CLUSTERS[fleet.environment.platform]
    port = network.dns_port or cluster.dns_port
    labels = network.dns_labels or cluster.dns_labels
    peer = _pods_of(network.dns_namespace or cluster.dns_namespace, tuple(labels.items()))
    egress.allow(peer, (("TCP", port), ("UDP", port)))
    if network.node_local_dns:
        egress.allow({"ipBlock": {"cidr": NODE_LOCAL_DNS}}, (("TCP", 53), ("UDP", 53)))


def outside(fleet: Fleet) -> tuple[dict[str, Any], ...]:
    """Return the peers that are the internet, one per IP family, without private and metadata ranges."""
    network = fleet.environment.network
    private = private_ranges(tuple(network.private_ranges))
    return tuple(_block(EVERYWHERE[family], private) for family in network.ip_families)


@cache
def private_ranges(texts: tuple[str, ...]) -> tuple[addresses.Network, ...]:
    """Return an environment's private ranges; a family of which it names none keeps its defaults.

    In IPv6 the ways to private IPv4 addresses are private as well.
    """
    given = [*addresses.networks(texts)]
    for version, defaults in ((4, addresses.PRIVATE), (6, addresses.PRIVATE_V6)):
        if not any(part.version == version for part in given):
            given += addresses.networks(defaults)
    through = (addresses.through_nat64(part) for part in given if isinstance(part, IPv4Network))
    return (*given, *through)


@cache
def _block(cidr: str, private: tuple[addresses.Network, ...] = ()) -> dict[str, Any]:
    """Return the peer for a range without the closed and private ranges inside it."""
    network = ip_network(cidr)
    inside = addresses.exceptions(network, private)
    return {"ipBlock": {"cidr": str(network)} | ({"except": inside} if inside else {})}


def _reach(
    fleet: Fleet, workload: Workload, traffic: Traffic, egress: Rules, problems: list[Problem]
) -> None:
    """Allow a destination outside the fleet; warn if the pod port is a guess, or the address unknown."""
    party = traffic.party
    if isinstance(party, Range):
        private = private_ranges(tuple(fleet.environment.network.private_ranges))
        egress.allow(_block(party.cidr, private), traffic.ports)
        return
    if isinstance(party, Outside) and addresses.is_private_name(party.host):
        problems += _unknown_way(workload, traffic, party.host)
        return
    if isinstance(party, Outside):
        for peer in outside(fleet):
            egress.allow(peer, traffic.ports)
        return
    if isinstance(party, Space):
        egress.allow(everything_in(party.namespace), traffic.ports)
        return
    ((protocol, port),) = traffic.ports
    known = _known_port(fleet, party)
    if known is None:
        name = f"{party.name}.{party.namespace}.svc"
        problems.append(
            traffic.owner.problem(
                traffic.path,
                "guessed-port",
                f"policies know pods, no Services: port {port} of every pod in `{party.namespace}` is opened for `{name}`. Is that its pod port?",
                hint=f"set it in the environment: `network.services: {{{name}: {port}}}`",
                severity="warning",
            )
        )
    egress.allow(everything_in(party.namespace), ((protocol, known or port),))


def _unknown_way(workload: Workload, traffic: Traffic, host: str) -> Iterable[Problem]:
    """Yield a host of a private network, to whose address no range opens the way: the internet's does not."""
    ranges = (item for item in workload.reaches if isinstance(item.party, Range))
    if not any({*traffic.ports} & {*item.ports} for item in ranges):
        ((_, port),) = traffic.ports
        yield traffic.owner.problem(
            traffic.path,
            "unknown-address",
            f"`{host[:80]}` is a name of a private network, whose addresses nobody says: the policy opens no way to it",
            hint=f"add its range: `network.allowTo: [{{cidr: 10.20.0.0/16, ports: [{port}]}}]`",
            severity="warning",
        )


def _admit(traffic: Traffic, ingress: Rules) -> None:
    """Allow callers from outside the fleet: a namespace, or a range, whose addresses are no way to what they serve."""
    party = traffic.party
    if isinstance(party, Space):
        ingress.allow(everything_in(party.namespace), traffic.ports)
    elif isinstance(party, Range):
        ingress.allow(_block(party.cidr), traffic.ports)


def _known_port(fleet: Fleet, service: Address) -> int | None:
    services = fleet.environment.network.services
    name = f"{service.name}.{service.namespace}"
    forms = (f"{name}{suffix}" for suffix in ("", ".svc", ".svc.cluster.local"))
    return next((services[form] for form in forms if form in services), None)


# -- what the cluster itself needs ---------------------------------------------------------------


def _cluster(fleet: Fleet, workload: Workload, own: Policy) -> None:
    """Allow name resolution, identity and the Kubernetes API, and ingress from Prometheus and the gateway."""
    environment = fleet.environment
    dns(fleet, own.egress)
    platform(fleet, workload.spec.identity, own.egress)
    rights = workload.spec.rbac is not None and workload.spec.rbac.rules
    if rights or workload.sandbox is not None:
        api_server(fleet, own.egress)
    if workload.sandbox is not None:
        sandboxes = {"podSelector": {"matchLabels": sandbox_selector(workload.name)}}
        own.egress.allow(sandboxes, (("TCP", SANDBOX_PORT),))
    scrape, exposure = workload.scrape, workload.exposure
    if scrape is not None and "prometheus-operator" in environment.capabilities:
        prometheus = everything_in(environment.network.prometheus_namespace)
        own.ingress.allow(prometheus, (("TCP", scrape.port.container_port),))
    if exposure is not None:
        ports: Ports = (("TCP", exposure.port.container_port),)
        for peer in _gateways(fleet):
            own.ingress.allow(peer, ports)
    ports = tuple(
        (port.protocol, port.container_port)
        for port in workload.ports
        if port.name != "metrics" and (scrape is None or port != scrape.port)
    )
    for peer in _callers(fleet, workload.spec.service) if ports else ():
        own.ingress.allow(peer, ports)


def _gateways(fleet: Fleet) -> Iterable[dict[str, Any]]:
    """Yield where requests from outside come from."""
    environment = fleet.environment
    gateway = environment.expose.gateway
    space = environment.network.gateway_namespace or (gateway.namespace if gateway else "")
    if space:
        yield everything_in(space)
    for cidr in environment.network.gateway_ranges:
        yield {"ipBlock": {"cidr": cidr}}


def _callers(fleet: Fleet, service: Service) -> Iterable[dict[str, Any]]:
    """Yield where the calls of a Service from outside come from, as pods see them."""
    network = fleet.environment.network
    if service.type == "ClusterIP":
        return
    ranges = [*network.gateway_ranges]
    if service.type == "LoadBalancer":
        ranges += service.load_balancer_source_ranges
    if service.external_traffic_policy == "Cluster":
        ranges += network.node_ranges
    for found in addresses.networks(ranges):
        yield _block(str(found))


def platform(fleet: Fleet, identity: Any, egress: Rules) -> None:
    """Allow the metadata addresses that the platform's workload identity needs, and no others."""
    needed = identity_addresses(fleet, identity)
    for cidr, port in needed:
        egress.allow({"ipBlock": {"cidr": cidr}}, (("TCP", port),))
    if needed and fleet.environment.platform == "eks":
        for peer in outside(fleet):
            egress.allow(peer, (("TCP", 443),))  # IRSA authenticates at STS


def api_server(fleet: Fleet, egress: Rules) -> None:
    """Allow the Kubernetes API, on the Service's port and on the nodes' own port; it may be private."""
    network = fleet.environment.network
    ranges = network.api_server
    if ranges is None:
        ranges = [EVERYWHERE[family] for family in network.ip_families]
    for found in addresses.networks(ranges):
        egress.allow(_block(str(found)), (("TCP", 443), ("TCP", 6443)))
