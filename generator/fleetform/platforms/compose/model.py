"""A plan bound to Compose: services in Compose's terms, and the files that they mount."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetform.records import NamedTuple

Json = Mapping[str, Any]
"""Part of compose.yaml in Compose's own keys."""

CONFIG = "config"
SECRETS = "secrets"
"""Folders next to compose.yaml; the second is written by `fleetform secrets` and never committed."""
DOCUMENTS = "documents"
"""The folder next to it that takes the place of existing ConfigMaps and claims, from which jobs read."""
JOBS = "jobs"
"""The profile of services that `up` leaves alone: they come to an end, and are started by `run`."""


class SecretKey(NamedTuple):
    """A key of a Secret in a namespace, and the path of its file below `secrets/`."""

    namespace: str
    name: str
    key: str

    @property
    def path(self) -> str:
        """Return the path of its file."""
        return f"{self.namespace}/{self.name}/{self.key}"

    @property
    def source(self) -> str:
        """Return its name in compose.yaml."""
        return f"{self.namespace}.{self.name}.{self.key}"


class Service(NamedTuple):
    """A service, the files that it mounts (by path below `config/`), and the secrets that it needs."""

    name: str
    body: Json
    files: Mapping[str, str]
    secrets: tuple[SecretKey, ...] = ()
    """Mounted as files."""
    variables: Mapping[str, SecretKey] = {}
    """Variables whose values are secrets: in `secrets/<service>.env`."""
    folders: tuple[tuple[str, str], ...] = ()
    """Whole Secrets that are mounted as folders: namespace and name."""
    volumes: Mapping[str, Json] = {}
    """How each is made, by name."""
    networks: tuple[str, ...] = ()


class Build(NamedTuple):
    """One environment on one machine, services sorted by name."""

    environment: str
    services: tuple[Service, ...]
