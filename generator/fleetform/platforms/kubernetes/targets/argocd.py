"""Argo CD: a project limited to what the environment has, and an Application per namespace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleetform import targets
from fleetform.files import File, Folders, generated
from fleetform.platforms.kubernetes.build import Build
from fleetform.platforms.kubernetes.objects.manifest import Manifest, data
from fleetform.platforms.kubernetes.targets.gitops import (
    delivering,
    flow_folder,
    flow_name,
    flows,
    has_namespaces,
    name,
    rendered,
    spaces,
)
from fleetform.platforms.kubernetes.targets.manifests import KUSTOMIZATION, kustomization

API = "argoproj.io/v1alpha1"
WAVE = "argocd.argoproj.io/sync-wave"
COMPARE = {"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}
"""Compare with what the API server would store: operators of other versions have other defaults."""
FINALIZER = "resources-finalizer.argocd.argoproj.io"


def folders(build: Build) -> Folders:
    """Return `argocd/ENV`, which can itself be the path of an Application."""
    source = generated(f"environment {build.plan.environment}")
    files = {"applications.yaml": File(source, [*_applications(build)])}
    if not build.plan.gitops.project:
        files["project.yaml"] = File(source, [_project(build)])
    top = kustomization(resources=sorted(files))
    files[KUSTOMIZATION] = File(generated("the files beside it"), [top])
    return {targets.folder("argocd", build.plan.environment): files}


def _project_name(build: Build) -> str:
    return build.plan.gitops.project or f"fleetform-{build.plan.environment}"


def _project(build: Build) -> Manifest:
    """Return a project limited to its own namespaces and the rendered cluster-scoped kinds."""
    gitops = build.plan.gitops
    outside = {
        (item["apiVersion"].rpartition("/")[0], item["kind"])
        for unit in build.units
        for item in unit.objects
        if "namespace" not in item["metadata"]
    }
    spec: dict[str, Any] = {
        "description": f"Agents of {build.plan.environment}",
        "sourceRepos": [gitops.url],
        "destinations": [
            {**data(gitops.destination), "namespace": space} for space in _destinations(build)
        ],
        "clusterResourceWhitelist": [
            {"group": group, "kind": kind} for group, kind in sorted(outside)
        ],
    }
    return _object(build, "AppProject", _project_name(build), {WAVE: "-2"}, spec)


def _destinations(build: Build) -> Iterator[str]:
    yield from dict.fromkeys(
        [*spaces(build), *(plan.name for plan in build.plan.namespaces if plan.create)]
    )


def _applications(build: Build) -> Iterator[Manifest]:
    environment = build.plan.environment
    if has_namespaces(build):
        # A project only permits namespaces, and this one's objects are in none: any will do.
        first = next(_destinations(build))
        yield _application(build, name(environment), rendered(build), first, "-1")
    for space in spaces(build):
        yield _application(build, name(environment, space), rendered(build, space), space, "0")
    for space in flows(build):
        yield _application(
            build, flow_name(environment, space), flow_folder(build, space), space, "1"
        )


def _application(build: Build, title: str, folder: str, space: str, wave: str) -> Manifest:
    """Return an Application, which is retried until its Namespace exists."""
    gitops = build.plan.gitops
    spec: dict[str, Any] = {
        "project": _project_name(build),
        "source": {"repoURL": gitops.url, "targetRevision": gitops.revision, "path": folder},
        "destination": {**data(gitops.destination), "namespace": space},
        "syncPolicy": {
            "automated": {"prune": True, "selfHeal": True},
            "syncOptions": [
                "CreateNamespace=false",
                "FailOnSharedResource=true",
                "ServerSideApply=true",
            ],
            "retry": {
                "limit": 10,
                "backoff": {"duration": "10s", "factor": 2, "maxDuration": "5m"},
            },
        },
    }
    found = _object(build, "Application", title, {WAVE: wave}, spec)
    found["metadata"]["finalizers"] = [FINALIZER]
    found["metadata"]["annotations"] |= COMPARE
    return found


def _object(
    build: Build, kind: str, title: str, annotations: dict[str, str], spec: dict[str, Any]
) -> Manifest:
    found = delivering(build, API, kind, title, spec=spec)
    found["metadata"]["annotations"] = annotations
    return found
