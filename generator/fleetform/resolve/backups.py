"""What backs stores up: which stores have it, and the names of its workloads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.contract import STORE_PORTS
from fleetform.names import fit

if TYPE_CHECKING:
    from fleetform.models.memory_store import MemoryStoreSpec
    from fleetform.resolve import Fleet, Resolved

DUMP, SCRATCH, STORE_TLS, GCS_KEY, CLAIM = "dump", "tmp", "store-tls", "gcs-key", "repository"
OWN_VOLUMES = frozenset({DUMP, SCRATCH, STORE_TLS, GCS_KEY, CLAIM})
"""Volumes of the pods of backups; a claim that is made is one under its own name."""
LONGEST = 52
"""Characters of a CronJob's name: those of its Jobs end in a number."""


def is_planned(store: Resolved[MemoryStoreSpec]) -> bool:
    """Whether a store has backups: it asks for them, and its server is known."""
    spec = store.spec
    if spec.backup is None or spec.type not in STORE_PORTS:
        return False
    section = getattr(spec, spec.type)
    provisioned = spec.provision is not None and spec.provision.enabled
    return provisioned or (section is not None and section.host is not None)


def folder(fleet: Fleet, store: Resolved[MemoryStoreSpec], prefix: str | None) -> str:
    """Return the folder of a store in a bucket; by default no two environments have the same one."""
    space = fleet.target_namespace(store.namespace)
    return f"{prefix or f'{fleet.environment_name}/{space}'}/{store.name}"


def job(store: str) -> str:
    """Return the name of what backs a store up."""
    return fit(store, "-backup", LONGEST)


def trial(store: str) -> str:
    """Return the name of what tries the backups of a store."""
    return fit(store, "-drill", LONGEST)


def names(fleet: Fleet) -> Iterator[tuple[Resolved[Any], str, str]]:
    """Yield every workload that backups make: the store, its name, and what it is."""
    for store in fleet.of(kinds.MEMORY_STORE):
        backup = store.spec.backup
        if backup is not None and is_planned(store):
            yield store, job(store.name), f"the backup of MemoryStore `{store.name}`"
            if backup.drill.enabled:
                yield store, trial(store.name), f"the drill of MemoryStore `{store.name}`"
