"""Where the keys of models are, unless a model says so itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform.lazy import regex
from fleetform.patterns import OBJECT_NAME, WORDS
from fleetform.problems import Problem
from fleetform.resolve import Fleet
from fleetform.tree import problem_at

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

_NAME = regex(OBJECT_NAME)
PLACEHOLDERS = frozenset({"provider", "namespace"})


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield placeholders of `secrets.modelKeys` that nothing fills in."""
    del uses
    text = fleet.environment.secrets.model_keys.name
    unknown = {*re.findall(r"\{([^{}]*)\}", text)} - PLACEHOLDERS
    if unknown or text.count("{") != text.count("}"):
        yield problem_at(
            fleet.environment_tree,
            ("spec", "secrets", "modelKeys", "name"),
            "bad-template",
            f"`{text[:80]}` has an unknown placeholder",
            hint="known: {provider}, {namespace}",
        )
    elif not _NAME.fullmatch(re.sub(r"\{[^{}]*\}", "x", text)) or len(text) > 180:
        yield problem_at(
            fleet.environment_tree,
            ("spec", "secrets", "modelKeys", "name"),
            "bad-template",
            f"`{text[:80]}` gives names that no Secret can have",
            hint=WORDS[OBJECT_NAME],
        )
