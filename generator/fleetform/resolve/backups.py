"""What backs stores up: which stores have it, and the names of its workloads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.contract import STORE_PORTS
from fleetform.names import fit

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec
    from fleetform.models.memory_store import MemoryStoreSpec
    from fleetform.resolve import Fleet, Resolved

FILES = "filesystem"
"""Type of the stores without a server: each agent keeps its own files."""
DUMP, SCRATCH, STORE_TLS, GCS_KEY, CLAIM = "dump", "tmp", "store-tls", "gcs-key", "repository"
STORE_FILES = "store-files"
OWN_VOLUMES = frozenset({DUMP, SCRATCH, STORE_TLS, GCS_KEY, CLAIM, STORE_FILES})
"""Volumes of the pods of backups; a claim that is made is one under its own name."""
LONGEST = 52
"""Characters of a CronJob's name: those of its Jobs end in a number."""


def is_planned(fleet: Fleet, store: Resolved[MemoryStoreSpec]) -> bool:
    """Whether a store has backups: it asks for them, and its server is known, or who keeps its files."""
    spec = store.spec
    if spec.backup is not None and spec.type == FILES:
        return bool(keepers(fleet, store))
    if spec.backup is None or spec.type not in STORE_PORTS:
        return False
    section = getattr(spec, spec.type)
    provisioned = spec.provision is not None and spec.provision.enabled
    return provisioned or (section is not None and section.host is not None)


def keepers(fleet: Fleet, store: Resolved[MemoryStoreSpec]) -> list[Resolved[AgentSpec]]:
    """Return the agents that keep a store's files, each on a volume of its own: those of the store's namespace."""
    found = []
    for agent in fleet.of(kinds.AGENT):
        memory = agent.spec.memory
        if memory is None or not memory.store or memory.type not in (None, FILES):
            continue
        space, _, name = memory.store.rpartition("/")
        here = agent.namespace == store.namespace
        if here and fleet.find(store.kind, space or agent.namespace, name) is store:
            found.append(agent)
    return found


def folder(fleet: Fleet, store: Resolved[MemoryStoreSpec], prefix: str | None) -> str:
    """Return the folder of a store in a bucket; by default no two environments have the same one."""
    space = fleet.target_namespace(store.namespace)
    return f"{prefix or f'{fleet.environment_name}/{space}'}/{store.name}"


def job(store: str) -> str:
    """Return the name of what backs a store up, or the files of an agent."""
    return fit(store, "-backup", LONGEST)


def trial(store: str) -> str:
    """Return the name of what tries the backups of a store."""
    return fit(store, "-drill", LONGEST)


def names(fleet: Fleet) -> Iterator[tuple[Resolved[Any], str, str]]:
    """Yield every workload that backups make: the store, its name, and what it is."""
    for store in fleet.of(kinds.MEMORY_STORE):
        backup = store.spec.backup
        if backup is None or not is_planned(fleet, store):
            continue
        files = store.spec.type == FILES
        for one in keepers(fleet, store) if files else (store,):
            of = f"{one.kind} `{one.name}`"
            yield store, job(one.name), f"the backup of {of}"
            if backup.drill.enabled:
                yield store, trial(one.name), f"the drill of {of}"
