"""The ways in which platforms bring an environment's output into a cluster."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster import fleet
from tests.cluster.plane import FIELD_MANAGER, Plane, identity, listed
from tests.fleet import fleetform
from tests.tools import ROOT

Way = Callable[[Plane, Path, str], None]
"""Apply what stands in a folder for an environment, to the end and without a warning."""


def files(plane: Plane, root: Path, environment: str) -> None:
    """Apply the plain manifests in the order of their kustomizations."""
    plane.apply(*(word for file in fleet.files(environment, root) for word in ("-f", file)))


def kustomize(plane: Plane, root: Path, environment: str) -> None:
    """Apply the overlay by kubectl's own Kustomize."""
    plane.apply("-k", root / "kustomize/overlays" / environment)


def flux(plane: Plane, root: Path, environment: str) -> None:
    """Apply everything at once, as its own field manager, and prune by inventory.

    The inventory is what was applied by this function before; it stands in the cluster, as Flux's
    does, and what forbids its pruning stays.
    """
    objects = fleet.objects(environment, root)
    plane.do(
        "apply",
        "--server-side",
        "--field-manager=kustomize-controller",
        "-f",
        "-",
        text=listed(objects),
    )
    place = ("configmap", f"inventory-{environment}", "-n", "default")
    there = plane.run("get", *place, "-o", "jsonpath={.data.entries}").stdout
    now = [[item["apiVersion"], *identity(item)] for item in objects]
    for version, kind, space, name in json.loads(there or "[]"):
        if [version, kind, space, name] not in now:
            _prune(plane, version, kind, space, name)
    entries = {"kind": "ConfigMap", "apiVersion": "v1", "data": {"entries": json.dumps(now)}}
    metadata = {"metadata": {"name": place[1], "namespace": "default"}}
    plane.apply("-f", "-", text=json.dumps({**entries, **metadata}))


def _prune(plane: Plane, version: str, kind: str, space: str, name: str) -> None:
    group = version.rpartition("/")[0]
    where = ("-n", space) if space else ()
    (live,) = plane.get(f"{kind}.{group}" if group else kind, name, *where)
    annotations = live["metadata"].get("annotations", {})
    if annotations.get("kustomize.toolkit.fluxcd.io/prune") != "disabled":
        plane.do("delete", f"{kind}.{group}" if group else kind, name, *where)


def helm_3(plane: Plane, root: Path, environment: str) -> None:
    """Install or upgrade each release with Helm 3."""
    _helm(plane, "helm3", root, environment)


def helm_4(plane: Plane, root: Path, environment: str) -> None:
    """Install or upgrade each release with Helm 4."""
    _helm(plane, "helm", root, environment)


def _helm(plane: Plane, version: str, root: Path, environment: str) -> None:
    """Bring in the releases as docs/helm.md says; those that are no longer there go."""
    plane.apply("-k", root / "rendered" / environment / "_namespaces")
    done = fleetform("releases", "--env", environment, "--format", "json", cwd=root)
    assert done.code == 0, done.err
    releases = json.loads(done.out)
    for release in releases:
        if root != ROOT and _same_values(release, root):
            continue  # what a second upgrade does is looked at where nothing changed
        command = ("upgrade", "--install", release["name"], root / release["chart"])
        values = [word for file in release["values"] for word in ("-f", root / file)]
        helm(plane, version, *command, "-n", release["namespace"], *values)
    wanted = {(release["namespace"], release["name"]) for release in releases}
    there = json.loads(helm(plane, version, "list", "--all-namespaces", "--output", "json"))
    for space, name in {(item["namespace"], item["name"]) for item in there} - wanted:
        helm(plane, version, "uninstall", name, "-n", space, "--wait")


def _same_values(release: dict[str, Any], root: Path) -> bool:
    """Tell whether a release of a changed fleet is as the example's."""
    pairs = [(root / file, ROOT / file) for file in release["values"]]
    return all(new.read_text("utf-8") == old.read_text("utf-8") for new, old in pairs)


def helm(plane: Plane, version: str, *arguments: str | Path) -> str:
    """Run Helm, which must succeed without a warning; return what it prints."""
    done = plane.helm(version, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr.lower(), done.stderr
    return done.stdout


WAYS: dict[str, Way] = {
    "files": files,
    "kustomize": kustomize,
    "flux": flux,
    "helm3": helm_3,
    "helm4": helm_4,
}
MANAGERS = {
    "files": FIELD_MANAGER,
    "kustomize": FIELD_MANAGER,
    "flux": "kustomize-controller",
    "helm3": "helm",
    "helm4": "helm",
}
"""Who owns the fields of what came in by each way."""
