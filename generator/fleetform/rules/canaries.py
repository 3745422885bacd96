"""Canaries: agents that take a share of another one's route, and have its sessions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import kinds
from fleetform.contract import NO_MEMORY, SHARED_STORES
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.canaries import canaries_of, stable_of, weight

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec
    from fleetform.rules import AgentUses

PATH = ("spec", "canaryOf")


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield canaries that would get no traffic, more than there is, or sessions of which the other knows nothing."""
    for agent in fleet.of(kinds.AGENT):
        if agent.spec.canary_of:
            yield from _canary(fleet, agent, uses)
        shares = [*canaries_of(fleet, agent)]
        whole = sum(share for _, share in shares)
        if whole > 100:
            last = shares[-1][0]
            yield last.problem(
                PATH,
                "bad-weights",
                f"the canaries of `{agent.name}` get {whole} percent together",
                hint=f"lower `weight` of {', '.join(canary.name for canary, _ in shares)} to 100 at most",
                key=True,
            )


def _canary(fleet: Fleet, agent: Resolved[AgentSpec], uses: AgentUses) -> Iterator[Problem]:
    stable = stable_of(fleet, agent)
    if stable is None:
        known = fleet.find("Agent", agent.namespace, agent.spec.canary_of or "")
        if known is not None:
            yield agent.problem(
                PATH,
                "bad-canary",
                f"`{agent.spec.canary_of}` is a canary itself",
                hint="name the agent whose route is shared",
            )
        return
    if agent.spec.expose is not None:
        yield agent.problem(
            ("spec", "expose"),
            "not-used",
            f"`expose` has no effect: a canary is reached by the route of `{stable.name}`",
            hint="remove it",
            severity="warning",
            key=True,
        )
    yield from _route(fleet, agent, stable)
    if (agent.spec.container is None) != (stable.spec.container is None):
        yield agent.problem(
            PATH,
            "bad-canary",
            f"of `{agent.name}` and `{stable.name}` one runs the generic runtime and one an image of its own",
            hint="their callers would meet two APIs: let both run the same",
        )
    elif agent.spec.container is None:
        yield from _memory(agent, stable, uses)


def _route(
    fleet: Fleet, agent: Resolved[AgentSpec], stable: Resolved[AgentSpec]
) -> Iterator[Problem]:
    expose = stable.spec.expose
    if expose is None:
        yield agent.problem(
            PATH,
            "bad-canary",
            f"`{stable.name}` is not exposed: there is no route to share, and callers in the cluster reach it by its Service",
            hint="set `expose` there, or try the change by `variants`, which need no route",
        )
    elif (expose.type or fleet.environment.expose.type) != "HTTPRoute":
        yield agent.problem(
            PATH,
            "bad-canary",
            f"`{stable.name}` is exposed by an Ingress, which has no weights",
            hint="expose it by an HTTPRoute, or try the change by `variants`",
        )
    elif not weight(agent):
        yield agent.problem(
            ("spec", "weight"),
            "idle-canary",
            "a canary of 0 percent gets no requests",
            hint="raise it, or remove the canary",
            severity="note",
        )


def _memory(
    agent: Resolved[AgentSpec], stable: Resolved[AgentSpec], uses: AgentUses
) -> Iterator[Problem]:
    """Yield a canary that does not know the sessions of the other: half of a conversation would be somewhere else."""
    mine, theirs = uses[agent.key], uses[stable.key]
    if mine.memory is None or theirs.memory is None:
        return
    kind = mine.memory.type or ""
    same = (mine.store and mine.store.key) == (theirs.store and theirs.store.key)
    section = getattr(mine.memory, kind.replace("-", "_"), None)
    if mine.store is None and theirs.store is None:
        same = kind == theirs.memory.type and section == getattr(theirs.memory, kind, section)
    if not same or (kind not in SHARED_STORES and kind != NO_MEMORY):
        why = (
            f"keeps sessions in a store of type `{kind}`, which one pod has"
            if same
            else "has another store"
        )
        yield agent.problem(
            PATH,
            "bad-canary",
            f"`{agent.name}` {why}: a session of `{stable.name}` would not be there",
            hint="let both use one store of type redis or postgres",
        )
