"""The example fleet in a cluster: what it needs around it, its files, and its objects in order."""

import json
from functools import cache
from pathlib import Path

import yaml

from tests.cluster.plane import Object, Plane
from tests.tools import ROOT

ENVIRONMENTS = ("dev", "staging", "prod")
WORKLOADS = ("Deployment", "StatefulSet")


def folder(environment: str) -> Path:
    """Return the plain manifests of an environment."""
    return ROOT / "rendered" / environment


@cache
def files(environment: str) -> tuple[Path, ...]:
    """Return its files in the order of its kustomizations: Namespaces first."""
    return tuple(_files(folder(environment)))


def _files(place: Path) -> list[Path]:
    document = yaml.safe_load((place / "kustomization.yaml").read_text("utf-8"))
    found: list[Path] = []
    for name in document["resources"]:
        path = place / name
        found += _files(path) if path.is_dir() else [path]
    return found


@cache
def objects(environment: str) -> tuple[Object, ...]:
    """Return all objects of an environment in the order of their files."""
    texts = [file.read_text("utf-8") for file in files(environment)]
    return tuple(item for text in texts for item in yaml.load_all(text, Loader=yaml.CSafeLoader))


@cache
def namespaces(environment: str) -> tuple[str, ...]:
    """Return the namespaces of an environment."""
    return tuple(
        item["metadata"]["name"] for item in objects(environment) if item["kind"] == "Namespace"
    )


def with_disks(plane: Plane, found: tuple[Object, ...]) -> None:
    """Make a disk for each claim, as a storage driver would."""
    for item in found:
        if item["kind"] != "PersistentVolumeClaim":
            continue
        metadata, spec = item["metadata"], item["spec"]
        disk = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{metadata['namespace']}-{metadata['name']}"},
            "spec": {
                "capacity": {"storage": "1Ti"},
                "accessModes": spec["accessModes"],
                "storageClassName": spec.get("storageClassName", ""),
                "csi": {"driver": "simulated.example.com", "volumeHandle": metadata["name"]},
                "claimRef": {"namespace": metadata["namespace"], "name": metadata["name"]},
            },
        }
        plane.apply("-f", "-", text=json.dumps(disk))
