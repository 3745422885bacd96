"""What Flux and Argo CD need before their objects can be rendered."""

from __future__ import annotations

from collections.abc import Iterator

from fleetform.plan import images
from fleetform.problems import Problem
from fleetform.resolve import Fleet
from fleetform.tree import problem_at

TOOLS = ("flux", "argocd")


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield missing and contradictory settings for delivering the output."""
    yield from _test(fleet)
    for target in TOOLS:
        if target in fleet.targets:
            yield from _tool(fleet, target)
    if "flux" in fleet.targets:
        yield from _source(fleet)
        yield from _charts(fleet)
    if "argocd" in fleet.targets:
        yield from _argocd(fleet)


def _test(fleet: Fleet) -> Iterator[Problem]:
    """Yield what the image of the releases' test lacks: a tag, or the digest that the environment requires."""
    environment = fleet.environment
    image = environment.helm.test.image
    targets = {*fleet.targets, *environment.targets}
    released = "helm" in targets or ("flux" in targets and environment.gitops.way == "helm")
    if not released or not environment.helm.test.enabled:
        return
    tag, digest = images.pinned(environment.images, image)
    hint = f"run `fleetform pin {image.repository}:{tag or 'TAG'} --env {fleet.environment_name}`, or set `helm.test.enabled: false`"
    if not tag and not digest:
        yield problem_at(
            fleet.environment_tree,
            ("spec", "helm", "test", "image"),
            "image-not-pinned",
            f"the image `{image.repository}` has {images.FAULTS['image-not-pinned']}",
            hint=f"set one; or {hint}",
            key=True,
        )
    elif not digest and environment.images.require_digest:
        yield problem_at(
            fleet.environment_tree,
            ("spec", "images", "requireDigest"),
            "image-without-digest",
            f"the image of the releases' test, `{image.repository}`, has no digest",
            hint=hint,
        )


def _tool(fleet: Fleet, target: str) -> Iterator[Problem]:
    environment, tree = fleet.environment, fleet.environment_tree
    if environment.gitops.tool != target:
        yield problem_at(
            tree,
            ("spec", "gitops", "tool"),
            "other-tool",
            f"the target `{target}` is rendered for `tool: {environment.gitops.tool}`: objects would lack the annotations that {target} needs",
            hint=f"set `gitops.tool: {target}`, or remove `{target}` from the targets",
        )
    if "manifests" not in {*fleet.targets, *environment.targets}:
        yield problem_at(
            tree,
            ("spec", "targets"),
            "missing-target",
            f"the target `{target}` needs the output of the target `manifests`",
            hint="add `manifests` to `targets`",
        )


def _source(fleet: Fleet) -> Iterator[Problem]:
    source = fleet.environment.gitops.source
    is_oci = source.kind == "OCIRepository"
    if source.url and source.url.startswith("oci://") != is_oci:
        yield problem_at(
            fleet.environment_tree,
            ("spec", "gitops", "source", "url"),
            "wrong-source",
            f"`{source.url[:80]}` is not a valid URL for {source.kind}",
            hint="`oci://` for OCIRepository, `https://` or `ssh://` for GitRepository",
        )


def _charts(fleet: Fleet) -> Iterator[Problem]:
    """Yield charts that cannot be found, or that could change at any time."""
    helm, gitops, tree = fleet.environment.helm, fleet.environment.gitops, fleet.environment_tree
    if gitops.way != "helm":
        return
    remote = helm.charts.startswith("oci://")
    if not remote and gitops.source.kind != "GitRepository":
        yield problem_at(
            tree,
            ("spec", "helm", "charts"),
            "no-charts",
            "Flux takes charts in a folder only from a Git repository",
            hint="set `helm.charts` to the OCI repository of the charts",
            key=True,
        )
    if remote and not helm.version and {*helm.digests} != {"agent", "namespace"}:
        yield problem_at(
            tree,
            ("spec", "helm", "charts"),
            "chart-not-pinned",
            "the latest charts would be installed, without a fixed version",
            hint="set `helm.version`, or the digest of each chart in `helm.digests`",
            key=True,
        )


def _argocd(fleet: Fleet) -> Iterator[Problem]:
    gitops, tree = fleet.environment.gitops, fleet.environment_tree
    if not gitops.source.url:
        yield problem_at(
            tree,
            ("spec", "gitops", "source"),
            "no-repository",
            "Argo CD needs the URL of the repository",
            hint="set `gitops.source.url`",
            key=True,
        )
    if gitops.way == "helm":
        yield problem_at(
            tree,
            ("spec", "gitops", "way"),
            "not-for-argocd",
            "Argo CD applies the plain manifests: it would render the charts without installing a release",
            hint="remove `way`: the objects are the same",
        )
    if gitops.argocd.server and gitops.argocd.cluster:
        yield problem_at(
            tree,
            ("spec", "gitops", "argocd", "cluster"),
            "said-twice",
            "`cluster` and `server` both name the cluster",
            hint="keep one of them",
            key=True,
        )
