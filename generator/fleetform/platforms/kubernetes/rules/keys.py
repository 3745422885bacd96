"""Labels and annotations of specs: none that somebody in the cluster obeys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fleetform import kinds
from fleetform.platforms.kubernetes import obeyed
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.names import has_containers
from fleetform.rules import metadata
from fleetform.rules.pods import placed
from fleetform.tree import TreePath

HINT = "let the Environment's `defaults` or `patches` in environments/ set it, or choose a key of your own, such as `example.com/tier`"


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield keys that decide more than a spec may, but for those that the environment itself sets."""
    for kind in kinds.WITH_OBJECTS:
        for resolved in fleet.of(kind):
            if kind in kinds.WORKLOADS and not has_containers(resolved):
                continue  # nothing is made of it
            own = resolved.typed.metadata
            yield from _maps(resolved, ("metadata",), own.labels, own.annotations)
    for resolved, spec, root in placed(fleet):
        pod = spec.pod_template
        labels = getattr(pod, "labels", ())
        yield from _maps(resolved, (*root, "podTemplate"), labels, pod.annotations)
        yield from _priority(
            fleet,
            resolved,
            (*root, "podTemplate", "priorityClassName"),
            spec.pod_template.priority_class_name,
        )


def _maps(
    resolved: Resolved[Any], path: TreePath, labels: Iterable[str], annotations: Iterable[str]
) -> Iterator[Problem]:
    for name, keys in (("labels", labels), ("annotations", annotations)):
        for key in keys:
            if (
                resolved.kind == kinds.WORKFLOW.name
                and path[0] == "spec"
                and obeyed.decides(key) == obeyed.MESH
            ):
                continue  # a mesh's sidecar keeps pods from ending; `fleetform policy` lists it
            yield from refused(resolved, (*path, name, key), key)


def _priority(
    fleet: Fleet, resolved: Resolved[Any], path: TreePath, name: str | None
) -> Iterator[Problem]:
    """Yield a class that the environment neither set nor grants."""
    granted = fleet.environment.priority_classes
    if name and name not in granted and not resolved.by_environment(path):
        known = f"granted: {', '.join(granted)}" if granted else "it grants none"
        yield resolved.problem(
            path,
            "placement-not-granted",
            f"pods of the class `{name}` push those of lower ones off their nodes, whosever they are: the environment does not grant it",
            hint=f"add it to the environment's `priorityClasses` ({known}), or let its `patches` set it",
        )


def refused(
    resolved: Resolved[Any], path: TreePath, key: str, hint: str = HINT
) -> Iterator[Problem]:
    """Yield the Problem of a key that decides more than a spec may, unless the environment set it."""
    decides = obeyed.decides(key)
    if decides and not resolved.by_environment(path) and not metadata.is_reserved(path, key):
        yield resolved.problem(
            path,
            "obeyed-key",
            f"`{key}` belongs to the keys that decide {decides}: that is not a spec's to say",
            hint=hint,
            key=True,
        )
