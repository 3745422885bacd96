"""Tolerations, affinity and spread constraints that an API server refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fleetform import view
from fleetform.platforms.kubernetes import scheduling
from fleetform.platforms.kubernetes.rules import passed
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.rules.pods import workloads
from fleetform.tree import TreePath

_AFFINITY = ("Deployment", "io.k8s.api.core.v1.Affinity")
_SET = frozenset({"tolerations", "affinity", "topology_spread_constraints"})


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield what the scheduler's fields of pods hold that no API server takes."""
    for resolved, spec, root in workloads(fleet):
        template = spec.pod_template
        if _SET & view.given(template):
            yield from _pod(resolved, (*root, "podTemplate"), view.dump(template))


def _pod(resolved: Resolved[Any], path: TreePath, pod: Mapping[str, Any]) -> Iterator[Problem]:
    affinity = dict(pod.get("affinity") or {})
    said = passed.unlike(resolved, (*path, "affinity"), _AFFINITY, affinity) if affinity else ()
    for broken, problem in [*said]:
        yield problem
        if broken:
            affinity.pop(broken[0], None)
    for fault in scheduling.faults({**pod, "affinity": affinity}):
        where = (*path, *fault.path)
        yield resolved.problem(where, "bad-scheduling", fault.message, hint=fault.hint)
