"""An abstract environment → the plan of what it decides alone: the base that others differ from.

It is never shipped, so nothing here is a Problem: what asks for something that only the environments
built on it have is left out, and so is a workload that cannot be planned without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from fleetform import view
from fleetform.plan import close, draft_all, whole
from fleetform.plan.model import FleetPlan, NamespacePlan
from fleetform.problems import Problem, errors
from fleetform.resolve import WORKLOADS, Fleet, Resolved
from fleetform.rules import environments
from fleetform.tree import Map, Path


@dataclass(frozen=True, slots=True)
class Watched(Resolved):
    """A workload that remembers the errors that are said of it."""

    said: list[Problem] = field(default_factory=list)

    def problem(self, path: Path, code: str, message: str, **more: Any) -> Problem:
        """Return a Problem that stands where a value of this document was set."""
        found = Resolved.problem(self, path, code, message, **more)
        self.said.extend(errors([found]))
        return found


def outline(fleet: Fleet) -> FleetPlan:
    """Return what can be planned of a fleet, which is changed on the way."""
    for kind in WORKLOADS:
        for resolved in [*fleet.of(kind)]:
            fleet.specs[kind][resolved.key] = _watched(_modest(fleet, resolved))
    drafts, problems = draft_all(fleet)
    closed, spaces = close(
        fleet, [draft for draft in drafts if not _failed(draft.resolved)], problems
    )
    workloads = [plan for draft, plan in closed if not _failed(draft.resolved)]
    if len({space.name for space in spaces}) < len(spaces):
        return whole(fleet, [], [])  # two namespaces of one name are nobody's base
    sealed = bool(errors(environments.secret_store(fleet)))
    return whole(fleet, workloads, [*_spaces(spaces, sealed=sealed)])


def _failed(resolved: Resolved) -> bool:
    return isinstance(resolved, Watched) and bool(resolved.said)


def _watched(resolved: Resolved) -> Watched:
    return Watched(
        resolved.kind,
        resolved.namespace,
        resolved.name,
        resolved.tree,
        resolved.typed,
        resolved.layers,
        resolved.file,
        resolved.origin,
    )


def _modest(fleet: Fleet, resolved: Resolved) -> Resolved:
    """Return a workload without what it asks of an environment that does not have it."""
    if resolved.kind == "MemoryStore":
        return resolved
    tree = resolved.tree
    for problem in errors(environments.capabilities(fleet, resolved)):
        for path in (("spec", "expose"), ("spec", "scaling", "keda")):
            if problem.path.startswith(".".join(path)):
                tree = _without(tree, path)
    if tree is resolved.tree:
        return resolved
    return replace(resolved, tree=tree, typed=view.read(resolved.kind, tree))


def _without(tree: Map, path: Path) -> Map:
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
    """Yield namespaces, without ExternalSecrets when the environment does not say where they read."""
    for plan in plans:
        yield plan._replace(secrets=(), store_provider={}) if sealed else plan
