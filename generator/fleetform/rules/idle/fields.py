"""One field that depends on another one, and whether it has an effect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fleetform.problems import Severity
from fleetform.records import NamedTuple
from fleetform.resolve import Resolved
from fleetform.tree import Map, TreePath, at


class Field(NamedTuple):
    """A field that is set; `why` says why it has no effect, and is empty if it has one."""

    owner: Resolved[Any]
    path: TreePath
    why: str
    hint: str = ""
    severity: Severity = "warning"
    name: str = ""
    """What a message calls it: the field's own name, unless it is called otherwise."""


class Looking:
    """What is looked for: fields without effect, and only where there are some, those that have one elsewhere."""

    served = False


def given(
    owner: Resolved[Any],
    base: TreePath,
    names: Iterable[str],
    why: str,
    hint: str,
    severity: Severity = "warning",
) -> Iterable[Field]:
    """Return those of the fields below `base` that some layer sets."""
    if not (why or Looking.served):
        return ()
    node = at(owner.tree, base)
    if not isinstance(node, Map):
        return ()
    return [
        Field(owner, (*base, name), why, hint, severity)
        for name in names
        if name in node and node[name] not in (None, {}, [])
    ]


def others(owner: Resolved[Any], base: TreePath, *known: str) -> tuple[str, ...]:
    """Return the fields that are set below `base`, except the given ones."""
    node = at(owner.tree, base)
    return tuple(name for name in node if name not in known) if isinstance(node, Map) else ()


def switched(owner: Resolved[Any], base: TreePath, *, on: bool, what: str) -> Iterator[Field]:
    """Yield the fields of a section that its switch `enabled` turns off."""
    section = at(owner.tree, base)
    if not isinstance(section, Map):
        return
    off = section.get("enabled") is False
    why = f"{what} is off" if not on else ""
    hint = f"remove it, or set `{base[-1]}.enabled` to true"
    yield from given(
        owner, base, others(owner, base, "enabled"), why, hint, "note" if off else "warning"
    )
