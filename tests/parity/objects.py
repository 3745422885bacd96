"""Objects as a cluster would get them, made comparable: read by Go, `managed-by` left out."""

import json
from typing import Any

from tests.conformance import readers

Object = dict[str, Any]
Key = tuple[str, str, str, str]
ABSENT = "(absent)"
"""Stands for what is not there: a null is."""
MANAGED_BY = "app.kubernetes.io/managed-by"


def identified(documents: list[Any]) -> dict[Key, Object]:
    """Return objects by what identifies them in a cluster; two of one identity fail the test."""
    found: dict[Key, Object] = {}
    for document in documents:
        if document is None:
            continue
        metadata = document["metadata"]
        key = (
            document["apiVersion"],
            document["kind"],
            metadata.get("namespace", ""),
            metadata["name"],
        )
        assert key not in found, f"{key} is there twice"
        found[key] = document
    return found


def by_key(documents: list[Any]) -> dict[Key, Object]:
    """Return the same without the one label in which Helm differs."""
    return {key: _unmanaged(item) for key, item in identified(documents).items()}


def of_text(text: str) -> dict[Key, Object]:
    """Return the objects of a text, as the Go programs of a cluster read it."""
    return by_key(readers.go(text))


def _unmanaged(node: Any) -> Any:
    """Return a copy without the one label that says who wrote it."""
    if isinstance(node, dict):
        return {key: _unmanaged(value) for key, value in node.items() if key != MANAGED_BY}
    if isinstance(node, list):
        return [_unmanaged(item) for item in node]
    return node


def differences(ours: dict[Key, Object], theirs: dict[Key, Object]) -> list[str]:
    """Return what differs, one line for each leaf; an empty list means object for object equal."""
    found = [f"only ours: {key[1:]}" for key in ours.keys() - theirs.keys()]
    found += [f"only theirs: {key[1:]}" for key in theirs.keys() - ours.keys()]
    for key in ours.keys() & theirs.keys():
        found += [f"{key[1]} {key[3]}{line}" for line in _differences(ours[key], theirs[key], "")]
    return sorted(found)


def _differences(ours: Any, theirs: Any, path: str) -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            line
            for key in sorted({*ours, *theirs})
            for line in _differences(
                ours.get(key, ABSENT), theirs.get(key, ABSENT), f"{path}.{key}"
            )
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [
            line
            for number, pair in enumerate(zip(ours, theirs, strict=True))
            for line in _differences(*pair, f"{path}[{number}]")
        ]
    if json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True):
        return []
    return [f"{path}: ours {json.dumps(ours)[:200]}, theirs {json.dumps(theirs)[:200]}"]
