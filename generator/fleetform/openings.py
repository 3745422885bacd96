"""What a setting opens in the network fence: for `fleetform policy`, which lists it where it was set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_network
from typing import Any

from fleetform.addresses import PRIVATE, PRIVATE_V6, networks, within
from fleetform.platforms.kubernetes import obeyed
from fleetform.tree import TreePath

_WIDE = {4: 8, 6: 32}
"""Longest prefix of a range that is called wide, by version of IP: 16 million addresses, or all of a provider's."""


def opened(path: TreePath, value: Any, namespace: str) -> str:
    """Return what a leaf of a spec or an environment opens, empty if nothing; `namespace` is the document's."""
    names = tuple(step for step in path if isinstance(step, str))
    if names[:3] == ("spec", "secrets", "items") and names[-1] == "remoteKey":
        # One that is named for a namespace is for it alone.
        return "" if "/" in names[3] else _shared(value, namespace)
    for suffix, says in _OPENINGS.items():
        if names[-len(suffix) :] == suffix:
            return says(value, namespace)
    return ""


EMPTY: Mapping[TreePath, str] = {
    ("spec", "network", "privateRanges"): "no private range is excluded from wider ones",
}
"""What an empty value opens, where that is not the same as none."""


def _range(value: Any, direction: str) -> str:
    try:
        found = ip_network(str(value), strict=False)
    except ValueError:
        return ""
    return (
        f"{direction} a wide range of addresses" if found.prefixlen <= _WIDE[found.version] else ""
    )


def _is_private(value: Any) -> bool:
    ranges = [*networks((*PRIVATE, *PRIVATE_V6))]
    return any(within(own, private) for own in networks([str(value)]) for private in ranges)


def _reached(value: Any, namespace: str) -> str:
    del namespace
    if _is_private(value):
        return "reaches a private range, whatever is there"
    return _range(value, "reaches")


def _admitted(value: Any, namespace: str) -> str:
    del namespace
    return _range(value, "admits") or "admits whoever has an address of the range"


def _whole(verb: str) -> Callable[[Any, str], str]:
    return lambda value, _: f"{verb} every pod of the namespace {value}"


def _elsewhere(verb: str) -> Callable[[Any, str], str]:
    def says(value: Any, namespace: str) -> str:
        there, slash, _ = str(value).partition("/")
        return f"{verb} a workload of the namespace {there}" if slash and there != namespace else ""

    return says


def _metadata(value: Any, namespace: str) -> str:
    del value, namespace
    return "reaches the metadata server of the cloud, for its identity"


def _claim(value: Any, namespace: str) -> str:
    del namespace
    return f"mounts the claim {value}, which the fleet does not make"


def _nulls(value: Any, namespace: str) -> str:
    del namespace
    return "scales in when its metric is missing" if value == "true" else ""


def _unsafe(value: Any, namespace: str) -> str:
    del namespace
    return "KEDA's operator accepts any certificate" if value == "true" else ""


def _owner(value: Any, namespace: str) -> str:
    del namespace
    return "is measured with the cloud identity of KEDA's operator" if value == "operator" else ""


def _host(value: Any, namespace: str) -> str:
    del namespace
    return f"specs may take requests for {value}" if str(value).startswith("*.") else ""


def _replaced(value: Any, namespace: str) -> str:
    del value, namespace
    return "the ranges that are excluded from wider ones are these alone"


def _wide(direction: str) -> Callable[[Any, str], str]:
    return lambda value, _: _range(value, direction)


def _shared(value: Any, namespace: str) -> str:
    del namespace
    return (
        ""
        if "{namespace}" in str(value)
        else "namespaces share the secrets of the provider's store"
    )


def _cluster(value: Any, namespace: str) -> str:
    del namespace
    return (
        "every namespace reads the store with one identity" if value == "ClusterSecretStore" else ""
    )


def _one_identity(value: Any, namespace: str) -> str:
    del namespace
    shared = "{namespace}" not in str(value)
    return "every namespace reads the store with one identity" if shared else ""


def _outside(value: Any, namespace: str) -> str:
    del namespace
    return {
        "LoadBalancer": "has a load balancer of its own, past the gateway",
        "NodePort": "is reached through every node, past the gateway",
    }.get(str(value), "")


def _services(value: Any, namespace: str) -> str:
    del namespace
    return f"specs may have Services of type {value}, past the gateway"


def _obeyed(value: Any, namespace: str) -> str:
    del namespace
    return f"specs may set {value} on their Services"


def _pages(value: Any, namespace: str) -> str:
    del namespace
    return f"scripts of pages of {value} may call the agent"


def _priority(value: Any, namespace: str) -> str:
    del namespace
    whose = "everybody else" if str(value).startswith(obeyed.SYSTEM) else "lower classes"
    return f"its pods push those of {whose} off their nodes"


def _classes(value: Any, namespace: str) -> str:
    del namespace
    return f"pods of specs may push those below {value} off their nodes"


def _everywhere(value: Any, namespace: str) -> str:
    del namespace
    return "its permissions hold in every namespace" if value == "cluster" else ""


def _readers(value: Any, namespace: str) -> str:
    del namespace
    return f"agents of the namespace {value} may use it"


def _people(value: Any, namespace: str) -> str:
    del namespace
    return f"people of the group {value} see its objects but Secrets, and its logs"


def _keepers(value: Any, namespace: str) -> str:
    del namespace
    return f"people of the group {value} also restart and scale"


_OPENINGS: Mapping[tuple[str, ...], Callable[[Any, str], str]] = {
    ("groups", "view"): _people,
    ("groups", "edit"): _keepers,
    ("network", "allowTo", "cidr"): _reached,
    ("network", "allowTo", "namespace"): _whole("reaches"),
    ("network", "allowFrom", "cidr"): _admitted,
    ("network", "allowFrom", "namespace"): _whole("admits"),
    ("network", "allowFrom", "agent"): _elsewhere("admits"),
    ("network", "allowTo", "agent"): _elsewhere("reaches"),
    ("spec", "peers"): _elsewhere("reaches, and is reached by,"),
    ("store", "identity", "awsRoleArn"): _one_identity,
    ("store", "identity", "gcpServiceAccount"): _one_identity,
    ("store", "identity", "azureClientId"): _one_identity,
    ("existingClaim", "name"): _claim,
    ("identity", "awsRoleArn"): _metadata,
    ("identity", "gcpServiceAccount"): _metadata,
    ("identity", "azureClientId"): _metadata,
    ("metadata", "ignoreNullValues"): _nulls,
    ("metadata", "unsafeSsl"): _unsafe,
    ("metadata", "identityOwner"): _owner,
    ("expose", "hosts", "host"): _host,
    ("expose", "services", "type"): _services,
    ("expose", "services", "annotations"): _obeyed,
    ("service", "type"): _outside,
    ("service", "loadBalancerSourceRanges"): _admitted,
    ("network", "nodeRanges"): _wide("admits"),
    ("network", "privateRanges"): _replaced,
    ("network", "gatewayRanges"): _wide("admits"),
    ("network", "apiServer"): _wide("reaches"),
    ("secrets", "remoteKey"): _shared,
    ("secrets", "store", "kind"): _cluster,
    ("podTemplate", "priorityClassName"): _priority,
    ("spec", "priorityClasses"): _classes,
    ("rbac", "scope"): _everywhere,
    ("spec", "corsOrigins"): _pages,
    ("spec", "shareWith"): _readers,
}
"""By the end of a path, without the places in lists; the first that fits."""
