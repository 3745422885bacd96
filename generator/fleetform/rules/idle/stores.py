"""Fields of stores that apply to another type, or to a section that is switched off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.contract import PROJECTS, REGIONS
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.regions import has_project
from fleetform.resolve.switches import tls_is_on
from fleetform.rules.idle.fields import Field, given, others
from fleetform.rules.idle.fields import switched as switch
from fleetform.tree import TreePath, at

if TYPE_CHECKING:
    from fleetform.models.memory_store import Embedding, MemoryStoreSpec
    from fleetform.rules import AgentUses

SECTIONS = {
    "redis": "redis",
    "postgres": "postgres",
    "filesystem": "filesystem",
    "in-memory": "inMemory",
}
"""The section of each type."""


def fields(fleet: Fleet, uses: AgentUses) -> Iterator[Field]:
    """Yield fields of a MemoryStore that its type or its server do not use."""
    for store in fleet.of(kinds.MEMORY_STORE):
        yield from sections(store, ("spec",), store.spec)
        yield from _provision(store)
        if store.spec.backup is not None and not store.spec.backup.drill.enabled:
            yield from switch(store, ("spec", "backup", "drill"), on=False, what="the drill")
        yield from _policy_of_unused(store, uses)


def sections(owner: Resolved[Any], base: TreePath, store: Any) -> Iterator[Field]:
    """Yield sections of other types, and fields that are switched off in its own; `store` is the effective one."""
    for kind, name in SECTIONS.items():
        why = "" if kind == store.type else f"the store is of type `{store.type}`"
        yield from given(owner, base, (name,), why, "remove it, or change `type`")
    server = getattr(store, store.type) if store.type in ("redis", "postgres") else None
    if server is not None:
        yield from tls_fields(owner, (*base, store.type, "tls"), server.tls)
    policy = (*base, "policy")
    summaries, memories = store.policy.compression, store.policy.long_term_memory
    if summaries is None or not summaries.enabled:
        yield from switch(owner, (*policy, "compression"), on=False, what="compression")
    place = (*policy, "longTermMemory")
    if memories is None or not memories.enabled:
        yield from switch(owner, place, on=False, what="long-term memory")
        return
    why = "memories are kept in the store of the conversations, where those of a user are few enough to compare all"
    yield from given(owner, place, ("vectorStore",), why, "remove it", "note")
    if memories.embedding is not None:
        yield from where_asked(owner, (*place, "embedding"), memories.embedding)


def tls_fields(owner: Resolved[Any], base: TreePath, tls: Any) -> Iterator[Field]:
    """Yield what has no effect on how a store is reached by TLS."""
    if at(owner.tree, base) is None:
        return
    why = "" if tls_is_on(tls) else "`enabled: false` switches TLS off"
    hint = "remove `enabled: false`, or the other fields of `tls`"
    lacks = not why and at(owner.tree, (*base, "secretRef")) is None
    known = ("enabled", "clientCertificate") if lacks else ("enabled",)
    yield from given(owner, base, others(owner, base, *known), why, hint)
    if lacks:
        why = "there is no `secretRef` with a certificate"
        yield from given(owner, base, ("clientCertificate",), why, "add `secretRef`, or remove it")


def where_asked(owner: Resolved[Any], base: TreePath, embedding: Embedding) -> Iterator[Field]:
    """Yield what says in which part of a cloud vectors are made, where the provider has no such parts."""
    for name, known in (("region", REGIONS), ("project", PROJECTS)):
        why = "" if embedding.provider in known else f"`{embedding.provider}` has no {name}s"
        yield from given(owner, base, (name,), why, "remove it")
    why = "with `project` the pod's identity is used" if has_project(embedding) else ""
    yield from given(owner, base, ("secretRef",), why, "remove it, or `project`")


def _provision(store: Resolved[MemoryStoreSpec]) -> Iterator[Field]:
    provision = store.spec.provision
    if provision is None:
        return
    yield from switch(store, ("spec", "provision"), on=provision.enabled, what="the server")


def _policy_of_unused(store: Resolved[MemoryStoreSpec], uses: AgentUses) -> Iterator[Field]:
    """Yield the policy of a provisioned store that no agent uses."""
    used = any(found.store is store for found in uses.values())
    why = "" if used else "no agent uses this store"
    yield from given(
        store, ("spec",), ("policy",), why, "name the store in an agent's `memory.store`", "note"
    )
