"""Built environments → files: the literal list of targets, one module each, all of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from fleetform.platforms.kubernetes.targets import argocd, flux, helm, kustomize, manifests
from fleetform.platforms.kubernetes.targets.build import Build, Folders
from fleetform.problems import Problem


class Target(NamedTuple):
    """A way to deliver: an environment's folder, the files that it writes, and what it cannot hold."""

    folder: Callable[[str], str]
    folders: Callable[[Build], Folders]
    problems: Callable[[Build], Iterator[Problem]] = lambda _: iter(())


TARGETS = {
    "manifests": Target(manifests.folder, manifests.folders),
    "helm": Target(helm.folder, helm.folders, helm.problems),
    "kustomize": Target(kustomize.folder, kustomize.folders),
    "flux": Target(flux.folder, flux.folders, flux.problems),
    "argocd": Target(argocd.folder, argocd.folders),
}


def problems(build: Build, targets: Iterable[str]) -> list[Problem]:
    """Return what stands in the way of the named targets."""
    return [problem for name in targets for problem in TARGETS[name].problems(build)]


def texts(build: Build, targets: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return texts by path, sorted, below each folder that the named targets own."""
    return {
        folder: {path: files[path].text for path in sorted(files)}
        for name in targets
        for folder, files in TARGETS[name].folders(build).items()
    }
