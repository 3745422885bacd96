"""Services that are reached from outside: granted types and names, and callers whom policies can tell."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

from fleetform import kinds
from fleetform.platforms.kubernetes.rules import keys
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.hosts import PUBLISHED, is_deployed
from fleetform.resolve.ports import ports
from fleetform.tree import TreePath

BASE: TreePath = ("spec", "service")
ANNOTATIONS: TreePath = (*BASE, "annotations")
GRANTED = "; or grant the key in `expose.services` there"
RANGES: TreePath = (*BASE, "loadBalancerSourceRanges")


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield what the Services of a fleet may not be, and what nobody could call."""
    for kind in kinds.CALLABLE:
        for resolved in filter(is_deployed, fleet.of(kind)):
            yield from of(fleet, resolved)


def of(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[Problem]:
    """Yield what the Service of one workload may not be."""
    yield from _keys(fleet, resolved)
    yield from _ranges(resolved)
    if resolved.spec.service.type != "ClusterIP":
        yield from _granted(fleet, resolved)
        yield from _called(fleet, resolved)


def _grants(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[Any]:
    """Yield what the environment grants to the Service of a workload."""
    for grant in fleet.environment.expose.services:
        mine = not grant.namespaces or resolved.namespace in grant.namespaces
        if mine and grant.type == resolved.spec.service.type:
            yield grant


def _granted(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[Problem]:
    path, kind = (*BASE, "type"), resolved.spec.service.type
    if not resolved.by_environment(path) and not any(_grants(fleet, resolved)):
        yield resolved.problem(
            path,
            "service-not-granted",
            f"the environment does not grant Services of type {kind} to specs of the namespace `{resolved.namespace}`",
            hint="add it to the environment's `expose.services`, or use `expose`, which the gateway serves",
        )


def _keys(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[Problem]:
    """Yield annotations that decide more than a spec may; hosts of ExternalDNS are judged as those of routes."""
    granted = {key for grant in _grants(fleet, resolved) for key in grant.annotations}
    for key in resolved.spec.service.annotations:
        if key not in granted and key not in PUBLISHED:
            more = "" if resolved.spec.service.type == "ClusterIP" else GRANTED
            yield from keys.refused(resolved, (*ANNOTATIONS, key), key, keys.HINT + more)


def _ranges(resolved: Resolved[Any]) -> Iterator[Problem]:
    for number, text in enumerate(resolved.spec.service.load_balancer_source_ranges):
        try:
            ip_network(text)
        except ValueError as error:
            yield resolved.problem(
                (*RANGES, number),
                "bad-cidr",
                f"`{text}` is not an address range: {error}",
                hint="write it as 203.0.113.0/24",
            )


def _called(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[Problem]:
    """Yield Services from outside that have no ports, or that no policy could let anybody call."""
    service, network = resolved.spec.service, fleet.environment.network
    if not ports(resolved):
        yield resolved.problem(
            (*BASE, "type"),
            "no-port",
            "the container has no ports, and so no Service",
            hint="name the container's `ports`",
        )
        return
    ranges = service.load_balancer_source_ranges
    if service.type == "LoadBalancer" and not ranges:
        what = "it is not said who may call the load balancer: no traffic would be allowed"
        hint = "set `service.loadBalancerSourceRanges`; `[0.0.0.0/0]` is everyone"
    elif service.external_traffic_policy == "Cluster":
        if network.node_ranges or any(text.endswith("/0") for text in ranges):
            return
        what = "pods would see the addresses of nodes, which the environment does not name: no traffic would be allowed"
        hint = (
            "set `service.externalTrafficPolicy: Local`, or the environment's `network.nodeRanges`"
        )
    elif service.type == "NodePort" and not _admits(resolved) and not network.gateway_ranges:
        what = "it is not said who may call the nodes' port: no traffic would be allowed"
        hint = "name a `cidr` in `network.allowFrom`, or the environment's `network.gatewayRanges`"
    else:
        return
    yield resolved.problem((*BASE, "type"), "no-callers", what, hint=hint)


def _admits(resolved: Resolved[Any]) -> bool:
    return any(peer.cidr for peer in resolved.spec.network.allow_from)
