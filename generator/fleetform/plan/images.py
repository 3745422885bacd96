"""Image references: a spec's image with the environment's registry, tags and digests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetform.names import LABEL

if TYPE_CHECKING:
    from fleetform.models.environment import Images
    from fleetform.models.workload import Image


def reference(images: Images, image: Image) -> tuple[str, str]:
    """Return the full reference and its version (tag, or 12 hex digits of the digest); both empty if unpinned."""
    pin = images.pins.get(image.repository)
    tag = (pin.tag if pin else None) or image.tag or ""
    digest = (pin.digest if pin else None) or image.digest or ""
    if not tag and not digest:
        return "", ""
    name = (
        image.repository
        if _has_registry(image.repository) or not images.registry
        else f"{images.registry}/{image.repository}"
    )
    text = f"{name}:{tag}" if tag else name
    version = tag or digest.removeprefix("sha256:")[:12]
    return (f"{text}@{digest}" if digest else text), version[:LABEL].strip("._-")


def _has_registry(repository: str) -> bool:
    first, slash, _ = repository.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")
