"""Who may talk to whom: derived from what specs use, in NetworkPolicy's terms (pod ports, not Service ports)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fleetform.plan.model import NetworkRule, selector
from fleetform.problems import Problem
from fleetform.resolve.hosts import Destination, destination, split
from fleetform.resolve.ports import ports

if TYPE_CHECKING:
    from fleetform.models.workload import Peer
    from fleetform.resolve import Fleet, Resolved
    from fleetform.tree import Path

Ports = tuple[tuple[str, int], ...]

EKS_POD_IDENTITY = "169.254.170.23/32"
GKE_METADATA = "169.254.169.254/32"
GKE_METADATA_SERVER = "169.254.169.252/32"
NODE_LOCAL_DNS = "169.254.20.10/32"
METADATA = ("100.100.100.200/32", "168.63.129.16/32", "169.254.0.0/16", "192.0.0.0/24")
"""Where clouds hand out credentials and settings: Alibaba, Azure, most others, Oracle. No range opens them."""
EVERYWHERE = "0.0.0.0/0"


@dataclass(slots=True)
class Traffic:
    """Rules on their way: (peers, ports) pairs, said once each."""

    rules: dict[tuple[str, Ports], dict[str, Any]] = field(default_factory=dict)
    links: list[tuple[Resolved, Ports]] = field(default_factory=list)

    def allow(self, peer: dict[str, Any], ports: Ports) -> None:
        """Add one peer and its ports; no ports means all of them."""
        self.rules.setdefault((repr(sorted(peer.items(), key=repr)), ports), peer)

    def call(self, fleet: Fleet, callee: Resolved, ports: Ports) -> None:
        """Allow a workload of the fleet, and remember the link: its own policy must let us in."""
        self.allow(pods(fleet.target_namespace(callee.namespace), callee.name), ports)
        self.links.append((callee, ports))

    def grouped(self) -> tuple[NetworkRule, ...]:
        """Return one rule per set of ports, in order of ports, its peers in a stable order."""
        by_ports: dict[Ports, list[tuple[str, dict[str, Any]]]] = {}
        for (text, numbers), peer in self.rules.items():
            by_ports.setdefault(numbers, []).append((text, peer))
        return tuple(
            NetworkRule(tuple(peer for _, peer in sorted(peers, key=lambda item: item[0])), numbers)
            for numbers, peers in sorted(by_ports.items())
        )


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


def dns(fleet: Fleet, traffic: Traffic) -> None:
    """Allow name resolution: without it nothing else works."""
    network = fleet.environment.network
    ports: Ports = (("TCP", 53), ("UDP", 53))
    traffic.allow(
        {
            "namespaceSelector": _namespace(network.dns_namespace),
            "podSelector": {"matchLabels": dict(network.dns_labels)},
        },
        ports,
    )
    if network.node_local_dns:
        traffic.allow({"ipBlock": {"cidr": NODE_LOCAL_DNS}}, ports)


def outside(fleet: Fleet) -> dict[str, Any]:
    """Return the peer that is the internet without private, link-local and metadata ranges."""
    private = fleet.environment.network.private_ranges
    # Said once: Alibaba's address lies in the range of carriers, which is private by default.
    covered = METADATA[:1] if "100.64.0.0/10" in private else ()
    return {
        "ipBlock": {
            "cidr": EVERYWHERE,
            "except": sorted({*private, *METADATA} - {*covered}),
        }
    }


def _range_of(cidr: str) -> dict[str, Any]:
    """Return the peer that is a range; a wide one does not mean the metadata addresses in it."""
    block: dict[str, Any] = {"cidr": cidr}
    if cidr == EVERYWHERE:
        block["except"] = [*METADATA]
    elif ":" not in cidr and not cidr.endswith("/32"):
        from ipaddress import IPv4Network  # noqa: PLC0415 - few specs name a range

        own = IPv4Network(cidr)
        inside = [part for part in METADATA if IPv4Network(part).subnet_of(own) and part != cidr]
        block |= {"except": inside} if inside else {}
    return {"ipBlock": block}


def to_url(
    fleet: Fleet, owner: Resolved, url: str, path: Path, traffic: Traffic
) -> Iterator[Problem]:
    """Allow what a URL of a spec names."""
    host, port = split(url)
    if host and port:
        yield from to_host(fleet, owner, host, port, path, traffic)


def to_host(
    fleet: Fleet, owner: Resolved, host: str, port: int, path: Path, traffic: Traffic
) -> Iterator[Problem]:
    """Allow a host and the port that its URL names; yields a warning where the pod port is a guess."""
    found = destination(fleet, owner.namespace, host, port)
    if found.workload is not None:
        yield from _to_workload(fleet, owner, found.workload, port, path, traffic)
    elif found.namespace:
        known = _known_port(fleet, found)
        if known is None:
            yield owner.problem(
                path,
                "guessed-port",
                f"network policies see pod ports: is {port} also the pod port of `{host}`?",
                hint=f"say so in the environment: `network.services: {{{found.service}.{found.namespace}.svc: {port}}}`",
                severity="warning",
            )
        traffic.allow(everything_in(found.namespace), (("TCP", known or port),))
    elif host in ("localhost", "127.0.0.1", "::1"):
        return
    else:
        traffic.allow(_address(fleet, host), (("TCP", port),))


def _to_workload(
    fleet: Fleet, owner: Resolved, workload: Resolved, port: int, path: Path, traffic: Traffic
) -> Iterator[Problem]:
    known = [item for item in ports(workload) if item.protocol == "TCP"]
    for item in known:
        if item.service_port == port:
            traffic.call(fleet, workload, (("TCP", item.container_port),))
            return
    names = ", ".join(f"{item.service_port} ({item.name})" for item in known) or "none"
    yield owner.problem(
        path,
        "unknown-port",
        f"{workload.kind} `{workload.name}` has no port {port}",
        hint=f"its ports: {names}",
    )


def _address(fleet: Fleet, host: str) -> dict[str, Any]:
    parts = host.split(".")
    if len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts):
        return {"ipBlock": {"cidr": f"{host}/32"}}
    return outside(fleet)


def _known_port(fleet: Fleet, found: Destination) -> int | None:
    services = fleet.environment.network.services
    names = (
        found.host,
        *(
            f"{found.service}.{found.namespace}{suffix}"
            for suffix in ("", ".svc", ".svc.cluster.local")
        ),
    )
    return next((services[name] for name in names if name in services), None)


def to_peer(
    fleet: Fleet, owner: Resolved, peer: Peer, path: Path, traffic: Traffic
) -> Iterator[Problem]:
    """Allow a destination that `network.allowTo` names."""
    if peer.host and not (peer.agent or peer.namespace or peer.cidr):
        for port in peer.ports or [443]:
            yield from to_host(fleet, owner, peer.host, port, path, traffic)
        return
    yield from _named(
        fleet, owner, peer, path, traffic, tuple(("TCP", port) for port in peer.ports or (443,))
    )


def from_peer(
    fleet: Fleet, owner: Resolved, peer: Peer, path: Path, traffic: Traffic, default: Ports
) -> Iterator[Problem]:
    """Allow a caller that `network.allowFrom` names."""
    if peer.host:
        yield owner.problem(
            (*path, "host"),
            "contradiction",
            "a caller cannot be named by its host",
            hint="name its agent, namespace or cidr",
            key=True,
        )
        return
    ports: Ports = tuple(("TCP", port) for port in peer.ports) or default
    yield from _named(fleet, owner, peer, path, traffic, ports)


def _named(
    fleet: Fleet, owner: Resolved, peer: Peer, path: Path, traffic: Traffic, ports: Ports
) -> Iterator[Problem]:
    from fleetform.resolve.references import lookup  # noqa: PLC0415

    named = [name for name in ("agent", "namespace", "host", "cidr") if getattr(peer, name)]
    if len(named) != 1:
        words = " and ".join(f"`{name}`" for name in named) or "nobody"
        yield owner.problem(
            path,
            "bad-peer",
            f"the peer names {words}",
            hint="say one of agent, namespace, host or cidr",
            key=True,
        )
        return
    if peer.agent:
        said: list[Problem] = []
        other = lookup(fleet, owner, (*path, "agent"), ("Agent", "MCPServer"), peer.agent, said)
        yield from said
        if other is not None:
            traffic.call(fleet, other, ports)
    elif peer.namespace:
        traffic.allow(everything_in(_space(fleet, peer.namespace)), ports)
    elif peer.cidr:
        found = [*_range(owner, path, peer.cidr)]
        yield from found
        if not found:
            traffic.allow(_range_of(peer.cidr), ports)


def _space(fleet: Fleet, name: str) -> str:
    return fleet.target_namespace(name) if name in fleet.spaces else name


def _range(owner: Resolved, path: Path, cidr: str) -> Iterator[Problem]:
    from ipaddress import ip_network  # noqa: PLC0415

    try:
        ip_network(cidr)
    except ValueError as error:
        yield owner.problem(
            (*path, "cidr"),
            "bad-cidr",
            f"`{cidr}` is not an address range: {error}",
            hint="write it as 10.20.0.0/16",
        )


def platform(fleet: Fleet, identity: Any, traffic: Traffic) -> None:
    """Allow the metadata addresses that the platform's workload identity needs, and no others."""
    if identity is None:
        return
    name = fleet.environment.platform
    if name == "eks" and identity.aws_role_arn:
        traffic.allow({"ipBlock": {"cidr": EKS_POD_IDENTITY}}, (("TCP", 80),))
        traffic.allow(outside(fleet), (("TCP", 443),))  # IRSA signs in at STS
    if name == "gke" and identity.gcp_service_account:
        traffic.allow({"ipBlock": {"cidr": GKE_METADATA}}, (("TCP", 80),))
        traffic.allow({"ipBlock": {"cidr": GKE_METADATA_SERVER}}, (("TCP", 988),))


def api_server(fleet: Fleet, traffic: Traffic) -> None:
    """Allow the Kubernetes API, on the Service's port and on the nodes' own."""
    for cidr in fleet.environment.network.api_server:
        traffic.allow(_range_of(cidr), (("TCP", 443), ("TCP", 6443)))
