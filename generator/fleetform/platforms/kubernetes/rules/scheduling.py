"""Tolerations, affinity and spread constraints that an API server refuses, or that are not a spec's to say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.platforms.kubernetes import scheduling
from fleetform.platforms.kubernetes.rules import passed
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.collector import PLACE
from fleetform.resolve.pages import PLACE as PAGE
from fleetform.rules.pods import placed
from fleetform.tree import TreePath, problem_at

if TYPE_CHECKING:
    from fleetform.models.environment import Placement

_AFFINITY = ("Deployment", "io.k8s.api.core.v1.Affinity")
_SET = frozenset({"tolerations", "affinity", "topology_spread_constraints"})


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield what the scheduler's fields of pods hold that no API server takes, and what they take from others."""
    for resolved, spec, root in placed(fleet):
        template = spec.pod_template
        if not _SET & view.given(template):
            continue
        path = (*root, "podTemplate")
        pod, said = _sound(resolved, path, view.dump(template))
        yield from said
        for fault in scheduling.faults(pod):
            where = (*path, *fault.path)
            yield resolved.problem(where, "bad-scheduling", fault.message, hint=fault.hint)
        yield from _beyond(fleet, resolved, path, pod)
    yield from _of_environment(fleet)


def _of_environment(fleet: Fleet) -> Iterator[Problem]:
    """Yield the same of pods that the environment places."""
    collector, page = fleet.environment.monitoring.collector, fleet.environment.expose.page
    rows: list[tuple[TreePath, Placement]] = [(("spec", "backups"), fleet.environment.backups)]
    if collector is not None:
        rows.append(((*PLACE, "placement"), collector.placement))
    if page is not None:
        rows.append(((*PAGE, "placement"), page.placement))
    for path, given in rows:
        for fault in scheduling.faults(view.dump(given)):
            where = (*path, *fault.path)
            tree = fleet.environment_tree
            yield problem_at(tree, where, "bad-scheduling", fault.message, hint=fault.hint)


def _sound(
    resolved: Resolved[Any], path: TreePath, pod: Mapping[str, Any]
) -> tuple[Mapping[str, Any], list[Problem]]:
    """Return a pod without the parts of its affinity that have no form, and what is wrong with those."""
    affinity = dict(pod.get("affinity") or {})
    said = [*passed.unlike(resolved, (*path, "affinity"), _AFFINITY, affinity)] if affinity else []
    for broken, _ in said:
        if broken:
            affinity.pop(broken[0], None)
    return {**pod, "affinity": affinity}, [problem for _, problem in said]


def _beyond(
    fleet: Fleet, resolved: Resolved[Any], path: TreePath, pod: Mapping[str, Any]
) -> Iterator[Problem]:
    """Yield what a spec does to nodes and pods of others, unless the environment says it."""
    for fault in scheduling.trespasses(pod, fleet.target_namespace(resolved.namespace)):
        # Layers replace both lists as a whole.
        last = next(place for place, step in enumerate(fault.path) if isinstance(step, int))
        if not resolved.by_environment((*path, *fault.path[:last])):
            yield resolved.problem(
                (*path, *fault.path),
                "placement-not-granted",
                f"{fault.message}: that is not a spec's to say",
                hint=f"{fault.hint}, or let the Environment's `defaults` or `patches` in environments/ set it",
            )
