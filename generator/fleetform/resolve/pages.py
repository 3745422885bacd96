"""The page of a fleet: what an environment asks for, as a workload with a name and a place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform import kinds, view
from fleetform.problems import Problem
from fleetform.resolve import Resolved
from fleetform.tree import Map, TreePath, at, dotted, locate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleetform.resolve import Fleet

KIND = "FleetPage"
"""What messages and releases call it."""
PLACE: TreePath = ("spec", "expose", "page")
"""Where an environment asks for it."""
COMMON = ("auth", "resources")
"""Fields that it has in common with agents."""


def place_of(path: TreePath) -> TreePath:
    """Return where an environment says what is at a path of the page; that it is exposed is said by its being there."""
    return PLACE if path[1:2] == ("expose",) else (*PLACE, *path[1:])


class _Page(Resolved[Any]):
    """The page; at `spec` its tree has what the environment says of it, and Problems name that place."""

    __slots__ = ()

    def problem(self, path: TreePath, code: str, message: str, **more: Any) -> Problem:
        found = Resolved.problem(self, path, code, message, **more)
        return found._replace(path=dotted(place_of(path)))


def page_of(fleet: Fleet) -> Resolved[Any] | None:
    """Return the page, None if the environment asks for none.

    Its `spec` is that of an agent at the root of the shared host.
    """
    given, said = fleet.environment.expose.page, at(fleet.environment_tree, PLACE)
    if given is None:
        return None
    tree, metadata = fleet.environment_tree.clone(), Map(said.mark)
    metadata.put("name", given.name, locate(said, ("name",))[0])
    tree.put("metadata", metadata, said.mark)
    tree.put("spec", said, said.mark)
    spec = {key: said[key] for key in COMMON if key in said}
    spec["podTemplate"] = said.get("placement", {})
    spec["expose"] = {"path": "/"}
    spec["scaling"] = {"minReplicas": given.replicas, "maxReplicas": given.replicas}
    typed = view.read(kinds.AGENT.name, {"metadata": {"name": given.name}, "spec": spec})
    return _Page(
        KIND,
        given.namespace,
        given.name,
        tree,
        typed,
        typed.spec,
        (),
        said.mark.file,
        f"environment {fleet.environment_name}",
    )


def listed(fleet: Fleet) -> Iterator[Resolved[Any]]:
    """Yield the agents that have a page outside of the cluster; a canary is behind the page of the other agent."""
    for agent in fleet.of(kinds.AGENT):
        spec = agent.spec
        if spec.expose is not None and spec.container is None and spec.ui and not spec.canary_of:
            yield agent
