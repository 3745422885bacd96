"""The render targets: one row each, implemented by the module of the same name in its platform's `targets/`.

Such a module has `folders(build)`, which returns the files of each folder that the target owns, and
may have `problems(build)`, for objects that the target cannot express.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from types import ModuleType

from fleetform.records import NamedTuple


class Target(NamedTuple):
    """A render target: `folder` contains an environment's files, `writes` describes them."""

    name: str
    platform: str
    folder: str
    writes: str


TARGETS = (
    Target("manifests", "kubernetes", "rendered/{}", "plain manifests, for Flux or kubectl"),
    Target("helm", "kubernetes", "charts/values/{}", "values of the two Helm charts"),
    Target("kustomize", "kubernetes", "kustomize/overlays/{}", "an overlay on kustomize/base"),
    Target("flux", "kubernetes", "flux/{}", "the objects that tell Flux what to apply"),
    Target("argocd", "kubernetes", "argocd/{}", "the objects that tell Argo CD what to apply"),
    Target(
        "argo-workflows",
        "kubernetes",
        "argo-workflows/{}",
        "the objects by which Argo Workflows executes workflows, instead of Jobs and pods of our own",
    ),
    Target("compose", "compose", "compose/{}", "compose.yaml, for a laptop or a VM"),
)
BY_NAME = {target.name: target for target in TARGETS}
NAMES = tuple(BY_NAME)
DEFAULT = "manifests"
ARGO = "argo-workflows"
"""The target that decides who executes workflows; an environment that has it leaves them to Argo Workflows."""


def folder(name: str, environment: str) -> str:
    """Return the folder of an environment that a target owns."""
    return BY_NAME[name].folder.format(environment)


def platforms(names: Iterable[str]) -> tuple[str, ...]:
    """Return the platforms of some targets, each once, in order."""
    return tuple(dict.fromkeys(BY_NAME[name].platform for name in names))


def module(name: str) -> ModuleType:
    """Return the module of a target, imported on demand."""
    file = name.replace("-", "_")
    return import_module(f"fleetform.platforms.{BY_NAME[name].platform}.targets.{file}")
