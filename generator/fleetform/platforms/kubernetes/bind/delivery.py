"""Which tool applies the output, and the annotations that keep it from breaking objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform.names import fit
from fleetform.platforms.kubernetes.model import Gitops, Source
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.resolve import Fleet

FLUX = "kustomize.toolkit.fluxcd.io"
NAMESPACE = {"argocd": "argocd"}
"""Where the tool's own objects are, unless the environment says otherwise; else with Flux."""
OWN_CLUSTER = "https://kubernetes.default.svc"
CHARTS = ("namespace", "agent")


def retained(fleet: Fleet) -> dict[str, str]:
    """Return the annotations of objects that must not be pruned: old configuration, data."""
    tool = fleet.environment.gitops.tool
    keep = {"helm.sh/resource-policy": "keep"}
    if tool == "flux":
        keep[f"{FLUX}/prune"] = "disabled"
    if tool == "argocd":
        keep["argocd.argoproj.io/sync-options"] = "Delete=false,Prune=false"
    return keep


def verbatim(fleet: Fleet) -> dict[str, str]:
    """Return the annotations of objects with user text, since Flux fails on any `${NAME}` in it."""
    return {f"{FLUX}/substitute": "disabled"} if fleet.environment.gitops.tool == "flux" else {}


def gitops(fleet: Fleet) -> Gitops:
    """Return how Flux or Argo CD delivers an environment."""
    given = fleet.environment.gitops
    source, argo = given.source, given.argocd
    sources = tuple(_sources(fleet))
    cluster = {"name": argo.cluster} if argo.cluster else {"server": argo.server or OWN_CLUSTER}
    return Gitops(
        namespace=given.namespace or NAMESPACE.get(given.tool, "flux-system"),
        kind=source.kind,
        source=source.name,
        sources=sources,
        charts={chart: _chart_source(fleet, chart) for chart in CHARTS}
        if _is_remote(fleet)
        else {},
        helm=given.way == "helm",
        path=given.path,
        interval=given.interval,
        retry_interval=given.retry_interval,
        timeout=given.timeout,
        url=source.url or "",
        revision=source.tag or source.branch or "HEAD",
        project=argo.project or "",
        destination=cluster,
    )


def _is_remote(fleet: Fleet) -> bool:
    charts: str = fleet.environment.helm.charts
    return charts.startswith("oci://")


def _chart_source(fleet: Fleet, chart: str) -> str:
    return fit(f"{fleet.environment_name}-chart-{chart}")


def source_secrets(fleet: Fleet) -> Iterator[tuple[TreePath, str, str]]:
    """Yield the Secrets that rendered sources sign in with: the path of the field, namespace and name."""
    given, helm = fleet.environment.gitops, fleet.environment.helm
    space = given.namespace or NAMESPACE.get(given.tool, "flux-system")
    if "flux" not in fleet.targets:
        return
    if given.source.url and given.source.secret:
        yield ("spec", "gitops", "source", "secret"), space, given.source.secret
    if given.way == "helm" and _is_remote(fleet) and helm.secret:
        yield ("spec", "helm", "secret"), space, helm.secret


def _sources(fleet: Fleet) -> Iterator[Source]:
    """Yield the sources that do not exist yet."""
    given, helm = fleet.environment.gitops, fleet.environment.helm
    source = given.source
    if source.url:
        ref: dict[str, str] = {}
        if source.kind == "OCIRepository":
            ref = {"digest": source.digest} if source.digest else {"tag": source.tag or "latest"}
        else:
            ref = {"tag": source.tag} if source.tag else {"branch": source.branch or "main"}
        yield Source(source.kind, source.name, source.url, ref, source.secret or "")
    if given.way == "helm" and _is_remote(fleet):
        digests = {str(chart): digest for chart, digest in helm.digests.items()}
        for chart in CHARTS:
            digest = digests.get(chart)
            ref = {"digest": digest} if digest else {"tag": helm.version or "latest"}
            url = f"{helm.charts.rstrip('/')}/{chart}"
            name = _chart_source(fleet, chart)
            yield Source("OCIRepository", name, url, ref, helm.secret or "")
