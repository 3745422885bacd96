"""Documents with schema errors → the same without the faulty parts, so that the rest is checked in the same run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fleetform.check import faults
from fleetform.dialects import SpecDocument
from fleetform.problems import Problem
from fleetform.tree import Map, Seq, TreePath, at, dotted

ROUNDS = 20
"""Maximum number of rounds: a removed field may be needed by another one."""
NEEDED = frozenset({(), ("metadata",), ("metadata", "name"), ("spec",), ("apiVersion",), ("kind",)})
"""Fields without which a document cannot be checked."""
_QUOTED = re.compile(r"`([^`]*)`")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
SHORTEST = 5
"""Length of a field name that is also searched outside of quotes: `type` and `name` are ordinary words."""


def mended(
    document: SpecDocument, prefixed: Iterable[TreePath] = ()
) -> tuple[SpecDocument | None, frozenset[str]]:
    """Return a document without its faults (None if too little is left), and the places of what was removed.

    `prefixed` are faults that the kind's own schema does not see.
    """
    tree, places = document.tree, set[str]()
    wanted = [*prefixed]
    for _ in range(ROUNDS):
        found = [*faults(document.kind, tree), *((path, "") for path in wanted)]
        wanted = []
        if not found:
            return document._replace(tree=tree), frozenset(places)
        for path, meant in found:
            whole = _of_a_map(path)
            if whole in NEEDED:
                return None, frozenset(places)
            places |= {dotted((*whole[:-1], name)) for name in (whole[-1], meant) if name}
            tree = _without(tree, whole)
    return None, frozenset(places)


def independent(problems: Iterable[Problem], places: Iterable[str]) -> Iterator[Problem]:
    """Yield the Problems that do not mention a removed field: the others would be mere consequences."""
    hidden = {place: place.rpartition(".")[2] for place in places}
    for problem in problems:
        text = f"{problem.message} {problem.hint}"
        quoted = {word for part in _QUOTED.findall(text) for word in _WORD.findall(part)}
        words = {*_WORD.findall(text)}
        if not any(
            name in quoted
            or (name in words and (len(name) >= SHORTEST or _is_in(place, problem.path)))
            for place, name in hidden.items()
        ):
            yield problem


def _is_in(place: str, path: str) -> bool:
    return place.startswith((f"{path}.", f"{path}["))


def _of_a_map(path: TreePath) -> TreePath:
    """Return the nearest place that is a key of a map: removing a list item would renumber the others."""
    whole = path
    while whole and isinstance(whole[-1], int):
        whole = whole[:-1]
    return whole


def _without(tree: Map, path: TreePath) -> Map:
    """Return a copy of a tree without one key; does nothing if the key is gone already."""
    if at(tree, path, ...) is ...:
        return tree
    whole = tree.clone()
    node: Map | Seq = whole
    for step in path[:-1]:
        child = node[step]  # type: ignore[index]
        copy = child.clone() if isinstance(child, Map) else _copied(child)
        node[step] = copy  # type: ignore[index]
        node = copy
    if isinstance(node, Map):
        del node[str(path[-1])], node.marks[str(path[-1])]
    return whole


def _copied(seq: Seq) -> Seq:
    twin = Seq(seq.mark)
    twin.extend(seq)
    twin.marks = list(seq.marks)
    return twin
