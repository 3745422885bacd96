"""Which text each part of a translated document comes from: the translation keeps every mark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fleetform.migrate.syntax import Entry, Node, entries
from fleetform.tree import Map, Seq, mark_at

Slot = tuple[int, str | int]
"""A place in the translated tree: a container's identity, and a key or index in it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    container: Map | Seq
    step: str | int

    @property
    def value(self) -> Any:
        return self.container[self.step]  # type: ignore[index]

    @property
    def slot(self) -> Slot:
        return id(self.container), self.step


class Origins:
    """The text entries that the parts of a translated tree come from, each entry used once.

    First every part takes the entry of the same name in the map that its own map comes from; the
    rest is matched by marks, equal values first, which finds what was renamed or moved.
    """

    def __init__(self, root: Node, tree: Map) -> None:
        self.root = root
        self._by_slot: dict[Slot, Entry] = {}
        self._taken: set[Entry] = set()
        self._pair(root, tree)
        marks = {entry.mark: entry for entry in entries(root) if entry not in self._taken}
        for exactly in (True, False):
            for place in [*self._open(tree)]:
                entry = marks.get(mark_at(place.container, place.step))
                if entry is not None and entry not in self._taken:
                    self._try(place, entry, exactly=exactly)

    def of(self, container: Map | Seq, step: str | int) -> Entry | None:
        """Return the entry that a part comes from, None if it is new."""
        return self._by_slot.get((id(container), step))

    def is_taken(self, entry: Entry) -> bool:
        """Whether some part comes from this entry."""
        return entry in self._taken

    def _take(self, place: _Place, entry: Entry) -> None:
        self._by_slot[place.slot] = entry
        self._taken.add(entry)
        if _kind(place.value) == entry.node.kind != "scalar":
            self._pair(entry.node, place.value)

    def _pair(self, node: Node, tree: Map | Seq) -> None:
        """Pair the members of a container with the entries of the container that it comes from."""
        if isinstance(tree, Map):
            found = {entry.name: entry for entry in node.entries}
            for key in tree:
                if key in found and found[key] not in self._taken:
                    self._take(_Place(tree, key), found[key])
            return
        marks = {entry.mark: entry for entry in node.entries}
        for number, mark in enumerate(tree.marks):
            entry = marks.get(mark)
            if entry is not None and _kind(tree[number]) in (entry.node.kind, _kind(entry.value)):
                self._take(_Place(tree, number), entry)

    def _try(self, place: _Place, entry: Entry, *, exactly: bool) -> None:
        if place.slot in self._by_slot:
            return
        if not exactly:
            kind = _kind(place.value)
            if kind == entry.node.kind and (kind == "scalar" or _share(place.value, entry.node)):
                self._take(place, entry)
            return
        while not same(place.value, entry.value):
            if len(entry.node.entries) != 1:
                return
            entry = entry.node.entries[0]
        if entry not in self._taken:
            self._take(place, entry)

    def _open(self, tree: Map | Seq) -> Iterator[_Place]:
        """Yield the parts that have no origin yet, outer ones first; aliases are left alone."""
        for step in list(tree) if isinstance(tree, Map) else range(len(tree)):
            place = _Place(tree, step)
            entry = self._by_slot.get(place.slot)
            if entry is None:
                yield place
            if isinstance(place.value, Map | Seq) and (entry is None or entry.node.kind != "alias"):
                yield from self._open(place.value)


def _share(tree: Map | Seq, node: Node) -> bool:
    """Whether a member of a container comes from an entry of a node."""
    marks = tree.marks.values() if isinstance(tree, Map) else tree.marks
    return not {entry.mark for entry in node.entries}.isdisjoint(marks)


def _kind(value: object) -> str:
    return "map" if isinstance(value, Map) else "seq" if isinstance(value, Seq) else "scalar"


def same(one: object, other: object) -> bool:
    """Whether two plain values are the same data; `true` is not 1, and 1 is not 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other
