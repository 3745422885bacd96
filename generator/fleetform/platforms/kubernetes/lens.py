"""How a chart value is read back from an object that a patch has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fleetform.records import NamedTuple
from fleetform.tree import TreePath

Values = dict[str, Any]
"""Values of a chart, or a part of them."""
Read = Callable[[Any, Any], Any]
"""The plan and the object's current field → the value; raises UncoveredError if there is none."""


class UncoveredError(Exception):
    """A patch does something that no chart value can."""


class Lens(NamedTuple):
    """A place in an object, the value that decides it, and how to read one from the other."""

    path: TreePath
    value: tuple[str, ...]
    read: Read
    first: Callable[[Any], int] | None = None
    """Where a list begins to be the value's own; the items before it are the chart's."""
    partial: bool = False
    """Whether the value is laid over what the plan says, in place of replacing it."""


def same(plan: Any, new: Any) -> Any:
    """Return what is in the object: the value is the same."""
    del plan
    return new


def lens(path: str, value: str, read: Read = same, **more: Any) -> Lens:
    """Return a lens by dotted paths."""
    return Lens(steps(path), tuple(value.split(".")), read, **more)


def steps(path: str) -> TreePath:
    """Return the steps of a dotted path; digits count items."""
    return tuple(int(step) if step.isdigit() else step for step in path.split("."))


def less(given: Any, known: Any) -> Values:
    """Return the members of a map that differ from another map."""
    return {key: value for key, value in given.items() if known.get(key) != value}
