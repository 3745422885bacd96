"""Object patches as written in specs and environments → as the plan holds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform.platforms.kubernetes.model import ObjectPatch
from fleetform.tree import VERBATIM, Map, Seq, at, dotted, locate, plain

if TYPE_CHECKING:
    from fleetform.resolve import Fleet, Resolved

PATH = ("spec", VERBATIM)


def of_environment(fleet: Fleet) -> Iterator[ObjectPatch]:
    """Yield the environment's patches, starting with those of the environments that it extends."""
    owner = f"Environment {fleet.environment_name}"
    yield from _patches(fleet, fleet.environment_tree, owner, by_environment=True)


def of_spec(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[ObjectPatch]:
    """Yield the patches that a spec has for its own objects."""
    owner = f"{resolved.kind} {resolved.name}"
    trusted = resolved.by_environment(PATH)
    yield from _patches(fleet, resolved.tree, owner, by_environment=trusted)


def _patches(fleet: Fleet, tree: Map, owner: str, *, by_environment: bool) -> Iterator[ObjectPatch]:
    # Taken from the tree, because null has a meaning here.
    found = at(tree, PATH)
    for number, item in enumerate(found if isinstance(found, Seq) else ()):
        path = (*PATH, number)
        body: dict[str, Any] = plain(item)
        target = body["target"]
        space = target.get("namespace") or ""
        yield ObjectPatch(
            owner=owner,
            kind=target["kind"],
            name=target.get("name") or "",
            namespace=fleet.target_namespace(space) if space else "",
            labels=target.get("labels") or {},
            merge=body.get("merge"),
            operations=tuple(body.get("json6902") or ()),
            mark=locate(tree, (*path, "target"))[0],
            path=dotted(path),
            by_environment=by_environment,
        )
