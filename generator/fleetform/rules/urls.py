"""Hosts, URLs and ranges that are well-formed but unusable: ports beyond 65535, invalid hosts, closed addresses."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from fleetform import addresses, kinds
from fleetform.lazy import regex
from fleetform.problems import Problem
from fleetform.resolve import Fleet
from fleetform.resolve.hosts import is_ambiguous, is_for_identity, is_no_service, split
from fleetform.tree import TreePath, at, entries, leaves, problem_at

if TYPE_CHECKING:
    from fleetform.resolve import Resolved
    from fleetform.rules import AgentUses
    from fleetform.tree import Map

KEYS = frozenset({"card", "endpoint", "issuer", "tokenUrl", "url"})
"""Fields that hold a URL."""
ENVIRONMENT_KEYS = KEYS | {
    "charts",
    "otlpEndpoint",
    "prometheusUrl",
    "registry",
    "runtime",
    "server",
    "vaultUrl",
}
"""The same in an environment; controllers and nodes connect to some of them."""
_OTHERS = frozenset({"host", "hosts", "cidr", "repository", "value"})
"""Other fields of specs that hold a host, an address or a URL."""
_HOST = regex(r"[a-z0-9_]([-a-z0-9_.]*[a-z0-9_])?\.?|[0-9a-f:.]*:[0-9a-f:.]*")


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield URLs without a usable host and port, and whatever leads to a closed address."""
    del uses
    for kind in kinds.WITH_HOSTS:
        for resolved in fleet.of(kind):
            if not any(key in KEYS or key in _OTHERS for key, _ in entries(resolved.tree)):
                continue
            for path, value in leaves(resolved.tree):
                if path[0] == "spec" and isinstance(value, str) and value:
                    yield from _leaf(fleet, resolved, path, value)
    for path, value in leaves(fleet.environment_tree):
        if path[-1] in ENVIRONMENT_KEYS and isinstance(value, str) and _is_own(path):
            if path[1] in ("providers", "monitoring"):
                yield from _url(fleet.environment_tree, path, value)
                yield from _guessed(fleet, fleet.environment_tree, path, *split(value))
                continue
            for host in addresses.hosts_in(value.removeprefix("oci://")):
                yield from closed(fleet.environment_tree, path, host)


def _is_own(path: TreePath) -> bool:
    """Tell whether a value of an environment is its own, and no spec's."""
    return path[:2] not in (("spec", "defaults"), ("spec", "patches"), ("spec", "objectPatches"))


def _leaf(fleet: Fleet, resolved: Resolved[Any], path: TreePath, value: str) -> Iterator[Problem]:
    if path[1] == "objectPatches":
        return
    identity = getattr(resolved.spec, "identity", None)
    if path[-1] in KEYS:
        if not is_for_identity(fleet, identity, *split(value)):
            yield from _url(resolved.tree, path, value)
            if "triggers" not in path:  # KEDA's operator asks, whom no policy of ours holds
                yield from _guessed(fleet, resolved.tree, path, *split(value))
    elif path[-1] == "host":
        ports = at(resolved.tree, (*path[:-1], "ports")) or [
            at(resolved.tree, (*path[:-1], "port"))
        ]
        if not all(is_for_identity(fleet, identity, value, port) for port in ports):
            yield from closed(resolved.tree, path, value)
            if path[1:] != ("expose", "host") and "triggers" not in path:
                usual = 443 if "allowTo" in path else 0
                yield from _guessed(
                    fleet, resolved.tree, path, value, *(port or usual for port in ports)
                )
    elif path[1:3] == ("expose", "hosts"):
        yield from closed(resolved.tree, path, value)
    elif path[-1] == "cidr" and path[-3:-2] == ("allowTo",):
        yield from _range(resolved.tree, path, value)
    elif path[-1] == "repository" and {".", ":"} & {*value.partition("/")[0]} and "/" in value:
        yield from closed(resolved.tree, path, split(f"//{value}")[0])
    elif path[-1] == "value" and path[-3:-2] == ("env",):
        yield from _variable(fleet, resolved, path, value)


def _variable(
    fleet: Fleet, resolved: Resolved[Any], path: TreePath, value: str
) -> Iterator[Problem]:
    """Yield a variable that is a URL, or a proxy, at a closed address."""
    name = str(at(resolved.tree, (*path[:-1], "name")) or "").lower()
    if "://" not in value and not name.endswith("_proxy"):
        return
    identity = getattr(resolved.spec, "identity", None)
    for host in addresses.hosts_in(value) if name != "no_proxy" else ():
        found = addresses.closed_host(host)
        if found and not is_for_identity(fleet, identity, host, split(value)[1]):
            yield from closed(resolved.tree, path, host)


def _url(tree: Map, path: TreePath, value: str) -> Iterator[Problem]:
    host, port = split(value)
    if not (host and port and is_host(host)):
        yield problem_at(
            tree,
            path,
            "bad-url",
            f"`{value[:80]}` has no usable host or port",
            hint="write http://host:port/path, the host in ASCII, the port at most 65535",
        )
        return
    yield from closed(tree, path, host)


def _guessed(fleet: Fleet, tree: Map, path: TreePath, host: str, *ports: int) -> Iterator[Problem]:
    """Yield `name.word`, a Service or a domain, and names of pods: a guess would open the internet."""
    if is_no_service(host):
        yield problem_at(
            tree,
            path,
            "ambiguous-host",
            f"`{host[:80]}` is a name of the cluster's own, but of no Service",
            hint="write `name.namespace.svc` for a Service; pods have no names that stay",
        )
    elif any(is_ambiguous(fleet, host, port) for port in ports):
        yield problem_at(
            tree,
            path,
            "ambiguous-host",
            f"is `{host[:80]}` a Service of the namespace `{host.partition('.')[2][:60]}`, or a host outside?",
            hint=f"write `{host[:80]}.svc` for the Service; outside, use a name with three parts, or in a URL end it with a dot",
        )


def is_host(text: str) -> bool:
    """Tell whether a text is a host name or address as URLs have them, which no program reads as another."""
    return _HOST.fullmatch(text) is not None


def closed(tree: Map, path: TreePath, host: str, *, short: bool = False) -> Iterator[Problem]:
    """Yield a host that is a metadata server or another closed address, or that programs read differently.

    A `short` name is not one of the namespace's Services: a cloud's search domains complete it.
    """
    found = addresses.closed_host(host) or (host if short and host in addresses.SHORT_HOSTS else "")
    if found:
        yield problem_at(
            tree,
            path,
            "closed-address",
            f"`{host[:80]}` is a cloud metadata server, or in a range that stays closed ({found})",
            hint="remove it; `identity` gives a workload the metadata server that its cloud identity needs",
        )
    elif not addresses.is_canonical(host):
        meant = addresses.readings(host)[0]
        yield problem_at(
            tree,
            path,
            "bad-url",
            f"programs read the address `{host[:80]}` differently",
            hint=f"write four decimal numbers, such as {meant}",
        )


def _range(tree: Map, path: TreePath, value: str) -> Iterator[Problem]:
    try:
        found = addresses.closed_around(ip_network(value))
    except ValueError:
        return  # reported where the range is used
    if found is not None:
        yield problem_at(
            tree,
            path,
            "closed-address",
            f"`{value}` is in a range that stays closed ({found}): cloud metadata, or IPv6 that carries IPv4",
            hint="remove it; `identity` gives a workload the metadata server that its cloud identity needs",
        )
