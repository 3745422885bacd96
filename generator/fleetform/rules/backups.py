"""Backups of stores: what can be backed up, to where, and whether anything is left of it when it is restored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import cron, kinds
from fleetform.contract import STORE_PORTS
from fleetform.patterns import LABEL_NAME
from fleetform.problems import Problem
from fleetform.records import NamedTuple
from fleetform.resolve.backups import FILES, OWN_VOLUMES
from fleetform.rules import schedules

if TYPE_CHECKING:
    from fleetform.models.memory_store import Backup, MemoryStoreSpec
    from fleetform.resolve import Fleet, Resolved
    from fleetform.rules import AgentUses
    from fleetform.tree import TreePath

PLACE: TreePath = ("spec", "backup")
TTL = 86400
"""Seconds until an idle session expires, by default."""


class Managed(NamedTuple):
    """A service that gives nobody a dump of its Redis: the end of its hosts, its name, and what it has instead."""

    hosts: str
    name: str
    instead: str


MANAGED = (
    Managed(r"\.cache\.amazonaws\.com(\.cn)?", "ElastiCache", "`SnapshotRetentionLimit`"),
    Managed(
        r"\.memorydb\.[a-z0-9-]+\.amazonaws\.com(\.cn)?", "MemoryDB", "`SnapshotRetentionLimit`"
    ),
    Managed(r"\.redis\.cache\.windows\.net", "Azure Cache for Redis", "export or persistence"),
    Managed(r"\.redis\.azure\.net", "Azure Managed Redis", "export or persistence"),
    Managed(r"\.(redislabs|redis-cloud|redns\.redis-cloud)\.com", "Redis Cloud", "remote backups"),
    Managed(r"\.upstash\.io", "Upstash", "backups of the database"),
)


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield what is wrong with backups."""
    for store in fleet.of(kinds.MEMORY_STORE):
        if store.spec.backup is not None:
            if store.spec.type == FILES:
                yield from _files(fleet, store, uses)
            else:
                yield from _server(store)
            yield from _target(store, store.spec.backup)
            yield from _times(store, store.spec.backup)


def _server(store: Resolved[MemoryStoreSpec]) -> Iterator[Problem]:
    spec = store.spec
    section = getattr(spec, spec.type) if spec.type in STORE_PORTS else None
    provisioned = spec.provision is not None and spec.provision.enabled
    if spec.type not in STORE_PORTS:
        yield store.problem(
            PLACE,
            "cannot-back-up",
            f"a store of type `{spec.type}` has no server to dump: it is lost with its process",
            hint=f"remove `backup`, or set `type` to {', '.join(STORE_PORTS)} or {FILES}",
            key=True,
        )
    elif not provisioned and section is not None and spec.type == "redis":
        yield from _managed(store, section.host or "")


def _files(fleet: Fleet, store: Resolved[MemoryStoreSpec], uses: AgentUses) -> Iterator[Problem]:
    """Report agents whose files are not reached, since pods mount claims of their own namespace, and stores without agents."""
    if store.spec.backup is not None and store.spec.backup.image is not None:
        yield store.problem(
            (*PLACE, "image"),
            "dead-field",
            "files are copied by the image of restic: there is no server whose programs are needed",
            hint="remove it",
            key=True,
        )
    for agent in fleet.of(kinds.AGENT):
        found = uses[agent.key]
        is_its = found.store is store and found.memory is not None and found.memory.type == FILES
        if is_its and agent.namespace != store.namespace:
            yield store.problem(
                PLACE,
                "cannot-back-up",
                f"Agent `{agent.name}` in {agent.file} keeps its files in the namespace `{agent.namespace}`, and backups run in the store's",
                hint="give it a MemoryStore of its own namespace, or remove `backup`",
                key=True,
            )
    if not any(found.store is store for found in uses.values()):
        yield store.problem(
            PLACE,
            "cannot-back-up",
            "no agent keeps files of this store: nothing is backed up",
            hint="name the store in an agent's `memory.store`, or remove `backup`",
            severity="warning",
            key=True,
        )


