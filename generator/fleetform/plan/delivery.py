"""Annotations by which whoever delivers the output keeps its hands off what it would break."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetform.resolve import Fleet

FLUX = "kustomize.toolkit.fluxcd.io"


def retained(fleet: Fleet) -> dict[str, str]:
    """Return the annotations of objects that outlive the change which drops them: old configuration, data."""
    tool = fleet.environment.gitops.tool
    keep = {"helm.sh/resource-policy": "keep"}
    if tool == "flux":
        keep[f"{FLUX}/prune"] = "disabled"
    if tool == "argocd":
        keep["argocd.argoproj.io/sync-options"] = "Prune=false"
    return keep


def verbatim(fleet: Fleet) -> dict[str, str]:
    """Return the annotations of objects that carry text of users: Flux fails on any `${NAME}` in it."""
    return {f"{FLUX}/substitute": "disabled"} if fleet.environment.gitops.tool == "flux" else {}
