"""Plain manifests: a file per workload, one per namespace, and kustomization.yaml files for Flux."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fleetform import targets
from fleetform.files import File, Folders, Verbatim, generated
from fleetform.platforms.kubernetes.build import Build
from fleetform.platforms.kubernetes.objects import Manifest, Unit

NAMESPACES = "_namespaces"
"""Folder of the Namespaces, so that they can be applied first."""
SHARED = "_namespace.yaml"
"""What a namespace has once; no workload can be called so."""
KUSTOMIZATION = "kustomization.yaml"


def folders(build: Build) -> Folders:
    """Return `rendered/ENV`."""
    # Texts at once: the objects of each unit can go then.
    found: dict[str, File | Verbatim] = {
        path(unit): Verbatim(_file(unit).text) for unit in build.units
    }
    if build.plan.kustomization:
        found |= kustomizations([*found])
    return {targets.folder("manifests", build.plan.environment): found}


def _file(unit: Unit) -> File:
    names = own_names(unit.workload, unit.objects)
    return File(generated(unit.source), list(unit.objects), names)


def own_names(workload: str, objects: Iterable[Manifest]) -> tuple[str, ...]:
    """Return the names in which a workload's files differ from those of others, if in nothing else."""
    if not workload:
        return ()
    maps = [item["metadata"]["name"] for item in objects if item["kind"] == "ConfigMap"]
    return (*maps[:1], workload)


def path(unit: Unit) -> str:
    """Return the path of a unit below its environment's folder."""
    if not unit.namespace:
        return f"{NAMESPACES}/namespaces.yaml"
    return f"{unit.namespace}/{f'{unit.workload}.yaml' if unit.workload else SHARED}"


def kustomizations(paths: Iterable[str]) -> dict[str, File]:
    """Return a kustomization per namespace, and one that combines them."""
    names: dict[str, list[str]] = {}
    for path in paths:
        folder, _, file = path.partition("/")
        names.setdefault(folder, []).append(file)
    found = {
        f"{space}/{KUSTOMIZATION}": File(
            generated("the files beside it"), [kustomization(resources=sorted(members))]
        )
        for space, members in names.items()
    }
    every = kustomization(resources=sorted(names))
    found[KUSTOMIZATION] = File(generated("the folders beside it"), [every])
    return found


def kustomization(**body: Any) -> dict[str, Any]:
    """Return an object of kind Kustomization (kustomize.config.k8s.io)."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        **body,
    }
