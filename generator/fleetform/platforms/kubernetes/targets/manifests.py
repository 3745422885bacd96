"""Plain manifests: a file per workload, one per namespace, and kustomization.yaml files for Flux."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fleetform import targets
from fleetform.files import File, Folders, generated
from fleetform.platforms.kubernetes.build import Build
from fleetform.platforms.kubernetes.objects import Unit

NAMESPACES = "_namespaces"
"""Folder of the Namespaces: whoever applies them first needs a path that holds nothing else."""
SHARED = "_namespace.yaml"
"""What a namespace has once; no workload can be called so."""
KUSTOMIZATION = "kustomization.yaml"


def folders(build: Build) -> Folders:
    """Return `rendered/ENV`."""
    found = {path(unit): File(generated(unit.source), list(unit.objects)) for unit in build.units}
    if build.plan.kustomization:
        found |= _kustomizations(build.units)
    return {targets.folder("manifests", build.plan.environment): found}


def path(unit: Unit) -> str:
    """Return the path of a unit below its environment's folder."""
    if not unit.namespace:
        return f"{NAMESPACES}/namespaces.yaml"
    return f"{unit.namespace}/{f'{unit.workload}.yaml' if unit.workload else SHARED}"


def _kustomizations(units: Iterable[Unit]) -> dict[str, File]:
    """Return a kustomization per namespace, and one that combines them."""
    names: dict[str, list[str]] = {}
    for unit in units:
        folder, _, file = path(unit).partition("/")
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
