"""NetworkPolicies: the traffic of a plan as peers and pod ports, and what the cluster itself needs."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from fleetform.plan.model import Plan, Ports, Range, Space, Traffic, Workload
from fleetform.platforms.kubernetes.model import NetworkRule, selector
from fleetform.resolve.hosts import Address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleetform.problems import Problem
    from fleetform.resolve import Fleet
    from fleetform.resolve.catalog import Key

EKS_POD_IDENTITY = "169.254.170.23/32"
GKE_METADATA = "169.254.169.254/32"
GKE_METADATA_SERVER = "169.254.169.252/32"
NODE_LOCAL_DNS = "169.254.20.10/32"
METADATA = ("100.100.100.200/32", "168.63.129.16/32", "169.254.0.0/16", "192.0.0.0/24")
"""Where clouds hand out credentials and settings: Alibaba, Azure, most others, Oracle. No range opens them."""
EVERYWHERE = "0.0.0.0/0"


class Rules:
    """One direction of a policy being built: (peers, ports) pairs without duplicates."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, Ports], dict[str, Any]] = {}

    def allow(self, peer: dict[str, Any], ports: Ports) -> None:
        """Add one peer and its ports; no ports means all of them."""
        self.found.setdefault((repr(sorted(peer.items(), key=repr)), ports), peer)

    def grouped(self) -> tuple[NetworkRule, ...]:
        """Return one rule per set of ports, sorted by ports, its peers in a stable order."""
        by_ports: dict[Ports, list[tuple[str, dict[str, Any]]]] = {}
        for (text, numbers), peer in self.found.items():
            by_ports.setdefault(numbers, []).append((text, peer))
        return tuple(
            NetworkRule(tuple(peer for _, peer in sorted(peers, key=lambda item: item[0])), numbers)
            for numbers, peers in sorted(by_ports.items())
        )


class Policy:
    """Both directions of a workload's policy, and the workloads that it calls."""

    def __init__(self) -> None:
        self.ingress = Rules()
        self.egress = Rules()
        self.callees: set[tuple[str, str]] = set()


def policies(fleet: Fleet, plan: Plan, problems: list[Problem]) -> dict[Key, Policy]:
    """Return the policies of all workloads: each egress within the fleet is an ingress on the other side."""
    found: dict[Key, Policy] = defaultdict(Policy)
    for workload in plan.workloads:
        own = found[workload.key]
        _cluster(fleet, workload, own)
        for traffic in workload.reaches:
            _reach(fleet, traffic, own.egress, problems)
        for traffic in workload.admits:
            own.ingress.allow(_peer(fleet, traffic), traffic.ports)
    names = {workload.key: (workload.namespace, workload.name) for workload in plan.workloads}
    for caller, callee, ports in plan.links:
        if caller not in names or callee not in names:
            continue
        found[caller].egress.allow(pods(*names[callee]), ports)
        found[caller].callees.add(names[callee])
        found[callee].ingress.allow(pods(*names[caller]), ports)
    return found


def pods(namespace: str, name: str) -> dict[str, Any]:
    """Return the peer that is one workload of a namespace."""
    return {
        "namespaceSelector": _namespace(namespace),
        "podSelector": {"matchLabels": selector(name)},
    }


def everything_in(namespace: str) -> dict[str, Any]:
    """Return the peer that is every pod of a namespace."""
    return {"namespaceSelector": _namespace(namespace)}


def _namespace(name: str) -> dict[str, Any]:
    return {"matchLabels": {"kubernetes.io/metadata.name": name}}


def dns(fleet: Fleet, egress: Rules) -> None:
    """Allow name resolution, without which nothing else works."""
    network = fleet.environment.network
    ports: Ports = (("TCP", 53), ("UDP", 53))
    egress.allow(
        {
            "namespaceSelector": _namespace(network.dns_namespace),
            "podSelector": {"matchLabels": dict(network.dns_labels)},
        },
        ports,
    )
    if network.node_local_dns:
        egress.allow({"ipBlock": {"cidr": NODE_LOCAL_DNS}}, ports)


