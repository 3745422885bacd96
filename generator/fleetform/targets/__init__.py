"""Built environments → files: the literal list of targets, one module each, all of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from fleetform.problems import Problem
from fleetform.targets import argocd, flux, helm, kustomize, manifests
from fleetform.targets.build import Build, Folders


class Target(NamedTuple):
    """A way to deliver: the files that it writes, and what it cannot hold."""

    folders: Callable[[Build], Folders]
    problems: Callable[[Build], Iterator[Problem]] = lambda _: iter(())


TARGETS = {
    "manifests": Target(manifests.folders),
    "helm": Target(helm.folders, helm.problems),
    "kustomize": Target(kustomize.folders),
    "flux": Target(flux.folders, flux.problems),
    "argocd": Target(argocd.folders),
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
