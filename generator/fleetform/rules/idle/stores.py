"""Fields of stores that apply to another type, or to a section that is switched off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.contract import LONG_TERM_MEMORY, is_served
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.switches import tls_is_on
from fleetform.rules.idle.fields import Field, given, others
from fleetform.rules.idle.fields import switched as switch
from fleetform.tree import TreePath, at

if TYPE_CHECKING:
    from fleetform.models.memory_store import MemoryStoreSpec
    from fleetform.rules import AgentUses

SECTIONS = {
    "redis": "redis",
    "postgres": "postgres",
    "filesystem": "filesystem",
    "in-memory": "inMemory",
}
"""The section of each type."""
NOT_YET = "nothing to do: it takes effect once the runtime supports it"


def fields(fleet: Fleet, uses: AgentUses) -> Iterator[Field]:
    """Yield fields of a MemoryStore that its type or its server do not use."""
    for store in fleet.of(kinds.MEMORY_STORE):
        yield from sections(store, ("spec",), store.spec)
        yield from _provision(store)
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
    for name, section, what, served in (
        ("compression", store.policy.compression, "compression", True),
        (
            "longTermMemory",
            store.policy.long_term_memory,
            "long-term memory",
            is_served(LONG_TERM_MEMORY),
        ),
    ):
        on = section is not None and section.enabled
        if not on:
            yield from switch(owner, (*policy, name), on=False, what=what)
        elif not served and at(owner.tree, (*policy, name, "enabled")) is None:
            names = others(owner, (*policy, name), "enabled")
            why = f"the runtime does not support {what} yet"
            yield from given(owner, (*policy, name), names, why, NOT_YET, "note")


def tls_fields(owner: Resolved[Any], base: TreePath, tls: Any) -> Iterator[Field]:
    """Yield what has no effect on how a store is reached by TLS."""
    why = "" if tls_is_on(tls) else "`enabled: false` switches TLS off"
    hint = "remove `enabled: false`, or the other fields of `tls`"
    lacks = not why and at(owner.tree, (*base, "secretRef")) is None
    known = ("enabled", "clientCertificate") if lacks else ("enabled",)
    yield from given(owner, base, others(owner, base, *known), why, hint)
    if lacks:
        why = "there is no `secretRef` with a certificate"
        yield from given(owner, base, ("clientCertificate",), why, "add `secretRef`, or remove it")


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
