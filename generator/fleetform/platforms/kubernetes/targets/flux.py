"""Flux: what applies the Namespaces, then each namespace, from plain manifests or with the charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fleetform import targets
from fleetform.files import File, Folders, generated
from fleetform.platforms.kubernetes.build import Build
from fleetform.platforms.kubernetes.kinds import READY
from fleetform.platforms.kubernetes.model import Source
from fleetform.platforms.kubernetes.objects.manifest import Manifest, data, manifest
from fleetform.platforms.kubernetes.targets import helm
from fleetform.platforms.kubernetes.targets.gitops import (
    delivering,
    flow_folder,
    flow_name,
    flows,
    has_namespaces,
    labels,
    name,
    path,
    rendered,
    spaces,
)
from fleetform.platforms.kubernetes.targets.helm import Release
from fleetform.platforms.kubernetes.targets.manifests import KUSTOMIZATION, kustomization
from fleetform.problems import Problem

API = "kustomize.toolkit.fluxcd.io/v1"
KUSTOMIZATIONS = "kustomizations.yaml"
SOURCES = "sources.yaml"
RELEASES = "releases"
VERBATIM = {"kustomize.toolkit.fluxcd.io/substitute": "disabled"}
RETRIES = 3


def folders(build: Build) -> Folders:
    """Return `flux/ENV`: the files above `releases` are for the cluster's own Kustomization."""
    source = generated(f"environment {build.plan.environment}")
    files = {KUSTOMIZATIONS: File(source, [*_kustomizations(build)])}
    if build.plan.gitops.sources:
        files[SOURCES] = File(source, [_source(build, item) for item in build.plan.gitops.sources])
    # This keeps Flux from including the releases, whose namespaces do not exist yet.
    top = kustomization(resources=sorted(files))
    files[KUSTOMIZATION] = File(generated("the files beside it"), [top])
    if build.plan.gitops.helm:
        files |= _releases(build)
    return {targets.folder("flux", build.plan.environment): files}


def problems(build: Build) -> Iterator[Problem]:
    """Yield what a HelmRelease cannot hold."""
    if not build.plan.gitops.helm:
        return
    if "helm" not in build.plan.targets:
        yield from helm.problems(build)
    marks = {(plan.namespace, plan.name): plan.mark for plan in build.plan.workloads}
    for release in helm.releases(build):
        mark = marks.get((release.namespace, release.name))
        if mark is not None and _has_merge_key(release.document):
            yield Problem(
                "error",
                "merge-key",
                "a key `<<` would be lost: Flux builds the values with Kustomize, which treats it as YAML's merge key",
                mark.file,
                mark.line,
                mark.column,
                "metadata.name",
                "rename it, or let Flux apply the plain manifests (`gitops.way`)",
            )


def _has_merge_key(value: Any) -> bool:
    if isinstance(value, dict):
        return "<<" in value or any(map(_has_merge_key, value.values()))
    return isinstance(value, list) and any(map(_has_merge_key, value))


def _source(build: Build, source: Source) -> Manifest:
    spec: dict[str, Any] = {
        **({"provider": "generic"} if source.kind == "OCIRepository" else {}),
        "interval": build.plan.gitops.interval,
        "timeout": "60s",
        "url": source.url,
        "ref": data(source.ref),
    }
    if source.secret:
        spec["secretRef"] = {"name": source.secret}
    api = "source.toolkit.fluxcd.io/v1"
    return delivering(build, api, source.kind, source.name, spec=spec)


# -- Kustomizations ------------------------------------------------------------------------------


def _kustomizations(build: Build) -> Iterator[Manifest]:
    environment = build.plan.environment
    first = name(environment) if has_namespaces(build) else ""
    if first:
        yield _kustomization(build, first, rendered(build))
    for space in spaces(build):
        folder = (
            path(build, "flux", environment, RELEASES, space)
            if build.plan.gitops.helm
            else rendered(build, space)
        )
        checks = [] if build.plan.gitops.helm else _checks(build, space)
        yield _kustomization(build, name(environment, space), folder, first, checks)
    for space in flows(build):
        # What it runs as, the secrets of its steps and its agents are in the namespace's own.
        after = name(environment, space)
        yield _kustomization(build, flow_name(environment, space), flow_folder(build, space), after)


