"""Routes from outside: hosts that the environment grants, and paths that take no other workload's requests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from fleetform import kinds
from fleetform.plan.exposure import hosts_of, path_of
from fleetform.problems import Mark, Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.tree import Map, TreePath, at, locate, problem_at


class Route(NamedTuple):
    """Where a workload is reached; the path as segments in lower case, since some gateways compare it so."""

    workload: Resolved[Any]
    host: str
    path: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return what messages call the workload, with the file that exposes it."""
        item = self.workload
        file = locate(item.tree, ("spec", "expose"))[0].file
        return f"{item.kind} `{item.namespace}/{item.name}` ({file})"

    @property
    def chosen(self) -> bool:
        """Tell whether the spec chose its path, rather than being where agents are by default."""
        return self.path != ("agents", self.workload.name)


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield hosts that are not granted, and routes that take another workload's requests."""
    exposed = [item for kind in kinds.CALLABLE for item in fleet.of(kind) if item.spec.expose]
    by_host: dict[str, list[Route]] = {}
    granted = _set_by_environment(fleet)
    yield from _names(fleet.environment_tree, [("spec", *HOST)])
    for item in exposed:
        yield from _names(item.tree, _named(item.tree, ("spec",)))
        for route in _routes(fleet, item):
            yield from _granted(fleet, route, granted)
            by_host.setdefault(route.host, []).append(route)
    for found in by_host.values():
        yield from _nested(found)
        yield from _elsewhere(fleet, found)


def _routes(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[Route]:
    segments = path_of(resolved).lower().strip("/").split("/")
    for host in hosts_of(fleet, resolved):
        yield Route(resolved, host, tuple(filter(None, segments)))


# -- hosts ---------------------------------------------------------------------------------------


HOST: TreePath = ("expose", "host")
HOSTS: TreePath = ("expose", "hosts")
ADDRESS = re.compile(r"[0-9]+(\.[0-9]+){3}")


def _named(tree: Map, base: TreePath) -> list[TreePath]:
    """Return where the hosts of an `expose` below `base` are."""
    number = len(at(tree, (*base, *HOSTS)) or ())
    return [(*base, *HOST), *((*base, *HOSTS, n) for n in range(number))]


def _names(tree: Map, paths: list[TreePath]) -> Iterator[Problem]:
    """Yield hosts that are named a second time, and addresses."""
    seen: set[str] = set()
    for path in paths:
        host = at(tree, path)
        if host is not None and ADDRESS.fullmatch(host):
            what = f"`{host}` is an address: a route is for names"
            hint = "write the name that leads to it"
            yield problem_at(tree, path, "bad-address", what, hint=hint)
        if host in seen:
            yield problem_at(
                tree, path, "duplicate-name", f"`{host}` is named twice", hint="remove one of them"
            )
        seen |= {host} - {None}


def _set_by_environment(fleet: Fleet) -> frozenset[Mark]:
    """Return where an environment's own defaults and patches set hosts."""
    tree = fleet.environment_tree
    number = len(at(tree, ("spec", "patches")) or ())
    bases: list[TreePath] = [("spec", "patches", n, "spec") for n in range(number)]
    bases += [("spec", "defaults", kind) for kind in kinds.CALLABLE]
    found = (locate(tree, path) for base in bases for path in _named(tree, base))
    return frozenset(mark for mark, whole in found if whole)


def _granted(fleet: Fleet, route: Route, granted: frozenset[Mark]) -> Iterator[Problem]:
    tree = route.workload.tree
    named = (path for path in _named(tree, ("spec",)) if at(tree, path) == route.host)
    path = next(named, ("spec", *HOST))
    mark, whole = locate(tree, path)
    shared = fleet.environment.expose.host
    if not whole or mark in granted or route.host == shared:
        return
    if any(_covers(item, route) for item in fleet.environment.expose.hosts):
        return
    others = f", or leave it out to share `{shared}`" if shared else ""
    yield route.workload.problem(
        path,
        "host-not-granted",
        f"the environment does not grant `{route.host}` to specs of the namespace `{route.workload.namespace}`",
        hint=f"add it to the environment's `expose.hosts`{others}",
    )


def _covers(grant: Any, route: Route) -> bool:
    names = [*grant.namespaces]
    if names and route.workload.namespace not in names:
        return False
    if grant.host.startswith("*."):
        return route.host.endswith(grant.host[1:])
    return bool(route.host == grant.host)


# -- paths ---------------------------------------------------------------------------------------


def _nested(found: list[Route]) -> Iterator[Problem]:
    """Yield routes of a host of which one takes requests of another: the longer path gets them, whoever is there."""
    paths: dict[tuple[str, ...], Route] = {}
    for route in found:
        paths.setdefault(route.path, route)
    for route in found:
        for number in range(len(route.path) + 1):
            other = paths.get(route.path[:number])
            if other is not None and other is not route:
                yield _clash(*_blamed(other, route))


def _clash(first: Route, second: Route) -> Problem:
    host = second.host
    return second.workload.problem(
        ("spec", "expose"),
        "route-clash",
        f"{host}{path_of(second.workload)} overlaps with {host}{path_of(first.workload)} of {first.name}",
        hint="give one of them another `path` or `host`: gateways choose the longer path, and some ignore case",
        key=True,
    )


def _elsewhere(fleet: Fleet, found: list[Route]) -> Iterator[Problem]:
    """Yield routes on the host of another namespace."""
    first = found[0]
    for route in found[1:]:
        if route.workload.namespace != first.workload.namespace and not _is_shared(
            fleet, first, route
        ):
            yield route.workload.problem(
                ("spec", "expose"),
                "route-clash",
                f"`{route.host}` is already the host of {first.name}, in another namespace",
                hint="use another `host`, or grant it to both namespaces by name in the environment's `expose.hosts`",
                key=True,
            )


def _blamed(one: Route, other: Route) -> tuple[Route, Route]:
    """Return two routes, the one to change last: it chose its path, else the longer one, else the later one."""
    if one.chosen != other.chosen:
        return (other, one) if one.chosen else (one, other)
    return (one, other) if len(other.path) >= len(one.path) else (other, one)


def _is_shared(fleet: Fleet, one: Route, other: Route) -> bool:
    """Tell whether namespaces may share a host: the environment's, or one granted to both by name."""
    expose = fleet.environment.expose
    spaces = {one.workload.namespace, other.workload.namespace}
    return one.host == expose.host or any(
        grant.host == one.host and spaces <= {*grant.namespaces} for grant in expose.hosts
    )
