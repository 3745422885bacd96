"""Settings of Helm, Flux and Argo CD that no target of the environment uses."""

from __future__ import annotations

from collections.abc import Iterator

from fleetform.resolve import Fleet
from fleetform.resolve.switches import installs_charts
from fleetform.rules.idle.rows import Row
from fleetform.tree import TreePath

TO_TARGETS = "add the target to `targets`, or remove it"
GITOPS: TreePath = ("spec", "gitops")
SOURCE: TreePath = (*GITOPS, "source")


def delivery(fleet: Fleet) -> Iterator[Row]:
    """Yield every delivery setting, and whether a target uses it."""
    # A run may render fewer targets than the environment has.
    targets = {*fleet.targets, *fleet.environment.targets}
    flux, argocd = "flux" in targets, "argocd" in targets
    yield from _helm(fleet, flux=flux)
    why = "`compose` is not among the targets"
    yield Row(("spec", "compose", "ports"), "compose" in targets, why, TO_TARGETS)
    tool = "neither `flux` nor `argocd` is among the targets"
    for name in ("namespace", "path"):
        yield Row((*GITOPS, name), flux or argocd, tool, TO_TARGETS)
    for name in ("interval", "retryInterval", "timeout"):
        yield Row((*GITOPS, name), flux, "`flux` is not among the targets", TO_TARGETS)
    # Argo CD has its own rule about `way`.
    yield Row((*GITOPS, "way"), flux or argocd, "`flux` is not among the targets", TO_TARGETS)
    for name in ("project", "server", "cluster"):
        why = "`argocd` is not among the targets"
        yield Row((*GITOPS, "argocd", name), argocd, why, TO_TARGETS)
    if flux or argocd:
        yield from _source(fleet, flux=flux)
    else:
        yield Row(SOURCE, used=False, why=tool, hint=TO_TARGETS)


def _helm(fleet: Fleet, *, flux: bool) -> Iterator[Row]:
    environment = fleet.environment
    released = flux and environment.gitops.way == "helm"
    remote = environment.helm.charts.startswith("oci://")
    base: TreePath = ("spec", "helm")
    why = "`helm` is not among the targets, and Flux installs no release"
    charted = installs_charts(fleet)
    for name in ("charts", "version"):
        yield Row((*base, name), charted, why, TO_TARGETS)
    test = environment.helm.test
    yield Row((*base, "test", "enabled"), charted, why, TO_TARGETS)
    on = test.enabled and charted
    off = "no release has a test" if charted else why
    yield Row((*base, "test", "image"), on, off, "remove it")
    for name in ("digests", "secret"):
        why = "Flux takes no chart from an OCI repository"
        hint = "set `gitops.way: helm` and `helm.charts: oci://…`, or remove it"
        yield Row((*base, name), released and remote, why, hint)


def _source(fleet: Fleet, *, flux: bool) -> Iterator[Row]:
    source = fleet.environment.gitops.source
    oci = source.kind == "OCIRepository"
    exists = "without `url` the source is expected to exist"
    for name in ("kind", "name"):
        why = "only Flux uses it"
        yield Row((*SOURCE, name), flux, why, "remove it, or add `flux` to `targets`")
    rendered = bool(source.url)
    hint = "set `gitops.source.url`, or remove it"
    yield Row(
        (*SOURCE, "secret"), rendered and flux, exists if flux else "Argo CD has its own", hint
    )
    branch = "an OCIRepository has no branch" if oci else "the `tag` wins"
    has_branch = rendered and not oci and not source.tag
    yield Row((*SOURCE, "branch"), has_branch, branch if rendered else exists, "keep one of them")
    tag = "the `digest` wins"
    has_tag = rendered and not (flux and oci and source.digest)
    yield Row((*SOURCE, "tag"), has_tag, tag if rendered else exists, "keep one of them")
    why = "only an OCIRepository of Flux has one"
    yield Row((*SOURCE, "digest"), rendered and oci and flux, why if rendered else exists, hint)
