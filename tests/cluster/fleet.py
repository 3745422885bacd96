"""The example fleet in a cluster: what it needs around it, its files, and its objects in order."""

import shutil
from functools import cache
from pathlib import Path

import yaml

from tests.cluster.plane import CLUSTER_KINDS, OURS, Object, Plane
from tests.fleet import fleetform
from tests.tools import ROOT

ENVIRONMENTS = ("dev", "staging", "prod")
WORKLOADS = ("Deployment", "StatefulSet")


def files(environment: str, root: Path = ROOT) -> tuple[Path, ...]:
    """Return the files of an environment in the order of its kustomizations: Namespaces first."""
    return tuple(_files(root / "rendered" / environment))


def _files(place: Path) -> list[Path]:
    document = yaml.safe_load((place / "kustomization.yaml").read_text("utf-8"))
    found: list[Path] = []
    for name in document["resources"]:
        path = place / name
        found += _files(path) if path.is_dir() else [path]
    return found


@cache
def objects(environment: str, root: Path = ROOT) -> tuple[Object, ...]:
    """Return all objects of an environment in the order of their files."""
    texts = [file.read_text("utf-8") for file in files(environment, root)]
    return tuple(item for text in texts for item in yaml.load_all(text, Loader=yaml.CSafeLoader))


@cache
def namespaces(environment: str) -> tuple[str, ...]:
    """Return the namespaces of an environment."""
    return tuple(
        item["metadata"]["name"] for item in objects(environment) if item["kind"] == "Namespace"
    )


def cleared(plane: Plane) -> None:
    """Remove what any environment left in the cluster, and wait until it is gone.

    Pods and claims go before their namespaces, which would look for them at long intervals.
    """
    everywhere, patient = ("--all-namespaces", "-l", OURS), ("--wait=true", "--timeout=300s")
    plane.do("delete", "deployments,jobs", *everywhere, "--cascade=foreground", *patient)
    plane.do("delete", "persistentvolumeclaims", *everywhere, *patient)
    plane.do("delete", ",".join(CLUSTER_KINDS), "-l", OURS, *patient)
    plane.do("delete", "persistentvolumes", "--all", *patient)


def without(folder: Path, environment: str, file: str, agent: str) -> Path:
    """Return a copy of the example fleet, rendered, from whose specs an agent was deleted."""
    text = (ROOT / file).read_text("utf-8")
    (gone,) = [part for part in text.split("---\n") if f"\n  name: {agent}\n" in part]
    return changed(folder, environment, file, f"---\n{gone}", "")


def changed(folder: Path, environment: str, file: str, old: str, new: str) -> Path:
    """Return a copy of the example fleet, rendered, in one of whose files a text was replaced."""
    for name in ("agents", "environments", "charts"):
        shutil.copytree(ROOT / name, folder / name)
    path = folder / file
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")
    done = fleetform("render", "--env", environment, cwd=folder)
    assert done.code == 0, done.err
    return folder
