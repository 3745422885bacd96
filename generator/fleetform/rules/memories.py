"""What agents remember of their users: whose it is, who decides, and what it is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import kinds
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.memories import TOOLS, long_term, place
from fleetform.resolve.references import Uses
from fleetform.resolve.searches import reached
from fleetform.rules import embeddings

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec
    from fleetform.models.memory_store import Embedding, LongTermMemory
    from fleetform.rules import AgentUses


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield what keeps an agent from remembering, or would let it remember of nobody in particular."""
    for agent in fleet.of(kinds.AGENT):
        found = long_term(uses[agent.key])
        if found is not None and agent.spec.container is None:
            yield from _users(agent, uses[agent.key], found)
            yield from _model(agent, uses[agent.key], found)
            yield from _tools(agent)
            if found.embedding is not None:
                yield from _embedding(agent, uses[agent.key], found.embedding)


def _users(agent: Resolved[AgentSpec], uses: Uses, found: LongTermMemory) -> Iterator[Problem]:
    auth = agent.spec.auth
    if auth is None:  # a Problem has been said
        return
    if auth.type == "none" and found.user is None:
        owner, path = place(agent, uses)
        yield owner.problem(
            path,
            "memory-without-users",
            f"`{agent.name}` is to remember its users, and with `auth` of type none callers are not told apart",
            hint="set `auth` to apiKey or oidc, or `user` to the one user whose memories they are",
            key=True,
        )
    elif auth.type != "none" and found.user is not None:
        owner, path = place(agent, uses, "user")
        yield owner.problem(
            path,
            "contradiction",
            f"`user` is for `auth` of type none, and the callers of `{agent.name}` are users themselves",
            hint="remove it",
            key=True,
        )


def _model(agent: Resolved[AgentSpec], uses: Uses, found: LongTermMemory) -> Iterator[Problem]:
    own = agent.spec.model_config_ref or (uses.model.name if uses.model else None)
    names = [name for name in (own, *(name for name, _ in uses.models)) if name]
    if found.model is None or found.model in names:
        return
    owner, path = place(agent, uses, "model")
    yield owner.problem(
        path,
        "unknown-reference",
        f"`{found.model}` is none of the models of `{agent.name}`",
        hint=f"its models: {', '.join(names)}; add another one to its `models`",
    )


def _tools(agent: Resolved[AgentSpec]) -> Iterator[Problem]:
    for number, use in enumerate(agent.spec.tools):
        if use.name in TOOLS:
            yield agent.problem(
                ("spec", "tools", number, "name"),
                "duplicate-name",
                f"an agent that remembers its users has a tool `{use.name}` of its own",
                hint="give the tool another name",
            )


def _embedding(agent: Resolved[AgentSpec], uses: Uses, wanted: Embedding) -> Iterator[Problem]:
    owner, path = place(agent, uses, "embedding")
    yield from embeddings.dimension(owner, path, wanted)
    at = reached(uses, wanted)
    assert at
    what = f"what `{agent.name}` remembers"
    yield from embeddings.unreachable(owner, path, at, what, "`{}`", key=True)
