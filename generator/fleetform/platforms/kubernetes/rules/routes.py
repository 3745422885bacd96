"""Routes from outside: hosts that the environment grants, and paths that take no other workload's requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleetform import kinds
from fleetform.lazy import regex
from fleetform.plan.exposure import hosts_of, path_of
from fleetform.problems import Problem
from fleetform.records import NamedTuple
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.hosts import is_deployed, published
from fleetform.resolve.pages import PLACE
from fleetform.tree import Map, TreePath, at, locate, problem_at


class Route(NamedTuple):
    """Where a workload is reached; the path as segments in lower case, since some gateways compare it so."""

    workload: Resolved[Any]
    host: str
    path: tuple[str, ...]
    place: TreePath
    """Where its host is named, `spec.expose` for the environment's."""

    @property
    def name(self) -> str:
        """Return what messages call the workload, with the file that exposes it."""
        item = self.workload
        return (
            f"{item.kind} `{item.namespace}/{item.name}` ({locate(item.tree, self.place)[0].file})"
        )

    @property
    def url(self) -> str:
        """Return host and path as messages write them."""
        by_name = self.place[:2] == SERVICE
        return self.host if by_name else f"{self.host}{path_of(self.workload)}"

    @property
    def chosen(self) -> bool:
        """Tell whether the spec chose its path, rather than being where agents are by default."""
        return self.path != ("agents", self.workload.name)

    def problem(self, code: str, message: str, hint: str) -> Problem:
        """Return a Problem of the whole route."""
        path = self.place if self.place[:2] == SERVICE else EXPOSE
        return self.workload.problem(path, code, message, hint=hint, key=True)


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield hosts that are not granted, and routes that take another workload's requests."""
    by_host: dict[str, list[Route]] = {}
    yield from _names(fleet.environment_tree, [("spec", *HOST)])
    for item in (item for kind in kinds.CALLABLE for item in fleet.of(kind)):
        yield from _names(item.tree, _named(item.tree))
        for route in _routes(fleet, item):
            yield from _granted(fleet, route)
            by_host.setdefault(route.host, []).append(route)
    for found in by_host.values():
        yield from _nested(found)
    yield from _at_the_page(fleet, by_host)
    for found in by_host.values():
        yield from _elsewhere(fleet, found)


def _routes(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[Route]:
    """Yield a route for each host of a workload, and for each that leads to its Service and to no route of it."""
    own: tuple[str, ...] = ()
    if resolved.spec.expose is not None:
        own = hosts_of(fleet, resolved)
        segments = path_of(resolved).lower().strip("/").split("/")
        places = {at(resolved.tree, path): path for path in reversed(_named(resolved.tree))}
        for host in own:
            yield Route(resolved, host, tuple(filter(None, segments)), places.get(host, EXPOSE))
    if is_deployed(resolved):
        names = {host: key for key, host in published(resolved) if host not in own}
        for host, key in names.items():
            yield Route(resolved, host, (), (*SERVICE, "annotations", key))


# -- hosts ---------------------------------------------------------------------------------------


HOST: TreePath = ("expose", "host")
HOSTS: TreePath = ("expose", "hosts")
EXPOSE: TreePath = ("spec", "expose")
SERVICE: TreePath = ("spec", "service")
ADDRESS = regex(r"[0-9]+(\.[0-9]+){3}")


def _named(tree: Map) -> list[TreePath]:
    """Return where the hosts of a spec's `expose` are."""
    number = len(at(tree, ("spec", *HOSTS)) or ())
    return [("spec", *HOST), *(("spec", *HOSTS, n) for n in range(number))]


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
            what = f"`{host}` is named twice"
            yield problem_at(tree, path, "duplicate-name", what, hint="remove one of them")
        seen |= {host} - {None}


def _granted(fleet: Fleet, route: Route) -> Iterator[Problem]:
    """Yield a host that neither the environment sets nor grants; what leads to its own is the environment's to say."""
    by_name, shared = route.place[:2] == SERVICE, fleet.environment.expose.host
    if route.place == EXPOSE or route.workload.by_environment(route.place):
        return
    if route.host == shared and not by_name:
        return
    if any(_covers(item, route) for item in fleet.environment.expose.hosts):
        return
    others = f", or leave it out to share `{shared}`" if shared and not by_name else ""
    yield route.workload.problem(
        route.place,
        "host-not-granted",
        f"the environment does not grant `{route.host}` to specs of the namespace `{route.workload.namespace}`",
        hint=f"add it to the environment's `expose.hosts`{others}",
    )


def _covers(grant: Any, route: Route) -> bool:
    names = [*grant.namespaces]
    if names and route.workload.namespace not in names:
        return False
    if "*" in route.host:
        return False  # it would be an answer for every host that has none, whosever it is
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


def _at_the_page(fleet: Fleet, by_host: dict[str, list[Route]]) -> Iterator[Problem]:
    """Yield routes at the root of the shared host, where the page of the fleet is; it takes what nobody else does."""
    page, host = fleet.page, fleet.environment.expose.host
    if page is None or host is None:
        return
    for route in by_host.get(host, ()):
        if not route.path:
            file = locate(page.tree, PLACE)[0].file
            yield route.problem(
                "route-clash",
                f"{route.url} is where the page of the fleet is ({file})",
                "give it another `path` or `host`, or remove the environment's `expose.page`",
            )


def _clash(first: Route, second: Route) -> Problem:
    return second.problem(
        "route-clash",
        f"{second.url} overlaps with {first.url} of {first.name}",
        "give one of them another `path` or `host`: gateways choose the longer path, and some ignore case",
    )


def _elsewhere(fleet: Fleet, found: list[Route]) -> Iterator[Problem]:
    """Yield routes on the host of another namespace."""
    first = found[0]
    for route in found[1:]:
        if route.workload.namespace != first.workload.namespace and not _is_shared(
            fleet, first, route
        ):
            yield route.problem(
                "route-clash",
                f"`{route.host}` is already the host of {first.name}, in another namespace",
                "use another `host`, or grant it to both namespaces by name in the environment's `expose.hosts`",
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
