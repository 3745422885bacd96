"""References within one JSON Schema: JSON Pointers and anchors, and whether they resolve to a schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_NOWHERE = object()


def lost(root: Any, references: Iterable[str]) -> set[str]:
    """Return those local references that do not resolve to a schema in the root."""
    names = {
        f"#{name}" for node in _maps(root) for name in map(node.get, ("$anchor", "$dynamicAnchor"))
    }
    return {
        text
        for text in references
        if text not in names and not isinstance(_target(root, text), dict | bool)
    }


def _target(root: Any, text: str) -> Any:
    pointer = unquote(text.removeprefix("#"))
    if pointer and not pointer.startswith("/"):
        return _NOWHERE
    node = root
    for part in pointer.split("/")[1:]:
        step = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict):
            node = node.get(step, _NOWHERE)
        elif isinstance(node, list) and step.isdecimal() and len(step) < 7:
            node = node[int(step)] if int(step) < len(node) else _NOWHERE
        else:
            return _NOWHERE
    return node


def _maps(root: Any) -> Iterator[dict[str, Any]]:
    """Yield every map, shared ones once."""
    todo, seen = [root], set()
    while todo:
        node = todo.pop()
        if isinstance(node, dict | list) and id(node) not in seen:
            seen.add(id(node))
            if isinstance(node, dict):
                yield node
            todo += node.values() if isinstance(node, dict) else node
