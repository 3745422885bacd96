"""Variants of an agent: names that tell them apart, weights that add up, tools that name them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import kinds
from fleetform.contract import BASE
from fleetform.problems import Problem, did_you_mean
from fleetform.resolve import Fleet, Resolved

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec
    from fleetform.rules import AgentUses


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield variants that cannot be told apart or reached, and tools of variants that are not there."""
    del uses
    for agent in fleet.of(kinds.AGENT):
        if agent.spec.container is None:
            yield from _names(agent)
            yield from _weights(agent)
            yield from _differences(agent)
            yield from _tools(agent)


def _names(agent: Resolved[AgentSpec]) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, variant in enumerate(agent.spec.variants):
        place = ("spec", "variants", number, "name")
        if variant.name == BASE:
            yield agent.problem(
                place,
                "reserved-name",
                f"`{BASE}` is what the agent itself is called beside its variants",
                hint="choose another name",
            )
        elif variant.name in seen:
            yield agent.problem(
                place,
                "duplicate-name",
                f"there are two variants `{variant.name}`",
                hint="rename one: sessions and metrics know them by their names",
            )
        seen.add(variant.name)


def _weights(agent: Resolved[AgentSpec]) -> Iterator[Problem]:
    whole = sum(variant.weight for variant in agent.spec.variants)
    if whole > 100:
        yield agent.problem(
            ("spec", "variants"),
            "bad-weights",
            f"the weights are {whole:g} percent together",
            hint="lower them to 100 at most: what is left is the agent's own share",
            key=True,
        )


def _differences(agent: Resolved[AgentSpec]) -> Iterator[Problem]:
    spec = agent.spec
    named = {name for use in spec.tools for name in use.variants or ()}
    for number, variant in enumerate(spec.variants):
        place = ("spec", "variants", number)
        if variant.model_config_ref and variant.model_config_ref == spec.model_config_ref:
            yield agent.problem(
                (*place, "modelConfig"),
                "same-variant",
                f"`{variant.model_config_ref}` is the agent's own model",
                hint="remove it, or name another ModelConfig",
                key=True,
            )
        elif not (
            variant.system_prompt
            or variant.model_config_ref
            or variant.name in named
            or (BASE in named)
        ):
            yield agent.problem(
                (*place, "name"),
                "same-variant",
                f"the variant `{variant.name}` has the agent's own prompt, model and tools",
                hint="set `systemPrompt` or `modelConfig`, or name it in `variants` of a tool",
                severity="warning",
            )


def _tools(agent: Resolved[AgentSpec]) -> Iterator[Problem]:
    known = [BASE, *(variant.name for variant in agent.spec.variants)]
    for number, use in enumerate(agent.spec.tools):
        for place, name in enumerate(use.variants or ()):
            if name not in known:
                yield agent.problem(
                    ("spec", "tools", number, "variants", place),
                    "unknown-variant",
                    f"the agent has no variant `{name}`",
                    hint=did_you_mean(name, known, noun="variants"),
                )
