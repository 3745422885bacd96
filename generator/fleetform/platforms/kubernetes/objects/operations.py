"""Merge patches and JSON patches on data, within bounds: a short patch makes no long object."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

MAX_COPIED = 256 << 10
"""Bytes that the `copy` operations of one object may add in total: as much as annotations may hold."""
MAX_SIZE = 3 << 19
"""Bytes of an object that an API server takes: 1.5 MiB."""
MAX_DEPTH = 64
"""Levels of an object, as of a spec."""
_PER_NODE = 8
"""Bytes that a key or an item takes at least, with its punctuation and indentation."""


class TooBigError(ValueError):
    """A patch makes an object larger than its bounds."""


class Budget:
    """The bytes that `copy` may still add to one object, over all its patches."""

    def __init__(self) -> None:
        self.left = MAX_COPIED

    def spend(self, size: int) -> None:
        """Take `size` bytes. Raises TooBigError if there are not so many."""
        self.left -= size
        if self.left < 0:
            raise TooBigError(f"its copies are larger than {MAX_COPIED >> 10} KiB in total")


def patched(
    document: Any, merge_: Any, operations: Iterable[Mapping[str, Any]], budget: Budget
) -> Any:
    """Return a document after a merge patch, or after operations.

    It is not changed itself, and what no operation touches is shared with it. Raises ValueError if an
    operation cannot be applied, TooBigError if its copies are too big.
    """
    if merge_ is not None:
        return merge(document, merge_)
    return _operated(document, operations, budget)


def check_size(document: Any) -> None:
    """Raise TooBigError if a document is larger or deeper than an object may be."""
    size, depth = measure(document)
    if size > MAX_SIZE:
        raise TooBigError("an API server takes no object of more than 1.5 MiB")
    if depth > MAX_DEPTH:
        raise TooBigError(f"the object would have more than {MAX_DEPTH} levels")


def merge(lower: Any, upper: Any) -> Any:
    """Merge by RFC 7386: maps by key, null deletes, everything else replaces."""
    if not isinstance(upper, dict):
        return upper
    found = dict(lower) if isinstance(lower, dict) else {}
    for key, value in upper.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merge(found.get(key), value)
    return found


def _operated(document: Any, operations: Iterable[Mapping[str, Any]], budget: Budget) -> Any:
    import jsonpatch  # noqa: PLC0415 - few have such patches

    found, own = document, _Own()
    try:
        for operation in operations:
            if operation["op"] == "test":
                jsonpatch.JsonPatch([operation]).apply(found, in_place=True)
                continue
            if operation["op"] == "copy":
                source = jsonpatch.JsonPointer(operation.get("from", "")).resolve(found)
                budget.spend(measure(source)[0])
            for pointer in (operation["path"], operation.get("from") or ""):
                found = own.along(found, jsonpatch.JsonPointer(pointer).parts)
            found = jsonpatch.JsonPatch([operation]).apply(found, in_place=True)
    except RecursionError:
        raise TooBigError(f"the object would have more than {MAX_DEPTH} levels") from None
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError) as error:
        reason = re.sub(r" \(<class '\w+'>\)", "", str(error))  # Python's own types
        raise ValueError(reason or "the operation cannot be applied") from None
    return found


class _Own:
    """Copies what a patch changes, once: the maps and lists along the paths of its operations."""

    def __init__(self) -> None:
        self._copies: dict[int, Any] = {}
        """By identity, so that it stays theirs while the patch lasts."""

    def along(self, document: Any, steps: Iterable[str]) -> Any:
        """Return the document with copies of the maps and lists along a path, as far as there are any."""
        found = node = self._copied(document)
        for step in steps:
            if isinstance(node, dict) and step in node:
                place: Any = step
            elif isinstance(node, list) and step.isdecimal() and _is_index(step, node):
                place = int(step)
            else:
                break
            node[place] = self._copied(node[place])
            node = node[place]
        return found

    def _copied(self, node: Any) -> Any:
        if not isinstance(node, dict | list) or id(node) in self._copies:
            return node
        twin = node.copy()
        self._copies[id(twin)] = twin
        return twin


def _is_index(step: str, node: list[Any]) -> bool:
    return len(step) <= len(str(len(node))) and int(step) < len(node)


def measure(node: Any) -> tuple[int, int]:
    """Return about how many bytes and how many levels data has, never more work than its size."""
    size, depth = 0, 0
    todo = [(node, 1)]
    while todo:
        item, level = todo.pop()
        size += _PER_NODE
        depth = max(depth, level)
        if isinstance(item, str):
            size += len(item)
        elif isinstance(item, dict):
            size += sum(map(len, item))
            todo += [(value, level + 1) for value in item.values()]
        elif isinstance(item, list):
            todo += [(value, level + 1) for value in item]
    return size, depth
