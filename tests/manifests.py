"""Rendered fleets as plain objects, and the questions that several tests ask of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from tests.fleet import write
from tests.tools import ROOT

from fleetform.pipeline import render
from tests import generated

Object = dict[str, Any]
WORKLOADS = ("Deployment", "StatefulSet")


@dataclass(frozen=True)
class Tree:
    """One rendered environment."""

    name: str
    objects: tuple[Object, ...]

    def of(self, *kinds: str) -> list[Object]:
        """Return the objects of some kinds."""
        return [item for item in self.objects if item["kind"] in kinds]


@cache
def trees() -> tuple[Tree, ...]:
    """Return the example fleet's environments, the goldens, and generated fleets."""
    folders = [*(ROOT / "rendered").iterdir(), *(ROOT / "tests/golden").glob("*/expected")]
    found = [_committed(folder) for folder in sorted(folders)]
    return (*found, *(_generated(seed) for seed in range(6)))


def _committed(folder: Path) -> Tree:
    texts = [file.read_text("utf-8") for file in sorted(folder.rglob("*.yaml"))]
    return Tree(str(folder.relative_to(ROOT)), _objects(texts))


def _generated(seed: int) -> Tree:
    with TemporaryDirectory() as folder:
        root = write(Path(folder), generated.fleet(seed))
        texts = render([root / "agents"], root / "environments", "prod").texts
    return Tree(f"seed {seed}", _objects(texts.values()))


def _objects(texts: Iterable[str]) -> tuple[Object, ...]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = [item for text in texts for item in yaml.load_all(text, Loader=loader)]
    return tuple(item for item in found if item["kind"] != "Kustomization")


def identity(item: Object) -> tuple[str, str, str, str]:
    """Return what must be unique in a cluster."""
    group = item["apiVersion"].rpartition("/")[0]
    metadata = item["metadata"]
    return group, item["kind"], metadata.get("namespace", ""), metadata["name"]


def pod(workload: Object) -> Object:
    """Return the pod spec of a workload."""
    return workload["spec"]["template"]["spec"]


def containers(workload: Object) -> Iterator[Object]:
    """Yield all containers of a workload's pods."""
    yield from pod(workload)["containers"]
    yield from pod(workload).get("initContainers", ())


def selects(selector: Object, workload: Object) -> bool:
    """Tell whether a label selector matches a workload's pods."""
    labels = workload["spec"]["template"]["metadata"]["labels"]
    wanted = selector.get("matchLabels", {}) if "matchLabels" in selector else selector
    return all(labels.get(key) == value for key, value in wanted.items())
