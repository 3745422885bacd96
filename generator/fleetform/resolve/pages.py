"""The page of a fleet: what an environment asks for, as a workload with a name and a place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform import kinds, view
from fleetform.resolve.resolved import Asked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleetform.models.environment import EnvironmentSpec
    from fleetform.resolve import Fleet, Resolved
    from fleetform.tree import Map, TreePath

KIND = "FleetPage"
"""What messages and releases call it."""
PLACE: TreePath = ("spec", "expose", "page")
"""Where an environment asks for it."""


class Page(Asked):
    """The page: an agent at the root of the shared host."""

    place = PLACE


def asked(environment: EnvironmentSpec, tree: Map, origin: str) -> Page | None:
    """Return the page, None if the environment asks for none; `tree` is the environment's, without nulls."""
    given = environment.expose.page
    if given is None:
        return None
    spec = {
        "auth": view.dump(given.auth),
        "resources": view.dump(given.resources),
        "podTemplate": view.dump(given.placement),
        "expose": {"path": "/"},
        "scaling": {"minReplicas": given.replicas, "maxReplicas": given.replicas},
    }
    return Page.of(tree, KIND, given.namespace, given.name, spec, origin)


def listed(fleet: Fleet) -> Iterator[Resolved[Any]]:
    """Yield the agents that have a page outside of the cluster; a canary is behind the page of the other agent."""
    for agent in fleet.of(kinds.AGENT):
        spec = agent.spec
        if spec.expose is not None and spec.container is None and spec.ui and not spec.canary_of:
            yield agent
