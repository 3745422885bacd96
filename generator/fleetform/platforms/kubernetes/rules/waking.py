"""Which triggers see work while no pod runs: those that do not measure the workload itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import kinds
from fleetform.lazy import regex
from fleetform.platforms.kubernetes.rules.keda import CANNOT_WAKE
from fleetform.resolve.hosts import destination, split

if TYPE_CHECKING:
    from fleetform.models.scaling import Trigger
    from fleetform.models.workload import Workload
    from fleetform.resolve import Fleet, Resolved

_TEXT = regex(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*\'""")
_GROUPING = regex(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_DURATION = regex(r"\[[^\]]*\]|\boffset\s+-?\w+")
_NAME = regex(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\w)(?!\s*\()")
_WORDS = frozenset({"and", "or", "unless", "bool", "inf", "nan", "by", "without", "on", "ignoring"})
_SELECTOR = regex(r"\b(agent_[a-z0-9_]+)\s*(?:\{([^}]*)\})?")
_MATCHER = regex(r'\bagent\s*(=~|!~|!=|=)\s*["\']([^"\']*)["\']')

_SIMPLE = regex(r"[A-Za-z0-9_-]*(\.[*+])?")
"""Patterns that are told apart without running them: users write them."""


def blind(fleet: Fleet, resolved: Resolved[Workload], trigger: Trigger) -> str:
    """Return what to call a trigger that measures only the workload itself, an empty string for any other."""
    if trigger.type in CANNOT_WAKE:
        return trigger.type
    metadata = trigger.metadata
    if trigger.type == "prometheus" and _is_own_query(fleet, resolved, metadata.get("query", "")):
        return "prometheus"
    if trigger.type == "metrics-api":
        host, port = split(metadata.get("url", ""))
        found = destination(fleet, resolved.namespace, host, port).workload
        return "metrics-api" if found is resolved else ""
    if trigger.type == "kubernetes-workload":
        wanted = {part.strip() for part in metadata.get("podSelector", "").split(",")}
        own = {f"app.kubernetes.io/{label}={resolved.name}" for label in ("name", "instance")}
        return "kubernetes-workload" if wanted & own else ""
    return ""


def _is_own_query(fleet: Fleet, resolved: Resolved[Workload], query: str) -> bool:
    """Tell whether a query reads nothing but the runtime's metrics of this very agent."""
    names = [*_metrics(query)]
    if not names or not all(name.startswith("agent_") for name in names):
        return False
    agents = {agent.name for agent in fleet.of(kinds.AGENT)}
    return all(
        {name for name in agents if _matches(labels, name)} <= {resolved.name}
        for _, labels in _SELECTOR.findall(query)
    )


def _metrics(query: str) -> Iterator[str]:
    """Yield the names of metrics in a query: what is left without texts, labels, groupings and functions."""
    text = _DURATION.sub(" ", _GROUPING.sub(" ", _TEXT.sub("", query)))
    text = re.sub(r"\{[^}]*\}", " ", text)
    yield from (name for name in _NAME.findall(text) if name.lower() not in _WORDS)


def _matches(labels: str, name: str) -> bool:
    """Tell whether the matchers of the label `agent` take a name; without one, or with one too hard to tell, all do."""
    for operator, value in _MATCHER.findall(labels):
        if "~" not in operator:
            same = value == name
        elif all(_SIMPLE.fullmatch(part) for part in value.split("|")):
            same = any(_is_like(part, name) for part in value.split("|"))
        else:
            continue
        if same is operator.startswith("!"):
            return False
    return True


def _is_like(part: str, name: str) -> bool:
    stem = part.removesuffix(".*").removesuffix(".+")
    return name == part or (
        stem != part and name.startswith(stem) and (part.endswith("*") or name != stem)
    )
