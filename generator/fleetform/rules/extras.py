"""Whether the runtime image has what the agents need: some providers, searches and programs need an extra of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import kinds
from fleetform.contract import EMBEDDED, EXTRAS, KNOWLEDGE_EXTRA, MONTY_EXTRA
from fleetform.problems import Problem
from fleetform.resolve.memories import embedding
from fleetform.resolve.searches import by_meaning
from fleetform.tree import problem_at

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec
    from fleetform.resolve import Fleet, Resolved
    from fleetform.resolve.references import Uses
    from fleetform.rules import AgentUses
    from fleetform.tree import TreePath


_NEEDS = {KNOWLEDGE_EXTRA: "the search", MONTY_EXTRA: "the engine of its program"}
"""What needs an extra, unless it is a model."""


def needed(agent: Resolved[AgentSpec], uses: Uses) -> dict[str, TreePath]:
    """Return the extras that an agent needs, each with the place in the agent that leads to it first."""
    spec = agent.spec
    own: TreePath = ("spec", "model" if spec.model is not None else "modelConfig")
    places = [(own, uses.model)] if uses.model else []
    for field, names, models in (
        ("models", spec.models or [], uses.models),
        ("fallbacks", spec.fallbacks or [], uses.fallbacks),
    ):
        places += [(("spec", field, names.index(name)), model) for name, model in models]
    numbered = {item.name: number for number, item in enumerate(spec.variants)}
    places += [
        (("spec", "variants", numbered[name], "modelConfig"), model)
        for name, (_, model) in uses.variants.items()
    ]
    if uses.summariser:
        places.append((("spec", "memory"), uses.summariser[1]))
    found: dict[str, TreePath] = {}
    numbers = {id(use): number for number, use in enumerate(spec.tools)}
    for use, retrieval in by_meaning(uses):
        place: TreePath = ("spec", "tools", numbers[id(use)], "name")
        if retrieval.vector_store.type == EMBEDDED:
            found.setdefault(KNOWLEDGE_EXTRA, place)
        if retrieval.embedding and retrieval.embedding.provider in EXTRAS:
            found.setdefault(EXTRAS[retrieval.embedding.provider], place)
    for use, tool in uses.tools:
        if tool.spec.code is not None and tool.spec.code.engine == MONTY_EXTRA:
            found.setdefault(MONTY_EXTRA, ("spec", "tools", numbers[id(use)], "name"))
    remembers = embedding(uses)
    if remembers is not None and remembers.provider in EXTRAS:
        found.setdefault(EXTRAS[remembers.provider], ("spec", "memory"))
    for path, model in places:
        if model.provider in EXTRAS:
            found.setdefault(EXTRAS[model.provider], path)
    return found


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield agents that the image cannot serve, or one note if nothing says what it has."""
    has = fleet.environment.images.extras
    unsure: set[str] = set()
    for agent in fleet.of(kinds.AGENT):
        for extra, place in needed(agent, uses[agent.key]).items():
            if has is None:
                unsure.add(extra)
            elif extra not in has:
                yield agent.problem(
                    place,
                    "image-without-extra",
                    f"{_NEEDS.get(extra, 'the model')} needs the extra `{extra}`, which `images.extras` of `{fleet.environment_name}` "
                    "does not list: the runtime would not start",
                    hint="build the runtime image with it (docs/image.md) and list it, or do without it",
                    severity="warning",
                    key=True,
                )
    if unsure:
        names = ", ".join(sorted(unsure))
        yield problem_at(
            fleet.environment_tree,
            ("spec", "images"),
            "image-extras-unknown",
            f"agents of the fleet need extras of the runtime image ({names}), and nothing says that it has them",
            hint=f"if it was built with them (docs/image.md), set `images.extras: [{names}]`",
            severity="note",
            key=True,
        )
