"""Plain manifests: a file per workload, and one per object that a namespace has once; kustomization.yaml files for Flux.

Two people who add something beside each other so write two files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fleetform import targets
from fleetform.files import File, Folders, Verbatim, generated
from fleetform.names import fit
from fleetform.platforms.kubernetes.build import Build
from fleetform.platforms.kubernetes.objects import Manifest, Unit

NAMESPACES = "_namespaces"
"""Folder of the Namespaces, so that they can be applied first."""
SHARED = "_namespace"
"""Folder of what a namespace has once, below its own; no workload can be called so."""
KUSTOMIZATION = "kustomization.yaml"
LONGEST = 200
"""Characters of a file's name: file systems take 255 bytes."""


def folders(build: Build) -> Folders:
    """Return `rendered/ENV`."""
    # Texts at once: the objects of each unit can go then.
    found: dict[str, File | Verbatim] = {
        place: Verbatim(file.text) for unit in build.units for place, file in _files(unit)
    }
    if build.plan.kustomization:
        found |= kustomizations([*found])
    return {targets.folder("manifests", build.plan.environment): found}


def _files(unit: Unit) -> Iterator[tuple[str, File]]:
    """Yield the files of a unit with their paths below the environment's folder."""
    if unit.workload:
        names = own_names(unit.workload, unit.objects)
        yield path(unit), File(generated(unit.source), list(unit.objects), names)
        return
    folder = f"{unit.namespace}/{SHARED}" if unit.namespace else NAMESPACES
    for item in unit.objects:
        yield f"{folder}/{file_of(item)}", File(generated(unit.source), [item])


def file_of(item: Manifest) -> str:
    """Return the name of the file of an object that a namespace has once; what is called alike stands together."""
    return fit(item["metadata"]["name"], f".{item['kind'].lower()}.yaml", LONGEST)


def own_names(workload: str, objects: Iterable[Manifest]) -> tuple[str, ...]:
    """Return the names in which a workload's files differ from those of others, if in nothing else."""
    if not workload:
        return ()
    maps = [item["metadata"]["name"] for item in objects if item["kind"] == "ConfigMap"]
    return (*maps[:1], workload)


def path(unit: Unit) -> str:
    """Return the path of a workload's file below its environment's folder."""
    return f"{unit.namespace}/{unit.workload}.yaml"


def kustomizations(paths: Iterable[str]) -> dict[str, File]:
    """Return a kustomization for each folder, which lists what is in it; the one above all combines them."""
    held: dict[str, set[str]] = {}
    for path in paths:
        rest = path
        while rest:
            folder, _, name = rest.rpartition("/")
            held.setdefault(folder, set()).add(name)
            rest = folder
    return {
        f"{folder}/{KUSTOMIZATION}" if folder else KUSTOMIZATION: File(
            generated(f"the {'files' if folder else 'folders'} beside it"),
            [kustomization(resources=sorted(names))],
        )
        for folder, names in held.items()
    }


def kustomization(**body: Any) -> dict[str, Any]:
    """Return an object of kind Kustomization (kustomize.config.k8s.io)."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        **body,
    }
