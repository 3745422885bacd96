"""What changed in an object, leaf by leaf, and which patch did it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleetform.platforms.kubernetes.model import ObjectPatch
from fleetform.records import NamedTuple
from fleetform.tree import TreePath


class Change(NamedTuple):
    """One leaf that a patch changed; None stands for an absent leaf."""

    path: TreePath
    old: Any
    new: Any


class Applied(NamedTuple):
    """What one patch did to one object."""

    patch: ObjectPatch
    namespace: str
    workload: str
    kind: str
    name: str
    changes: tuple[Change, ...]


def differences(old: Any, new: Any, path: TreePath = ()) -> Iterator[Change]:
    """Yield the leaves that differ; for lists of different lengths, what was added or removed."""
    if old is new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(old.get(key), new.get(key), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for number in range(max(len(old), len(new))):
            before = old[number] if number < len(old) else None
            after = new[number] if number < len(new) else None
            yield from differences(before, after, (*path, number))
    elif old != new or type(old) is not type(new):
        yield Change(path, old, new)


def overlap(one: TreePath, other: TreePath) -> bool:
    """Whether two places are the same, or one contains the other."""
    return one[: len(other)] == other or other[: len(one)] == one
