"""Where a host name points: to a workload of the fleet, to another Service of the cluster, or outside."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from fleetform import addresses
from fleetform.contract import STORE_PORTS
from fleetform.kinds import WORKLOADS
from fleetform.records import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleetform.models.workload import Expose
    from fleetform.resolve import Fleet, Resolved

SCHEME_PORTS = {"http": 80, "https": 443}


def own_hosts(expose: Expose) -> tuple[str, ...]:
    """Return the hosts on which a spec wants to be reached, each once; none for the environment's."""
    first = [expose.host] if expose.host else []
    return tuple(dict.fromkeys([*first, *expose.hosts]))


PUBLISHED = (
    "external-dns.alpha.kubernetes.io/hostname",
    "external-dns.alpha.kubernetes.io/internal-hostname",
)
"""Annotations whose hosts ExternalDNS makes lead to a Service, whatever its type."""


def published(workload: Resolved[Any]) -> Iterator[tuple[str, str]]:
    """Yield the hosts that ExternalDNS makes lead to a workload's Service, each behind the annotation that names it."""
    texts = workload.spec.service.annotations
    for key in PUBLISHED if texts else ():
        for host in str(texts.get(key, "")).split(","):
            if host.strip():
                yield key, host.strip()


class Address(NamedTuple):
    """The host of a workload, or of another service in the cluster, with its namespace in the cluster."""

    name: str
    namespace: str


class Url(NamedTuple):
    """A URL whose host is an address; `rest` is path, query and fragment."""

    scheme: str
    host: Address
    port: int | None
    rest: str = ""


class Destination(NamedTuple):
    """A host and port; `namespace` (in the cluster) is empty outside it, `workload` is set for the fleet's own."""

    host: str
    port: int
    namespace: str = ""
    service: str = ""
    workload: Resolved[Any] | None = None


@lru_cache(maxsize=4_096)
def split(url: str) -> tuple[str, int]:
    """Return host and port of a URL; port 0 if it cannot be parsed."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").lower(), parts.port or SCHEME_PORTS.get(parts.scheme, 0)
    except ValueError:
        return "", 0


def destination(fleet: Fleet, namespace: str, host: str, port: int) -> Destination:
    """Find out where a host in a spec of `namespace` points."""
    service, space = _in_cluster(fleet, namespace, host)
    if not service:
        return Destination(host, port)
    workload = _workload(fleet, space, service)
    if workload is not None:
        target = fleet.target_namespace(workload.namespace)
    else:
        target = fleet.target_namespace(space) if _is_ours(fleet, space) else space
    return Destination(host, port, target, service, workload)


def rewritten(fleet: Fleet, namespace: str, url: str) -> str | Url:
    """Return a URL with its host written out, by the given function; a host outside is unchanged."""
    host, port = split(url)
    found = destination(fleet, namespace, host, port)
    if not found.namespace:
        return url.replace(host, host.rstrip("."), 1) if host.endswith(".") else url
    parts = urlsplit(url)
    rest = urlunsplit(("", "", parts.path, parts.query, parts.fragment))
    return Url(parts.scheme, Address(found.service, found.namespace), parts.port, rest)


def written_out(fleet: Fleet, namespace: str, host: str) -> str | Address:
    """Return the address that a host means; a host outside is unchanged."""
    found = destination(fleet, namespace, host, 0)
    return Address(found.service, found.namespace) if found.namespace else host


def address(fleet: Fleet, workload: Resolved[Any]) -> Address:
    """Return the address of a workload of the fleet."""
    return Address(workload.name, fleet.target_namespace(workload.namespace))


def full_name(fleet: Fleet, workload: Resolved[Any]) -> str:
    """Return the host of a workload of the fleet as any spec may write it."""
    return f"{workload.name}.{fleet.target_namespace(workload.namespace)}.svc"


def _in_cluster(fleet: Fleet, namespace: str, host: str) -> tuple[str, str]:
    """Return Service and namespace (as in the specs) of a host, two empty strings if it is outside."""
    labels = host.rstrip(".").removesuffix(".cluster.local").split(".")
    if len(labels) >= 3 and labels[-1] == "svc":
        return labels[-3], labels[-2]
    if len(labels) == 1 and host and host != "localhost" and not is_address(host):
        return labels[0], namespace
    if len(labels) == 2 and not host.endswith(".") and _is_namespace(fleet, host, labels[1]):
        return labels[0], labels[1]
    return "", ""


def _is_namespace(fleet: Fleet, host: str, label: str) -> bool:
    """Tell whether the second of two labels is a namespace for certain: the fleet's, or one that the environment names."""
    network, gateway = fleet.environment.network, fleet.environment.expose.gateway
    return (
        _is_ours(fleet, label)
        or label in fleet.sources
        or host in network.services
        or ("-" in label and not label.startswith("xn--"))  # no top-level domain has a dash
        or label in ("default", "kube-system", network.dns_namespace, network.prometheus_namespace)
        or label == (network.gateway_namespace or (gateway.namespace if gateway else ""))
        or any(name.split(".")[1:2] == [label] for name in network.services)
    )


