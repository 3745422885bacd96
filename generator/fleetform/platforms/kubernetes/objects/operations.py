"""Merge patches and JSON patches on data, within bounds: a short patch makes no long object."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from fleetform.platforms.kubernetes.objects.manifest import data

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
    """Return a document after a merge patch, or after operations; it is not changed itself.

    Raises ValueError if an operation cannot be applied, TooBigError beyond the bounds.
    """
    found = (
        merge(document, merge_) if merge_ is not None else _operated(document, operations, budget)
    )
    size, depth = measure(found)
    if size > MAX_SIZE:
        raise TooBigError("an API server takes no object of more than 1.5 MiB")
    if depth > MAX_DEPTH:
        raise TooBigError(f"the object would have more than {MAX_DEPTH} levels")
    return found


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

    found = data(document)
    try:
        for operation in operations:
            if operation["op"] == "copy":
                source = jsonpatch.JsonPointer(operation.get("from", "")).resolve(found)
                budget.spend(measure(source)[0])
            found = jsonpatch.JsonPatch([operation]).apply(found, in_place=True)
    except RecursionError:
        raise TooBigError(f"the object would have more than {MAX_DEPTH} levels") from None
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError) as error:
        reason = re.sub(r" \(<class '\w+'>\)", "", str(error))  # Python's own types
        raise ValueError(reason or "the operation cannot be applied") from None
    return found


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
