"""Rendered fleets as plain objects, and the questions that several tests ask of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from fleetform.pipeline import render
from fleetform.problems import SpecError, errors
from tests import generated
from tests.fleet import write
from tests.tools import ROOT

Object = dict[str, Any]
WORKLOADS = ("Deployment", "StatefulSet")
WITH_PODS = (*WORKLOADS, "Job")


@dataclass(frozen=True)
class Tree:
    """One rendered environment."""

    name: str
    objects: tuple[Object, ...]

    def of(self, *kinds: str) -> list[Object]:
        """Return the objects of some kinds."""
        return [item for item in self.objects if item["kind"] in kinds]

    def revisions(self) -> list[Object]:
        """Return the configurations of workloads: a namespace has a dashboard in a ConfigMap too."""
        board = "fleetform-dashboard"
        return [item for item in self.of("ConfigMap") if item["metadata"]["name"] != board]

    def with_pods(self) -> list[Object]:
        """Return what makes pods: of a Job that a schedule repeats the Job, whose pods are those of its CronJob."""
        found = self.of(*WITH_PODS)
        jobs = {identity(item)[2:] for item in self.of("Job")}
        return found + [item for item in self.of("CronJob") if identity(item)[2:] not in jobs]


COMMITTED = tuple(
    str(folder.relative_to(ROOT))
    for folder in sorted([*ROOT.glob("rendered/*"), *ROOT.glob("tests/golden/*/expected")])
)
GENERATED = tuple(f"seed-{seed}" for seed in range(6))
NAMES = (*COMMITTED, *GENERATED)
"""The example fleet's environments, the goldens, and fleets made by chance."""


@cache
def tree(name: str) -> Tree:
    """Return a rendered environment by its name."""
    if name in COMMITTED:
        files = sorted((ROOT / name).rglob("*.yaml"))
        return Tree(name, _objects(file.read_text("utf-8") for file in files))
    with TemporaryDirectory() as folder:
        root = write(Path(folder), generated.fleet(int(name.rpartition("-")[2])))
        try:
            rendering = render([root / "agents"], root / "environments", "prod", ["manifests"])
            texts = rendering.folders["rendered/prod"]
        except SpecError as error:
            raise AssertionError(errors(error.problems)) from None
    return Tree(name, _objects(texts.values()))


def beside(name: str) -> tuple[Object, ...]:
    """Return what the target of Argo Workflows has of a golden: it belongs to the same fleet, in a folder of its own."""
    folder = (ROOT / name).parent / "delivered/argo-workflows"
    return _objects(file.read_text("utf-8") for file in sorted(folder.rglob("*.yaml")))


def _objects(texts: Iterable[str]) -> tuple[Object, ...]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = [item for text in texts for item in yaml.load_all(text, Loader=loader)]
    return tuple(item for item in found if item["kind"] != "Kustomization")


def identity(item: Object) -> tuple[str, str, str, str]:
    """Return what must be unique in a cluster."""
    group = item["apiVersion"].rpartition("/")[0]
    metadata = item["metadata"]
    return group, item["kind"], metadata.get("namespace", ""), metadata["name"]


def workload_of(item: Object) -> tuple[str, str]:
    """Return namespace and name of the workload that an object belongs to: a Job has a hash in its own."""
    metadata = item["metadata"]
    return metadata["namespace"], metadata["labels"]["app.kubernetes.io/name"]


def pod(workload: Object) -> Object:
    """Return the pod spec of a workload."""
    return template(workload)["spec"]


def template(workload: Object) -> Object:
    """Return the template of a workload's pods."""
    spec, kind = workload["spec"], workload["kind"]
    if kind == "SandboxTemplate":
        return spec["podTemplate"]
    return (spec["jobTemplate"]["spec"] if kind == "CronJob" else spec)["template"]


def containers(workload: Object) -> Iterator[Object]:
    """Yield all containers of a workload's pods."""
    yield from pod(workload)["containers"]
    yield from pod(workload).get("initContainers", ())


def selects(selector: Object, workload: Object) -> bool:
    """Tell whether a label selector matches a workload's pods."""
    labels = template(workload)["metadata"]["labels"]
    wanted = selector.get("matchLabels", {}) if "matchLabels" in selector else selector
    return all(labels.get(key) == value for key, value in wanted.items())
