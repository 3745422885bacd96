"""Secrets of a workload: where their files are mounted, and which keys the namespace needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetform.models.base import SecretKey

DIRECTORY = "/var/run/secrets/fleetform"
"""Where the generic runtime finds secret files: `<directory>/<secret>/<key>`."""


class SecretFiles:
    """Collects the secrets that one workload reads as files."""

    def __init__(self) -> None:
        self.keys: dict[str, set[str]] = {}

    def file(self, reference: SecretKey) -> dict[str, str]:
        """Return the runtime's reference to a secret and remember to mount it."""
        self.keys.setdefault(reference.name, set()).add(reference.key)
        return {"file": f"{DIRECTORY}/{reference.name}/{reference.key}"}

    def path(self, name: str, key: str) -> str:
        """Return the path of a key that a convention names, and remember to mount it."""
        self.keys.setdefault(name, set()).add(key)
        return f"{DIRECTORY}/{name}/{key}"

    def mounted(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return what is to be mounted, in order of names and keys."""
        return tuple((name, tuple(sorted(keys))) for name, keys in sorted(self.keys.items()))
