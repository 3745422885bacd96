"""The steps of a workflow as a graph, for engines that know dependencies alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fleetform.lazy import regex
from fleetform.tree import leaves

_OUTPUT = regex(r"\{\{\s*\.steps\.([^.\s}]+)\.output\.([^.\s}]+)[^}]*\}\}")

Steps = Sequence[Mapping[str, Any]]
"""Steps as workflow.json has them, in an order in which none waits for itself."""


def needs(value: Any) -> list[tuple[str, str]]:
    """Return the outputs that a value refers to, each a step and a name, once and in order."""
    texts = (leaf for _, leaf in leaves(value) if isinstance(leaf, str))
    return list(dict.fromkeys(found for text in texts for found in _OUTPUT.findall(text)))


def ordered(steps: Steps) -> dict[str, list[str]]:
    """Return which steps each one waits for, so that those that run alone do.

    A step that is not `parallel` waits for all that come before it in the order in which they may begin, and all that
    come after it wait for it. What follows from others is left out.
    """
    behind: dict[str, set[str]] = {}
    found: dict[str, list[str]] = {}
    barrier: set[str] = set()
    for step in _in_order(steps):
        name = step["name"]
        direct = {*step.get("dependsOn", ()), *barrier}
        if not step.get("parallel"):
            direct = {*behind}
            barrier = {name}
        behind[name] = direct.union(*(behind[other] for other in direct))
        implied = set().union(*(behind[other] for other in direct))
        found[name] = [other for other in behind if other in direct - implied]
    return found


def _in_order(steps: Steps) -> Iterable[Mapping[str, Any]]:
    """Yield steps as they may begin, the earlier ones of a spec first."""
    left = {step["name"]: step for step in steps}
    while left:
        name = next(
            name for name, step in left.items() if not {*step.get("dependsOn", ())} & left.keys()
        )
        yield left.pop(name)
