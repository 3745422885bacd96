"""Secrets that patched objects name, and that nothing which is rendered makes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fleetform.platforms.kubernetes.model import FleetPlan, NamespacePlan
from fleetform.platforms.kubernetes.objects import Unit
from fleetform.platforms.kubernetes.objects.changes import Applied, overlap
from fleetform.platforms.kubernetes.objects.manifest import Manifest
from fleetform.problems import Problem
from fleetform.tree import TreePath

_LISTS = ("imagePullSecrets", "secretTargetRef", "secrets")
"""Fields of Kubernetes that hold references to Secrets."""
_MAKERS = {"ExternalSecret": ("spec", "target", "name"), "Certificate": ("spec", "secretName")}
"""Kinds that make a Secret, and where its name is."""


def missing(
    plan: FleetPlan, units: Iterable[Unit], applied: Iterable[Applied]
) -> Iterator[Problem]:
    """Yield a warning for each Secret that a patch names where others come from a store, and nothing makes it."""
    spaces = {space.name: space for space in plan.namespaces if space.store is not None}
    if not spaces:
        return
    made = {space.name: {*space.given_secrets} for space in spaces.values()}
    units = [unit for unit in units if unit.namespace in spaces]
    for unit in units:
        made[unit.namespace].update(_made(unit.objects))
    for unit in units:
        changed = [
            item
            for item in applied
            if (item.namespace, item.workload) == (unit.namespace, unit.workload)
        ]
        for item in unit.objects if changed else ():
            for path, name in named(item):
                if name not in made[unit.namespace]:
                    yield from _said(spaces[unit.namespace], item, path, name, changed)


def _made(objects: Iterable[Manifest]) -> Iterator[str]:
    for item in objects:
        node: Any = item
        for step in _MAKERS.get(item["kind"], ()):
            node = (node or {}).get(step)
        if isinstance(node, str):
            yield node


def named(item: Any, path: TreePath = ()) -> Iterator[tuple[TreePath, str]]:
    """Yield the place and name of every Secret that an object refers to, by the conventions of Kubernetes' fields."""
    if isinstance(item, list):
        for number, entry in enumerate(item):
            yield from named(entry, (*path, number))
    if not isinstance(item, dict) or item.get("kind") in _MAKERS:
        return
    for key, value in item.items():
        here = (*path, key)
        if key == "secretName" and isinstance(value, str):
            yield here, value
        elif key in _LISTS and isinstance(value, list):
            for number, entry in enumerate(value):
                if isinstance(entry, dict) and isinstance(entry.get("name"), str):
                    yield (*here, number, "name"), entry["name"]
        elif key.lower().endswith(("secret", "secretref", "secretkeyref")) and _is_name(value):
            yield (*here, "name"), value["name"]
        if key not in ("annotations", "labels"):
            yield from named(value, here)


def _is_name(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)


def _said(
    space: NamespacePlan, item: Manifest, path: TreePath, name: str, applied: list[Applied]
) -> Iterator[Problem]:
    """Yield the Problem at the patch that named it; what specs name is provided."""
    identity = item["kind"], item["metadata"]["name"]
    for done in reversed(applied):
        if (done.kind, done.name) == identity and any(
            overlap(change.path, path) for change in done.changes
        ):
            mark = done.patch.mark
            yield Problem(
                "warning",
                "secret-not-provided",
                f"no ExternalSecret makes the Secret `{name}` that {identity[0]} `{identity[1]}` names in the namespace `{space.name}` after the patch",
                mark.file,
                mark.line,
                mark.column,
                done.patch.path,
                f"create it by other means, then say so: `secrets.items.{name}: {{create: false}}`",
            )
            return
