"""An abstract environment → the plan of what it decides alone: the base that overlays build on.

It is never deployed, so nothing here is a Problem: what needs something that only the child
environments have is left out, and so is a workload that cannot be planned without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleetform import view
from fleetform.kinds import WORKLOADS
from fleetform.plan import plan
from fleetform.plan.pages import COMPONENT
from fleetform.platforms.kubernetes import rules
from fleetform.platforms.kubernetes.bind import closed, whole
from fleetform.platforms.kubernetes.model import FleetPlan, NamespacePlan
from fleetform.platforms.kubernetes.rules import environments, secrets, services
from fleetform.problems import Problem, errors
from fleetform.resolve import Fleet, Resolved
from fleetform.tree import Map, TreePath


class Watched(Resolved[Any]):
    """A workload that records the errors reported about it."""

    said: list[Problem]

    def called(self, name: str) -> Watched:
        """Return the same document under another name; an error about one of them counts for both."""
        twin = Watched(*Resolved.called(self, name))
        twin.said = self.said
        return twin

    def problem(self, path: TreePath, code: str, message: str, **more: Any) -> Problem:
        """Return a Problem at the position where a value of this document was set."""
        found = Resolved.problem(self, path, code, message, **more)
        self.said.extend(errors([found]))
        return found


def outline(fleet: Fleet) -> FleetPlan:
    """Return what can be planned of a fleet, which is modified in the process."""
    for kind in WORKLOADS:
        for resolved in [*fleet.of(kind)]:
            fleet.specs[kind][resolved.key] = _watched(_without_unsupported(fleet, resolved))
    planned, problems = plan(fleet)
    problems += rules.problems(fleet)
    lacking = fleet.page is not None and errors(environments.exposed(fleet, fleet.page))
    members = [
        item
        for item in planned.workloads
        if not (_failed(item.resolved) or (lacking and item.component == COMPONENT))
    ]
    alive = {item.key for item in members}
    # Nothing may call, or be called by, a workload that is left out.
    kept = planned._replace(
        workloads=tuple(members),
        links=tuple(
            link for link in planned.links if link.caller in alive and link.callee in alive
        ),
    )
    bound, spaces = closed(fleet, kept, members, problems)
    failed = {item.key for item in members if _failed(item.resolved)}
    names = {(item.namespace, item.name) for item in members if item.key not in failed}
    workloads = [item for item in bound if (item.namespace, item.name) in names]
    if len({space.name for space in spaces}) < len(spaces):
        return whole(fleet, [], [])  # two namespaces with the same name cannot share a base
    sealed = bool(errors(secrets.rules(fleet)))
    return whole(fleet, workloads, [*_spaces(spaces, sealed=sealed)])


def _failed(resolved: Resolved[Any]) -> bool:
    return isinstance(resolved, Watched) and bool(resolved.said)


def _watched(resolved: Resolved[Any]) -> Watched:
    watched = Watched(*resolved)
    watched.said = []
    return watched


_CAN_DO_WITHOUT: tuple[tuple[str, ...], ...] = (
    ("spec", "expose"),
    ("spec", "scaling", "keda"),
    ("spec", "service"),
    ("spec", "delivery"),
)


def _without_unsupported(fleet: Fleet, resolved: Resolved[Any]) -> Resolved[Any]:
    """Return a workload without the settings that need a capability the environment lacks."""
    if resolved.kind == "MemoryStore":
        return resolved
    tree = resolved.tree
    lacking = [*environments.capabilities(fleet, resolved), *services.of(fleet, resolved)]
    for problem in errors(lacking):
        for path in _CAN_DO_WITHOUT:
            if problem.path.startswith(".".join(path)):
                tree = _without(tree, path)
    if tree is resolved.tree:
        return resolved
    return resolved.retyped(view.read(resolved.kind, tree))._replace(tree=tree)


def _without(tree: Map, path: TreePath) -> Map:
    """Return a tree without one field."""
    step, *rest = path
    twin = tree.clone()
    if rest and isinstance(twin.get(str(step)), Map):
        twin[str(step)] = _without(twin[str(step)], tuple(rest))
    else:
        twin.pop(str(step), None)
        twin.marks.pop(str(step), None)
    return twin


def _spaces(plans: list[NamespacePlan], *, sealed: bool) -> Iterator[NamespacePlan]:
    """Yield namespaces, without ExternalSecrets if the environment has no secret store."""
    for item in plans:
        yield item._replace(secrets=()) if sealed else item
