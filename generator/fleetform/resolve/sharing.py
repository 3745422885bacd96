"""References to documents of other namespaces, whose owners say who may refer to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.kinds import WORKLOADS
from fleetform.problems import Problem
from fleetform.resolve.hosts import destination, is_deployed, split
from fleetform.tree import leaves

if TYPE_CHECKING:
    from fleetform.models.model_config import ModelSettings
    from fleetform.resolve import Fleet, Resolved
    from fleetform.tree import TreePath

SHAREABLE = ("ModelConfig", "Tool", "MCPServer", "MemoryStore")
"""Kinds whose documents say in `shareWith` which other namespaces may refer to them."""


def is_shared(other: Resolved[Any], namespace: str) -> bool:
    """Whether a document names a namespace among those that may refer to it."""
    return other.kind in SHAREABLE and namespace in other.spec.share_with


def problems(
    fleet: Fleet, owner: Resolved[Any], path: TreePath, other: Resolved[Any]
) -> Iterator[Problem]:
    """Report a document of another namespace that is not shared with the owner's, and Secrets that do not follow.

    Workloads, which can also be admitted one by one, are judged with the network (plan/consent.py).
    """
    if other.namespace in ("", owner.namespace) or other.kind not in SHAREABLE:
        return
    deployed = other.kind in WORKLOADS and is_deployed(other)
    if not deployed and not is_shared(other, owner.namespace):
        yield owner.problem(
            path,
            "not-shared",
            f"the {other.kind} `{other.namespace}/{other.name}` is not shared with the namespace `{owner.namespace}`",
            hint=f"there ({other.file}), add `spec.shareWith: [{owner.namespace}]`",
        )
    elif fleet.environment.secrets.provider == "kubernetes" and (names := _secrets(other)):
        listed = ", ".join(f"`{name}`" for name in names)
        yield owner.problem(
            path,
            "secret-does-not-follow",
            f"Secrets of the {other.kind} `{other.namespace}/{other.name}` are read in `{owner.namespace}`: {listed}",
            hint="create them there as well; from a store (`secrets.provider`) they come by themselves",
            severity="note",
        )


def _secrets(other: Resolved[Any]) -> list[str]:
    """Return the names of the Secrets that a document refers to."""
    return sorted(
        {
            str(value)
            for path, value in leaves(other.tree)
            if path[-1] == "name" and str(path[-2]).lower().endswith("secretref")
        }
    )


def settings(fleet: Fleet, agent: Resolved[Any], config: Resolved[Any]) -> ModelSettings:
    """Return the settings of a ModelConfig as its own namespace means them: a short host is one of there."""
    spec: Any = config.spec
    if config.namespace in ("", agent.namespace) or not spec.endpoint:
        return spec  # type: ignore[no-any-return]
    host, port = split(spec.endpoint)
    found = destination(fleet, config.namespace, host, port)
    if found.namespace:
        there = f"{found.service}.{found.namespace}.svc"
        spec = view.replace(spec, endpoint=spec.endpoint.replace(host, there, 1))
    return spec  # type: ignore[no-any-return]
