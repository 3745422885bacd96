"""Image references: a spec's image with the environment's registry, tags and digests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fleetform.names import LABEL
from fleetform.tree import Map, at, entries, mark_at, problem_at

if TYPE_CHECKING:
    from fleetform.models.environment import Images
    from fleetform.models.workload import ImageName
    from fleetform.problems import Mark, Problem
    from fleetform.resolve import Fleet, Resolved
    from fleetform.tree import TreePath


def reference(images: Images, image: ImageName) -> tuple[str, str]:
    """Return the full reference and its version (tag, or 12 hex digits of the digest); both empty if unpinned."""
    tag, digest = pinned(images, image)
    if not tag and not digest:
        return "", ""
    name = full_name(images.registry or "", image.repository)
    text = f"{name}:{tag}" if tag else name
    return (f"{text}@{digest}" if digest else text), version(tag, digest)


def pinned(images: Images, image: ImageName) -> tuple[str, str]:
    """Return tag and digest of an image, the environment's pins first; empty where nobody says one."""
    pin = images.pins.get(image.repository)
    tag = (pin.tag if pin else None) or image.tag or ""
    return tag, (pin.digest if pin else None) or image.digest or ""


def version(tag: str, digest: str) -> str:
    """Return what the version label says of an image: its tag, else the beginning of its digest."""
    return (tag or digest.removeprefix("sha256:")[:12])[:LABEL].strip("._-")


def split(text: str) -> tuple[str, str, str]:
    """Return name, tag and digest of a full reference; a colon before the last slash is that of a registry's port."""
    name, _, digest = text.partition("@")
    folder, slash, last = name.rpartition("/")
    image, _, tag = last.partition(":")
    return f"{folder}{slash}{image}", tag, digest


def problems(
    fleet: Fleet, owner: Resolved[Any], image: ImageName, path: TreePath
) -> Iterator[Problem]:
    """Yield what keeps an image reference from saying what runs; `path` of the owner leads to the image.

    A digest wins over a tag, which is only a label then: a tag that is bumped in one layer while a digest
    stands in another would say what does not run. So both are set in one place, or the digest alone.
    """
    pins = fleet.environment.images.pins
    pin = pins.get(image.repository)
    pinned: TreePath = ("spec", "images", "pins", image.repository)
    own: tuple[Map, TreePath] = (owner.tree, path)
    theirs: tuple[Map, TreePath] = (fleet.environment_tree, pinned)
    tag = theirs if pin and pin.tag else own if image.tag else None
    digest = theirs if pin and pin.digest else own if image.digest else None
    if digest is None:
        if fleet.environment.images.require_digest:
            name = f"{image.repository}:{(pin.tag if pin else None) or image.tag or 'TAG'}"
            yield owner.problem(
                path,
                "image-without-digest",
                f"the image `{image.repository}` has no digest, which `{fleet.environment_name}` requires",
                hint=f"run `fleetform pin {name} --env {fleet.environment_name}`",
                key=True,
            )
        return
    if tag is None:
        return
    marks = mark_at(at(*tag), "tag"), mark_at(at(*digest), "digest")
    maps: Iterable[Any] = (
        (at(layer, pinned) for layer in fleet.environment_layers)
        if digest is theirs
        else (value for layer in owner.layers for _, value in entries(layer.tree))
    )
    if tag is not digest or not _together(maps, *marks):
        value = at(tag[0], (*tag[1], "tag"))
        where = f"{marks[0].file}:{marks[0].line}" if marks[0] else owner.name
        yield problem_at(
            digest[0],
            (*digest[1], "digest"),
            "digest-without-tag",
            f"the digest of `{image.repository}` is set here, and its tag `{value}` in {where}: "
            "the digest runs, whatever the tag says",
            hint=f"set both in one place: `fleetform pin {image.repository}:{value} --env {fleet.environment_name}`",
        )


def full_name(registry: str, repository: str) -> str:
    """Return a repository with the environment's registry, unless it has one of its own."""
    own = has_registry(repository) or not registry
    return repository if own else f"{registry}/{repository}"


def _together(maps: Iterable[Any], tag: Mark | None, digest: Mark | None) -> bool:
    """Whether one of the maps that layers have sets both keys."""
    return any(mark_at(item, "tag") == tag and mark_at(item, "digest") == digest for item in maps)


def has_registry(repository: str) -> bool:
    """Whether a repository names its registry: a first part that looks like a host."""
    first, slash, _ = repository.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


FAULTS = {
    "image-latest": "the tag `latest`: what runs could change at any time",
    "image-not-pinned": "neither a tag nor a digest",
}
"""What can be wrong with a reference, by the code of its Problem."""


def fault(text: str) -> str:
    """Return the code of what is wrong with a full reference, empty if nothing is."""
    _, tag, digest = split(text)
    if digest:
        return ""
    if not tag:
        return "image-not-pinned"
    return "image-latest" if tag.lower() == "latest" else ""