OUTSIDE = frozenset(
    [
        "arpa",
        "biz",
        "com",
        "edu",
        "example",
        "gov",
        "info",
        "int",
        "invalid",
        "lan",
        "local",
        "localhost",
        "mil",
        "net",
        "onion",
        "org",
    ]
)
"""Top-level domains that hardly anybody calls a namespace."""


def is_ambiguous(fleet: Fleet, host: str, port: int) -> bool:
    """Tell whether `name.word` could be a Service of a namespace as well as a host of a domain.

    Two letters are a country's domain if the port is HTTPS; a trailing dot says that a host is outside.
    """
    labels = host.split(".")
    if len(labels) != 2 or is_address(host) or _is_namespace(fleet, host, labels[1]):
        return False
    last = labels[1]
    return not (last in OUTSIDE or last.startswith("xn--") or (len(last) == 2 and port == 443))


_OWN_NAMES = (".cluster.local", ".svc.cluster", ".pod")
"""How names end that only the DNS of a cluster answers, those of Services apart."""


def is_no_service(host: str) -> bool:
    """Tell whether a host is a name of the cluster's own, but of no Service: a pod's, or a Service's cut short."""
    name = host.rstrip(".")
    labels = name.removesuffix(".cluster.local").split(".")
    is_service = len(labels) >= 3 and labels[-1] == "svc"
    return name.endswith(_OWN_NAMES) and not is_service


def _is_ours(fleet: Fleet, namespace: str) -> bool:
    return namespace in fleet.spaces


def _workload(fleet: Fleet, namespace: str, service: str) -> Resolved[Any] | None:
    """Return the fleet's workload behind a Service; the namespace is one of the specs or of the cluster."""
    for name in (service, service.removesuffix("-headless")):
        for space in (namespace, *fleet.sources.get(namespace, ())):
            if fleet.collector is not None and fleet.collector.key == (space, name):
                return fleet.collector
            for kind in WORKLOADS:
                found = fleet.specs.get(kind, {}).get((space, name))
                if found is not None and is_deployed(found):
                    return found
    return None


def is_deployed(resolved: Resolved[Any]) -> bool:
    """Whether a spec becomes pods: every agent, servers with a container, provisioned stores."""
    spec = resolved.spec
    if resolved.kind == "Agent":
        return True
    if resolved.kind == "MCPServer":
        return spec.container is not None and not is_beside(resolved)
    if resolved.kind not in WORKLOADS:  # the collector, which is there because it is asked for
        return True
    provision = spec.provision
    return provision is not None and provision.enabled and spec.type in STORE_PORTS


def is_beside(resolved: Resolved[Any]) -> bool:
    """Whether a spec's container runs in the pods of the agents that use it: an MCP server over stdio."""
    return resolved.kind == "MCPServer" and resolved.spec.transport == "stdio"


def is_address(host: str) -> bool:
    """Whether a host is an IP address."""
    return bool(addresses.readings(host))


IDENTITY = {
    ("eks", "aws_role_arn"): (("169.254.170.23/32", 80), ("fd00:ec2::23/128", 80)),
    ("gke", "gcp_service_account"): (("169.254.169.254/32", 80), ("169.254.169.252/32", 988)),
}
"""Metadata addresses and ports that a cloud identity needs, by platform and field."""


def identity_addresses(fleet: Fleet, identity: Any) -> tuple[tuple[str, int], ...]:
    """Return the ranges and ports that the identity of a workload needs on the environment's platform."""
    families = fleet.environment.network.ip_families
    return tuple(
        (cidr, port)
        for (platform, field), needed in IDENTITY.items()
        if identity is not None
        and platform == fleet.environment.platform
        and getattr(identity, field)
        for cidr, port in needed
        if ("IPv6" if ":" in cidr else "IPv4") in families
    )


def is_for_identity(fleet: Fleet, identity: Any, host: str, port: int) -> bool:
    """Tell whether a metadata server is one that a workload's identity needs, and reaches without more words."""
    name = host.rstrip(".")
    known = "169.254.169.254" if name == "metadata.google.internal" else name
    found = addresses.address(known)
    return found is not None and any(
        port == needed and str(found) == cidr.partition("/")[0]
        for cidr, needed in identity_addresses(fleet, identity)
    )
