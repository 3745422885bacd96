"""What the objects for Flux and Argo CD share: names, labels, and paths in the repository."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleetform.names import fit
from fleetform.platforms.kubernetes.build import Build
from fleetform.platforms.kubernetes.objects.manifest import (
    MANAGED_BY,
    PART_OF,
    Manifest,
    manifest,
)
from fleetform.platforms.kubernetes.targets.manifests import NAMESPACES
from fleetform.targets import ARGO, folder


def name(environment: str, space: str = "") -> str:
    """Return the name of the object that applies a namespace, or the Namespaces; also valid as a label value."""
    return fit(f"{environment}.{space}") if space else fit(environment, "-namespaces")


def path(build: Build, *steps: str) -> str:
    """Return a path in the repository."""
    return "/".join(filter(None, (build.plan.gitops.path, *steps)))


def rendered(build: Build, space: str = NAMESPACES) -> str:
    """Return the path of a namespace's plain manifests, or of the Namespaces."""
    return path(build, "rendered", build.plan.environment, space)


def spaces(build: Build) -> Iterator[str]:
    """Yield the namespaces that hold objects, in order."""
    yield from dict.fromkeys(unit.namespace for unit in build.units if unit.namespace)


def flows(build: Build) -> Iterator[str]:
    """Yield the namespaces whose workflows are left to Argo Workflows, in order."""
    yield from dict.fromkeys(plan.namespace for plan in build.plan.flows)


def flow_name(environment: str, space: str) -> str:
    """Return the name of the object that applies the workflows of a namespace; no namespace has a dot."""
    return name(environment, f"{space}.workflows")


def flow_folder(build: Build, space: str) -> str:
    """Return the path of the workflows of a namespace."""
    return path(build, *folder(ARGO, build.plan.environment).split("/"), space)


def has_namespaces(build: Build) -> bool:
    """Whether Namespaces are rendered."""
    return any(not unit.namespace for unit in build.units)


def delivering(build: Build, api: str, kind: str, name: str, **body: Any) -> Manifest:
    """Return an object for the tool itself."""
    return manifest(api, kind, name, build.plan.gitops.namespace, labels(build, name), **body)


def labels(build: Build, name: str) -> dict[str, str]:
    """Return the labels of the tool's objects."""
    return {
        "app.kubernetes.io/name": fit(name),
        "app.kubernetes.io/instance": build.plan.environment,
        "app.kubernetes.io/component": "delivery",
        "app.kubernetes.io/managed-by": MANAGED_BY,
        "app.kubernetes.io/part-of": PART_OF,
    }
