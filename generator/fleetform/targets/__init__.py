"""Built environments → files: the literal list of targets, one module each, all of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fleetform.targets import manifests
from fleetform.targets.build import Build, Folders

TARGETS: dict[str, Callable[[Build], Folders]] = {
    "manifests": manifests.folders,
}


def texts(build: Build, targets: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return texts by path, sorted, below each folder that the named targets own."""
    return {
        folder: {path: files[path].text for path in sorted(files)}
        for name in targets
        for folder, files in TARGETS[name](build).items()
    }
