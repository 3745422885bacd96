"""Memory stores and policies: what the runtime supports, and what their servers would refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.contract import HISTORY, STORE_PORTS, TRUNCATES
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.references import is_set
from fleetform.resolve.switches import tls_is_on
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.models.memory_store import MemoryStoreSpec
    from fleetform.resolve.references import Uses
    from fleetform.rules import AgentUses


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield what is wrong with stores, whether a MemoryStore or an agent's own."""
    for store in fleet.of(kinds.MEMORY_STORE):
        yield from _policy(store, ("spec",), store.spec.policy)
        yield from _provision(store)
    for agent in fleet.of(kinds.AGENT):
        if agent.spec.memory is not None and agent.spec.container is None:
            yield from _policy(agent, ("spec", "memory"), agent.spec.memory.policy)
            yield from _summaries(agent, uses[agent.key])


def _policy(owner: Resolved[Any], path: TreePath, policy: Any) -> Iterator[Problem]:
    summaries = policy.compression
    if summaries is not None and summaries.enabled:
        yield from _threshold(owner, (*path, "policy"), policy)


FAMILIES = {
    "anthropic": ("gpt-", "gemini-"),
    "google": ("gpt-", "claude-"),
    "openai": ("claude-", "gemini-"),
}
"""Beginnings of names that are no model's of a provider."""


def _summaries(agent: Resolved[Any], uses: Uses) -> Iterator[Problem]:
    """Report a model that writes no summaries at its provider, and one of which nobody would see that it is full."""
    policy = uses.memory.policy if uses.memory is not None else None
    if policy is None or policy.compression is None or not policy.compression.enabled:
        return
    ref, writer = uses.summariser or (None, None)
    if writer is not None and ref is None and not writer.endpoint:
        name = writer.name or ""
        if name.startswith(FAMILIES.get(writer.provider or "", ())):
            yield agent.problem(
                ("spec", "memory"),
                "other-provider",
                f"`{name}`, which shall write its summaries, is no model of `{writer.provider}`, the agent's provider",
                hint="name a ModelConfig in the store's `policy.compression.model`, or set another one in the agent's",
                severity="warning",
                key=True,
            )
    answering = uses.model
    if answering is not None and answering.provider in TRUNCATES and not answering.context_tokens:
        yield agent.problem(
            ("spec", "memory"),
            "unknown-window",
            "Ollama leaves out what exceeds its window without a word, and nothing says how large that is",
            hint="set the model's `contextTokens` to the server's `num_ctx`",
            severity="warning",
            key=True,
        )


def _threshold(owner: Resolved[Any], path: TreePath, policy: Any) -> Iterator[Problem]:
    """Report a number of messages that is never reached: a model reads fewer."""
    place = (*path, "compression", "threshold")
    most = policy.max_conversation_history or HISTORY
    if policy.compression.threshold > most and is_set(owner, place):
        yield owner.problem(
            place,
            "contradiction",
            f"a model reads {most} messages at most (`maxConversationHistory`), so older ones are summarised above that",
            hint=f"lower it to {most}, or raise `maxConversationHistory`",
            severity="warning",
        )


def _provision(store: Resolved[MemoryStoreSpec]) -> Iterator[Problem]:
    spec = store.spec
    if spec.provision is None or not spec.provision.enabled:
        return
    path: TreePath = ("spec", "provision")
    server = getattr(spec, spec.type) if spec.type in STORE_PORTS else None
    if spec.type not in STORE_PORTS:
        yield store.problem(
            path,
            "cannot-provision",
            f"a store of type `{spec.type}` needs no server",
            hint=f"remove `provision`, or set `type` to {' or '.join(STORE_PORTS)}",
            key=True,
        )
    elif spec.type == "postgres" and (
        spec.postgres is None or spec.postgres.password_secret_ref is None
    ):
        yield store.problem(
            path,
            "missing-field",
            "a PostgreSQL server does not start without a password",
            hint="set `postgres.passwordSecretRef`",
            key=True,
        )
    elif is_set(store, path) and server is not None and tls_is_on(server.tls):
        name = {"redis": "Redis", "postgres": "PostgreSQL server"}[spec.type]
        yield store.problem(
            ("spec", spec.type, "tls"),
            "contradiction",
            f"the provisioned {name} does not support TLS",
            hint=f"set `{spec.type}.tls: null` in the patch that provisions it",
            key=True,
        )


def collection(owner: Resolved[Any], path: TreePath, store: Any) -> Iterator[Problem]:
    """Yield a collection that cannot have its name in Milvus, or has another one there."""
    if store.type != "milvus" or re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", store.collection):
        return
    place = (*path, "collection")
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", store.collection):
        yield owner.problem(
            place,
            "collection-name",
            f"Milvus has no `-` in names: the collection is `{store.collection.replace('-', '_')}`",
            hint="write it so, to have one name everywhere",
            severity="note",
        )
    else:
        yield owner.problem(
            place,
            "bad-name",
            "a collection of Milvus is named by letters, digits and `_`, and not by a digit first",
            hint="rename it",
        )