def _managed(store: Resolved[MemoryStoreSpec], host: str) -> Iterator[Problem]:
    name = host.lower().rstrip(".")
    found = next((item for item in MANAGED if re.search(f"{item.hosts}$", name)), None)
    if found is not None:
        yield store.problem(
            PLACE,
            "cannot-back-up",
            f"{found.name} gives nobody a dump: its servers refuse `SYNC`",
            hint=f"use the service's own snapshots ({found.instead}), and remove `backup`",
            key=True,
        )


def _target(store: Resolved[MemoryStoreSpec], backup: Backup) -> Iterator[Problem]:
    to, place = backup.to, (*PLACE, "to")
    given = [name for name in ("s3", "gcs", "pvc") if getattr(to, name) is not None]
    if len(given) != 1:
        yield store.problem(
            place,
            "contradiction" if given else "missing-field",
            f"backups go to one place, and these are {' and '.join(given)}"
            if given
            else "backups go nowhere",
            hint="keep one of them" if given else "set `s3`, `gcs` or `pvc`",
            key=True,
        )
    if to.s3 is not None and not to.s3.region and not to.s3.endpoint:
        yield store.problem(
            (*place, "s3"),
            "missing-field",
            "nothing says in which region the bucket is",
            hint="set `region`, or `endpoint` for another server than AWS's",
            key=True,
        )
    if to.s3 is not None and (to.s3.access_key_secret_ref is None) != (
        to.s3.secret_key_secret_ref is None
    ):
        yield store.problem(
            (*place, "s3"),
            "missing-field",
            "an access key is of no use without its secret",
            hint="set both `accessKeySecretRef` and `secretKeySecretRef`, or none of them",
            key=True,
        )
    if to.pvc is not None and to.pvc.storage_class and not to.pvc.size:
        yield store.problem(
            (*place, "pvc", "storageClass"),
            "dead-field",
            "the claim exists already, and has a class",
            hint="set `size` to have the claim made, or remove it",
        )
    if to.pvc is not None and to.pvc.size:
        yield from _made(store, (*place, "pvc", "name"), to.pvc.name)
    if not any((backup.keep.daily, backup.keep.weekly, backup.keep.monthly)):
        yield store.problem(
            (*PLACE, "keep"),
            "contradiction",
            "no backup is kept",
            hint="keep at least one of a day",
            key=True,
        )


def _made(store: Resolved[MemoryStoreSpec], place: TreePath, name: str) -> Iterator[Problem]:
    """Yield a name that a claim cannot have which is made as a volume of the pods."""
    if len(name) > 63 or not re.search(LABEL_NAME, name):
        yield store.problem(
            place,
            "bad-name",
            f"the claim `{name}` is made as a volume of pods, and the name of a volume has no dots and at most 63 characters",
            hint="choose such a name, or make the claim yourself and leave `size` out",
        )
    elif name in OWN_VOLUMES:
        yield store.problem(
            place,
            "reserved-name",
            f"the pods of backups have a volume `{name}` of their own",
            hint="choose another name",
        )


def _times(store: Resolved[MemoryStoreSpec], backup: Backup) -> Iterator[Problem]:
    yield from schedules.schedule(store, (*PLACE, "schedule"), backup.schedule)
    yield from schedules.schedule(store, (*PLACE, "drill", "schedule"), backup.drill.schedule)
    yield from schedules.time_zone(store, (*PLACE, "timeZone"), backup.time_zone)
    if not cron.fault(backup.schedule):
        yield from _expired(store, backup)


def _expired(store: Resolved[MemoryStoreSpec], backup: Backup) -> Iterator[Problem]:
    """Report sessions that expire before there is a second backup: the time of each is kept with it."""
    policy = store.spec.policy
    ttl, apart = policy.session_ttl or TTL, cron.longest(backup.schedule) * 60
    if ttl > apart:
        return
    lasting = policy.long_term_memory is not None and policy.long_term_memory.enabled
    rest = "; memories last" if lasting else ""
    yield store.problem(
        (*PLACE, "schedule"),
        "expires-before-restored",
        f"sessions expire after {ttl} s, and backups are up to {apart} s apart: what is restored may have expired{rest}",
        hint="raise `policy.sessionTTL`, or back up more often",
        severity="note" if lasting else "warning",
    )
