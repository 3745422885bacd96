"""Two objects → what a person would write to turn one into the other: only the differences.

A strategic merge for built-in kinds, JSON patches for custom resources and for lists: Kustomize
reorders the items of a merged list, and replaces lists in custom resources as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any

from fleetform.tree import TreePath

Object = dict[str, Any]
Operation = dict[str, Any]

NAMED = frozenset(("containers", "initContainers", "volumes"))
"""Lists that Kustomize merges by name: what it merges goes to the front, the rest follows."""
ATOMIC = frozenset(("accessModes", "args", "command"))
"""Lists of words that a strategic merge replaces as a whole."""
_WORTH_IT = 0.6
"""How long the operations on a list may be, measured by the whole list, before that is replaced."""


class Difference:
    """What turns `base` into `wanted`: a tree to merge, then operations of a JSON patch."""

    def __init__(self, base: Object, wanted: Object, *, mergeable: bool) -> None:
        self.operations: list[Operation] = []
        self.merge: Object = {}
        if mergeable:
            self.merge = self._map(base, wanted, ())
        else:
            self.operations += operations(base, wanted, ())

    def _map(self, base: Object, wanted: Object, path: TreePath) -> Object:
        """Return what a strategic merge can do below `path`; the rest becomes operations."""
        patch: Object = {}
        for key, value in wanted.items():
            old = base.get(key)
            if key not in base:
                if _is_plain(value):
                    patch[key] = value
                else:
                    self._do("add", (*path, key), value)
            elif old == value:
                continue
            elif isinstance(old, dict) and isinstance(value, dict) and _may_merge(old, value):
                below = self._map(old, value, (*path, key))
                if below:
                    patch[key] = below
            elif isinstance(old, list) and isinstance(value, list):
                below_list = self._list(key, old, value, (*path, key))
                if below_list:
                    patch[key] = below_list
            elif isinstance(value, dict | list) or isinstance(old, dict | list):
                self._do("replace", (*path, key), value)
            else:
                patch[key] = value
        patch.update((key, None) for key in base if key not in wanted)
        return patch

    def _list(self, key: str, base: list[Any], wanted: list[Any], path: TreePath) -> list[Any]:
        if key in ATOMIC and wanted:
            return wanted
        changed = _leading_changes(base, wanted) if key in NAMED else 0
        if not changed:
            self.operations += list_operations(base, wanted, path)
            return []
        return [
            {"name": new["name"], **self._map(old, new, (*path, number))}
            for number, (old, new) in enumerate(zip(base[:changed], wanted[:changed], strict=True))
        ]

    def _do(self, verb: str, path: TreePath, value: Any) -> None:
        self.operations.append(_operation(verb, path, value))


def operations(base: Any, wanted: Any, path: TreePath) -> Iterator[Operation]:
    """Yield the operations of a JSON patch."""
    if isinstance(base, dict) and isinstance(wanted, dict):
        for key in sorted(base.keys() - wanted.keys()):
            yield {"op": "remove", "path": pointer((*path, key))}
        for key, value in wanted.items():
            if key not in base:
                yield _operation("add", (*path, key), value)
            elif base[key] != value:
                yield from operations(base[key], value, (*path, key))
    elif isinstance(base, list) and isinstance(wanted, list):
        yield from list_operations(base, wanted, path)
    else:
        yield _operation("replace", path, wanted)


def list_operations(base: list[Any], wanted: list[Any], path: TreePath) -> list[Operation]:
    """Return operations on the items of a list, or one that replaces the list if that is not much longer."""
    whole = _operation("replace", path, wanted)
    if not base or not wanted:
        return [whole]
    found = [*_item_operations(base, wanted, path)]
    return found if _size(found) < _WORTH_IT * _size(wanted) else [whole]


def _item_operations(base: list[Any], wanted: list[Any], path: TreePath) -> Iterator[Operation]:
    """Yield operations item by item; each index refers to the list at that point."""
    old, new = [_text(item) for item in base], [_text(item) for item in wanted]
    shift = 0
    for verb, start, end, first, last in SequenceMatcher(None, old, new, False).get_opcodes():
        if verb == "equal":
            continue
        paired = min(end - start, last - first)
        for number in range(paired):
            where = (*path, start + shift + number)
            yield from operations(base[start + number], wanted[first + number], where)
        for _ in range(end - start - paired):
            yield {"op": "remove", "path": pointer((*path, start + shift + paired))}
        for number in range(last - first - paired):
            where = (*path, start + shift + paired + number)
            yield _operation("add", where, wanted[first + paired + number])
        shift += (last - first) - (end - start)


def has_leading_tab(value: object) -> bool:
    """Whether a text in an object starts with a tab: objects with such a text cannot be patched.

    Searching the serialised form is ten times as fast as walking the object. A tab after a
    quotation mark counts as well, which only makes an overlay longer.
    """
    written = repr(value)
    return "'\\t" in written or '"\\t' in written


def pointer(path: TreePath) -> str:
    """Return a JSON pointer."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def _operation(verb: str, path: TreePath, value: Any) -> Operation:
    return {"op": verb, "path": pointer(path), "value": value}


def _leading_changes(base: list[Any], wanted: list[Any]) -> int:
    """Return up to which item a merge by name keeps the order; 0 if names are added, removed or moved."""
    names = [item.get("name") for item in base]
    if names != [item.get("name") for item in wanted] or len({*names}) < len(names):
        return 0
    differing = [old != new for old, new in zip(base, wanted, strict=True)]
    changed = sum(differing)
    return changed if all(differing[:changed]) else 0


def _is_plain(value: Any) -> bool:
    """Whether a merge adds a value unchanged: it may drop an empty map or list."""
    if isinstance(value, dict):
        return bool(value) and all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return bool(value) and all(map(_is_plain, value))
    return True


def _may_merge(base: Object, wanted: Object) -> bool:
    """Whether a map is never empty while it is merged: an emptied one would be dropped."""
    return bool(base.keys() & wanted.keys())


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _size(value: Any) -> int:
    return len(json.dumps(value))