def _checks(build: Build, space: str, workload: str | None = None) -> list[dict[str, str]]:
    """Return health checks for the custom resources of a namespace, or of one unit of it."""
    kinds = {
        (item["apiVersion"], item["kind"])
        for unit in build.units
        if unit.namespace == space and workload in (None, unit.workload)
        for item in unit.objects
    }
    return [
        {"apiVersion": api, "kind": kind, "current": current}
        for (api, kind), current in sorted(READY.items())
        if (api, kind) in kinds
    ]


def _kustomization(
    build: Build,
    title: str,
    folder: str,
    first: str = "",
    checks: Sequence[dict[str, str]] = (),
) -> Manifest:
    """Return a Kustomization that waits for everything it applies; variables are never substituted."""
    gitops = build.plan.gitops
    spec: dict[str, Any] = {
        **({"dependsOn": [{"name": first}]} if first else {}),
        "interval": gitops.interval,
        "retryInterval": gitops.retry_interval,
        "timeout": gitops.timeout,
        "sourceRef": {"kind": gitops.kind, "name": gitops.source},
        "path": f"./{folder}",
        "prune": True,
        "force": False,
        "wait": True,
        **({"healthCheckExprs": [*checks]} if checks else {}),
    }
    return delivering(build, API, "Kustomization", title, spec=spec)


# -- releases ------------------------------------------------------------------------------------


def _releases(build: Build) -> dict[str, File]:
    """Return a file per release; each waits for those before it in the order of `releases`."""
    callees = {
        (plan.namespace, plan.name): {*plan.callees, (plan.namespace, helm.SHARED)}
        for plan in build.plan.workloads
    }
    files: dict[str, File] = {}
    before: list[Release] = []
    for release in helm.releases(build):
        wanted = callees.get((release.namespace, release.name), set())
        needs = [item for item in before if (item.namespace, item.name) in wanted]
        document = _release(build, release, needs)
        where = f"{RELEASES}/{release.namespace}/{release.name}.yaml"
        files[where] = File(generated(release.source), [document])
        before.append(release)
    return files


def _release(build: Build, release: Release, needs: list[Release]) -> Manifest:
    gitops = build.plan.gitops
    workload = "" if release.name == helm.SHARED else release.name
    checks = _checks(build, release.namespace, workload)
    names = [{"name": item.name, "namespace": item.namespace} for item in needs]
    has_test = release.document.get("tests", {}).get("enabled", True)
    # The end of a Job is later than a delivery may last.
    jobs = {"disableWaitForJobs": True} if release.document.get("kind") == "Job" else {}
    spec: dict[str, Any] = {
        **({"dependsOn": names} if names else {}),
        "interval": gitops.interval,
        "timeout": gitops.timeout,
        "releaseName": release.name,
        **_chart(build, release.chart),
        "install": {**jobs, "remediation": {"retries": RETRIES}},
        "upgrade": {
            "cleanupOnFail": True,
            **jobs,
            "remediation": {
                "retries": RETRIES,
                "remediateLastFailure": True,
                "strategy": "rollback",
            },
        },
        **({"rollback": jobs} if jobs else {}),
        **({"test": {"enable": True}} if has_test else {}),
        "driftDetection": {"mode": "enabled"},
        **({"waitStrategy": {"name": "poller"}, "healthCheckExprs": checks} if checks else {}),
        "values": release.document,
    }
    return manifest(
        "helm.toolkit.fluxcd.io/v2",
        "HelmRelease",
        release.name,
        release.namespace,
        labels(build, release.name),
        VERBATIM,
        spec=spec,
    )


def _chart(build: Build, chart: str) -> dict[str, Any]:
    """Return where a chart is: in a registry, or in the repository, where any new revision counts."""
    gitops = build.plan.gitops
    if chart in gitops.charts:
        reference = {"kind": "OCIRepository", "name": gitops.charts[chart]}
        return {"chartRef": {**reference, "namespace": gitops.namespace}}
    source = {"kind": gitops.kind, "name": gitops.source, "namespace": gitops.namespace}
    spec = {
        "chart": f"./{path(build, build.plan.charts, chart)}",
        "version": "*",
        "reconcileStrategy": "Revision",
        "sourceRef": source,
    }
    return {"chart": {"spec": spec}}
