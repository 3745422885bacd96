"""Paths and their handlers; the template of a path is also its label in metrics."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from fleetform_runtime.problems import HttpProblem

Answer = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler = Callable[[Request], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """A path, its handler, and its description in the OpenAPI document."""

    method: str
    path: str
    handler: Handler
    public: bool = False
    """Whether it is open to unauthenticated callers."""
    silent: bool = False
    """Whether it is left out of request metrics and logs: probes."""
    summary: str = ""
    body: Any = None
    answer: str = ""


class Router:
    """Finds routes; exact paths first."""

    def __init__(self, routes: list[Route]) -> None:
        self.routes = routes
        self._exact: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        if "{" not in route.path:
            self._exact.setdefault(route.path, {})[route.method] = route
            return
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]{1,256})", route.path))
        for known, methods in self._patterns:
            if known.pattern == pattern.pattern:
                methods[route.method] = route
                return
        self._patterns.append((pattern, {route.method: route}))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route and the parameters of the path.

        Raises:
            HttpProblem: there is no route, or not for this method.
        """
        methods, parameters = self._methods(path)
        if methods is None:
            raise HttpProblem("not_found", "see /openapi.json for all paths")
        route = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
        if route is None:
            allowed = ", ".join(sorted(methods))
            raise HttpProblem("method_not_allowed", f"try {allowed}", headers={"Allow": allowed})
        return route, parameters

    def _methods(self, path: str) -> tuple[dict[str, Route] | None, dict[str, str]]:
        if (exact := self._exact.get(path)) is not None:
            return exact, {}
        for pattern, methods in self._patterns:
            if found := pattern.fullmatch(path):
                return methods, found.groupdict()
        return None, {}
