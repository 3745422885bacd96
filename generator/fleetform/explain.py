"""Final values of a spec, where each was set, and what it overrode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.problems import Mark
from fleetform.resolve import names
from fleetform.tree import KEYED_LISTS, Map, Seq, dotted, identity, mark_at

if TYPE_CHECKING:
    from fleetform.platforms.kubernetes.objects.changes import Applied
    from fleetform.resolve import Fleet, Resolved
    from fleetform.resolve.layers import Layer

DEFAULT = "built-in default"
NOT_SET = "not set"


@dataclass(frozen=True, slots=True)
class Setting:
    """A value set by one layer; `file` is empty and `line` 0 for a built-in default."""

    value: Any
    layer: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf of a spec: its final value, and the values below it, the nearest layer first."""

    path: str
    counted: str
    """The same path with items by index, as in problems."""
    final: Setting
    overridden: tuple[Setting, ...] = field(default=())


_Node = tuple["Layer", Any, Mark]
_Paths = tuple[str, str]
"""A path with keyed items by name, and with all items by index."""


def entries(typed: Any, layers: Sequence[Layer]) -> Iterator[Entry]:
    """Yield every leaf below `spec` in schema order; `typed` is the whole document."""
    nodes = [(layer, layer.tree, layer.tree.mark) for layer in layers]
    yield from _walk(view.dump(typed.spec), nodes, ("spec", "spec"), "")


def patched(applied: Iterable[Applied]) -> Iterator[Entry]:
    """Yield every leaf of a built object that object patches changed, and its previous value."""
    found: dict[str, list[Setting]] = {}
    for item in applied:
        mark = item.patch.mark
        owner = f"{item.patch.path} of {item.patch.owner}"
        for change in item.changes:
            path = f"{item.kind}/{item.name}.{dotted(change.path)}"
            settings = found.setdefault(path, [Setting(change.old, "built from the spec")])
            settings.insert(0, Setting(change.new, owner, mark.file, mark.line))
    for path, settings in found.items():
        yield Entry(path, path, settings[0], tuple(settings[1:]))


def image(fleet: Fleet, resolved: Resolved[Any], space: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the image that a workload runs, and what of its spec and of the environment (`space`) makes it up."""
    from fleetform.plan.images import reference  # noqa: PLC0415 - of all fields, only this one needs a plan

    found = names.image(fleet, resolved)
    if found is None:
        return
    given, path, why = found
    text, _ = reference(fleet.environment.images, given)
    yield Entry("image", "image", Setting(text or given.repository, why))
    if path:
        own = entries(resolved.typed, resolved.layers or ())
        yield from (entry for entry in own if matches(entry, path))
    wanted = [f"images.pins.{given.repository}"]
    if text.startswith(f"{fleet.environment.images.registry}/"):
        wanted.append("images.registry")
    if given.repository == fleet.environment.images.runtime:
        wanted += ["images.runtime", "images.extras"]
    for entry in space:
        if any(matches(entry, name) for name in wanted) and entry.final.layer != NOT_SET:
            where = f"Environment/{fleet.environment_name}.{entry.path}"
            yield replace(entry, path=where, counted=where)


def matches(entry: Entry, wanted: str) -> bool:
    """Whether a leaf is the wanted field or below it; `spec.` may be omitted, items may be given by index."""
    names = (wanted, f"spec.{wanted}")
    paths = (entry.path, entry.counted)
    return any(_holds(name, path) or _holds(path, name) for name in names for path in paths)


def _holds(outer: str, inner: str) -> bool:
    return inner == outer or inner.startswith((f"{outer}.", f"{outer}["))


def _walk(final: Any, nodes: list[_Node], path: _Paths, key: str) -> Iterator[Entry]:
    if isinstance(final, dict) and final:
        for name, value in final.items():
            yield from _walk(value, _children(nodes, name), _below(path, f".{name}"), name)
        yield from _deleted(final, nodes, path)
    elif isinstance(final, list) and final and key in KEYED_LISTS:
        for number, item in enumerate(final):
            ident = identity(item, KEYED_LISTS[key])
            label = ident[1] if ident else number
            below = (f"{path[0]}[{label}]", f"{path[1]}[{number}]")
            yield from _walk(item, _items(nodes, ident, key), below, "")
    elif nodes or final not in ({}, []):
        yield _leaf(final, nodes, path)


def _below(path: _Paths, step: str) -> _Paths:
    return path[0] + step, path[1] + step


def _children(nodes: list[_Node], name: str) -> list[_Node]:
    """Return what each layer sets under a key; a null hides the layers below it."""
    found: list[_Node] = []
    wiped = max((number for number, (_, node, _) in enumerate(nodes) if node is None), default=-1)
    for layer, node, _ in nodes[wiped + 1 :]:
        mark = mark_at(node, name)
        if isinstance(node, Map) and mark is not None:
            found.append((layer, node[name], mark))
    return found


def _deleted(final: dict[str, Any], nodes: list[_Node], path: _Paths) -> Iterator[Entry]:
    """Yield what a null deleted, with the values it would have had."""
    names = {name for _, node, _ in nodes if isinstance(node, Map) for name in node}
    for name in sorted(names - final.keys()):
        below = _children(nodes, name)
        if below and below[-1][1] is None:
            yield _leaf(None, below, _below(path, f".{name}"))


def _items(nodes: list[_Node], ident: tuple[str, Any] | None, key: str) -> list[_Node]:
    return [
        (layer, item, mark)
        for layer, node, _ in nodes
        if isinstance(node, Seq)
        for item, mark in zip(node, node.marks, strict=True)
        if ident is not None and identity(item, KEYED_LISTS[key]) == ident
    ]


def _leaf(final: Any, nodes: list[_Node], path: _Paths) -> Entry:
    settings = [
        Setting(value, layer.name, mark.file, mark.line) for layer, value, mark in reversed(nodes)
    ]
    if settings and settings[0].value is not None:
        first = settings[0]
        return Entry(
            *path, Setting(final, first.layer, first.file, first.line), tuple(settings[1:])
        )
    return Entry(*path, Setting(final, NOT_SET if final is None else DEFAULT), tuple(settings))