def outside(fleet: Fleet) -> dict[str, Any]:
    """Return the peer that is the internet without private, link-local and metadata ranges."""
    private = fleet.environment.network.private_ranges
    # Only once: Alibaba's address lies in the carrier-grade NAT range, which is private by default.
    covered = METADATA[:1] if "100.64.0.0/10" in private else ()
    return {
        "ipBlock": {
            "cidr": EVERYWHERE,
            "except": sorted({*private, *METADATA} - {*covered}),
        }
    }


def _range_of(cidr: str) -> dict[str, Any]:
    """Return the peer for a range; metadata addresses in a wide one are excluded."""
    block: dict[str, Any] = {"cidr": cidr}
    if cidr == EVERYWHERE:
        block["except"] = [*METADATA]
    elif ":" not in cidr and not cidr.endswith("/32"):
        from ipaddress import IPv4Network  # noqa: PLC0415 - few specs name a range

        own = IPv4Network(cidr)
        inside = [part for part in METADATA if IPv4Network(part).subnet_of(own) and part != cidr]
        block |= {"except": inside} if inside else {}
    return {"ipBlock": block}


def _reach(fleet: Fleet, traffic: Traffic, egress: Rules, problems: list[Problem]) -> None:
    """Allow a destination outside the fleet; warn if the pod port is a guess."""
    party = traffic.party
    if not isinstance(party, Address):
        egress.allow(_peer(fleet, traffic), traffic.ports)
        return
    ((protocol, port),) = traffic.ports
    known = _known_port(fleet, party)
    if known is None:
        name = f"{party.name}.{party.namespace}.svc"
        problems.append(
            traffic.owner.problem(
                traffic.path,
                "guessed-port",
                f"network policies apply to pod ports: is {port} also the pod port of `{name}`?",
                hint=f"set it in the environment: `network.services: {{{name}: {port}}}`",
                severity="warning",
            )
        )
    egress.allow(everything_in(party.namespace), ((protocol, known or port),))


def _known_port(fleet: Fleet, service: Address) -> int | None:
    services = fleet.environment.network.services
    name = f"{service.name}.{service.namespace}"
    forms = (f"{name}{suffix}" for suffix in ("", ".svc", ".svc.cluster.local"))
    return next((services[form] for form in forms if form in services), None)


def _peer(fleet: Fleet, traffic: Traffic) -> dict[str, Any]:
    party = traffic.party
    if isinstance(party, Space):
        return everything_in(party.namespace)
    return _range_of(party.cidr) if isinstance(party, Range) else outside(fleet)


# -- what the cluster itself needs ---------------------------------------------------------------


def _cluster(fleet: Fleet, workload: Workload, own: Policy) -> None:
    """Allow name resolution, identity and the Kubernetes API, and ingress from Prometheus and the gateway."""
    environment = fleet.environment
    dns(fleet, own.egress)
    platform(fleet, workload.spec.identity, own.egress)
    if workload.spec.rbac is not None and workload.spec.rbac.rules:
        api_server(fleet, own.egress)
    scrape, exposure = workload.scrape, workload.exposure
    if scrape is not None and "prometheus-operator" in environment.capabilities:
        prometheus = everything_in(environment.network.prometheus_namespace)
        own.ingress.allow(prometheus, (("TCP", scrape.port.container_port),))
    if exposure is not None:
        ports = (("TCP", exposure.port.container_port),)
        for peer in _gateways(fleet):
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


def platform(fleet: Fleet, identity: Any, egress: Rules) -> None:
    """Allow the metadata addresses that the platform's workload identity needs, and no others."""
    if identity is None:
        return
    name = fleet.environment.platform
    if name == "eks" and identity.aws_role_arn:
        egress.allow({"ipBlock": {"cidr": EKS_POD_IDENTITY}}, (("TCP", 80),))
        egress.allow(outside(fleet), (("TCP", 443),))  # IRSA authenticates at STS
    if name == "gke" and identity.gcp_service_account:
        egress.allow({"ipBlock": {"cidr": GKE_METADATA}}, (("TCP", 80),))
        egress.allow({"ipBlock": {"cidr": GKE_METADATA_SERVER}}, (("TCP", 988),))


def api_server(fleet: Fleet, egress: Rules) -> None:
    """Allow the Kubernetes API, on the Service's port and on the nodes' own port."""
    for cidr in fleet.environment.network.api_server:
        egress.allow(_range_of(cidr), (("TCP", 443), ("TCP", 6443)))
