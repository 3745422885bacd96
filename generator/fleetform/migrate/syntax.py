"""Where each node of a document is in its file's text, and which lines belong to it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from fleetform.problems import Mark
from fleetform.pyyaml import yaml
from fleetform.tree import Map, Seq, mark_at

Kind = Literal["map", "seq", "scalar", "alias"]


@dataclass(slots=True, eq=False)
class Node:
    """One value in the text: `text[start:end]`, on the lines `line` to `last`, counted from 0."""

    kind: Kind
    start: int
    end: int
    line: int
    last: int
    flow: bool = True
    anchor: str = ""
    entries: list[Entry] = field(default_factory=list)
    tail: range = range(0)
    """Comments and blank lines after a block's last entry that belong to the block."""

    @property
    def is_block(self) -> bool:
        """Whether it is a map or list whose entries have their own lines."""
        return not self.flow and self.kind in ("map", "seq")


@dataclass(slots=True, eq=False)
class Entry:
    """A key with its value, or an item of a list; it owns the lines from `top` to `bottom` (exclusive).

    `start` is the offset of the key, of the dash, or of an item between brackets.
    """

    key: Node | None
    node: Node
    parent: Node
    start: int
    line: int
    column: int
    name: str = ""
    value: Any = None
    mark: Mark | None = None
    top: int = 0
    bottom: int = 0

    @property
    def last(self) -> int:
        """Return the last line that contains part of it."""
        return max(self.node.last, self.key.last if self.key else self.line)


@dataclass(slots=True)
class Layout:
    """The text of a file and the root node of each of its documents, including null documents."""

    text: str
    lines: list[str]
    starts: list[int]
    content: dict[int, int]
    """For lines with more than a comment, the offset at which their last token ends."""
    roots: list[Node]
    ranges: list[range]
    """Lines of each document, including the marker before it and the comments after it."""

    def line_of(self, offset: int) -> int:
        """Return the line, counted from 0, that contains an offset."""
        return bisect_right(self.starts, offset) - 1

    def comments(self, lines: Iterable[int], without: tuple[range, ...] = ()) -> list[str]:
        """Return the comments on some lines, each without indentation."""
        found = []
        for line in lines:
            if any(line in other for other in without):
                continue
            offset = self.content.get(line, self.starts[line])
            rest = self.lines[line][offset - self.starts[line] :].strip()
            if offset >= 0 and rest.startswith("#"):
                found.append(rest)
        return found


def layout(text: str) -> Layout:
    """Return the layout of a file that `load.parse` has accepted."""
    lines = text.split("\n")
    starts, offset = [], 0
    for line in lines:
        starts.append(offset)
        offset += len(line) + 1
    found = Layout(text, lines, starts, {}, [], [])
    bounds = [*_Builder(found).build(), len(lines)]
    for root, (top, bottom) in zip(found.roots, pairwise(bounds), strict=True):
        found.ranges.append(range(top, bottom))
        if root.is_block:
            _own_lines(found, root, top, bottom)
    return found


class _Builder:
    """libyaml's events and tokens → nodes."""

    def __init__(self, found: Layout) -> None:
        self.found = found
        self.dashes = iter(self._tokens())
        self.events: Iterator[Any] = iter(yaml.parse(found.text, Loader=yaml.CSafeLoader))

    def build(self) -> list[int]:
        """Fill the roots; return the line on which each document starts."""
        tops: list[int] = []
        event: Any
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                tops.append(self.found.line_of(_span(event)[0]) if tops else 0)
                self.found.roots.append(self._node(next(self.events)))
        return tops

    def _tokens(self) -> list[int]:
        """Return the offsets of the dashes of block lists, in order; record where lines end."""
        dashes = []
        for token in yaml.scan(self.found.text, Loader=yaml.CSafeLoader):
            start, end = _span(token)
            if isinstance(token, yaml.BlockEntryToken):
                dashes.append(start)
            if isinstance(token, yaml.ScalarToken) and token.style in ("|", ">"):
                end = self._end_of_block(start, end)
                # A `#` on these lines is text, except after the indicator, where it is hardly ever
                # used.
                first, last = self.found.line_of(start), self.found.line_of(end)
                self.found.content.update(dict.fromkeys(range(first, last + 1), -1))
            elif end > start:
                first, last = self.found.line_of(start), self.found.line_of(end)
                self.found.content.update(dict.fromkeys(range(first, last), -1))
                self.found.content[last] = end
        return dashes

    def _end_of_block(self, start: int, end: int) -> int:
        """Return where a block scalar's text ends, without the line breaks that it strips."""
        body = self.found.text[start:end]
        header = body.split("\n", 1)[0].split("#")[0]
        kept = body.removesuffix("\n") if "+" in header else body.rstrip(" \n")
        return start + len(kept)

    def _node(self, event: Any) -> Node:
        start, end = _span(event)
        line = self.found.line_of(start)
        if isinstance(event, yaml.AliasEvent):
            return Node("alias", start, end, line, line, anchor=event.anchor or "")
        if isinstance(event, yaml.ScalarEvent):
            if event.style in ("|", ">"):
                # The anchor comes before the indicator.
                skip = len(f"&{event.anchor}") if event.anchor else 0
                end = self._end_of_block(start + skip, end)
            last = self.found.line_of(end)
            return Node("scalar", start, end, line, last, anchor=event.anchor or "")
        kind: Kind = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
        node = Node(kind, start, end, line, line, event.flow_style, event.anchor or "")
        self._fill(node)
        return node

    def _fill(self, node: Node) -> None:
        for event in self.events:
            if isinstance(event, yaml.CollectionEndEvent):
                if node.flow:
                    node.end = _span(event)[1]
                else:
                    node.end = node.entries[-1].node.end
                node.last = self.found.line_of(node.end)
                return
            node.entries.append(self._entry(node, event))

    def _entry(self, node: Node, event: Any) -> Entry:
        dash = next(self.dashes) if node.kind == "seq" and not node.flow else None
        first = self._node(event)
        key, value = (first, self._node(next(self.events))) if node.kind == "map" else (None, first)
        start = first.start if dash is None else dash
        line = self.found.line_of(start)
        before = self.found.text[self.found.starts[line] : start].rstrip()
        if key and not node.flow and before.endswith("?"):  # `? key`, as YAML also writes it
            start = self.found.starts[line] + len(before) - 1
        return Entry(key, value, node, start, line, start - self.found.starts[line])


def _span(thing: Any) -> tuple[int, int]:
    """Return the offsets of an event or token, in characters."""
    return thing.start_mark.index, thing.end_mark.index


def _own_lines(found: Layout, node: Node, top: int, bottom: int) -> None:
    """Distribute the lines among the entries of a block: comments above an entry belong to it.

    A comment that is indented deeper than the entries belongs to the entry above it.
    """
    column = node.entries[0].column
    for entry, following in pairwise([*node.entries, None]):
        assert entry is not None
        entry.top = top
        limit = following.line if following else bottom
        cut = entry.last + 1
        while cut < limit and _indent(found.lines[cut]) > column:
            cut += 1
        top = entry.bottom = cut
        if entry.node.is_block:
            inner = entry.node.entries[0].line
            header = found.line_of(entry.start if entry.key is None else entry.key.end)
            _own_lines(found, entry.node, min(inner, header + 1), entry.bottom)
    node.tail = range(top, bottom)


def _indent(line: str) -> int:
    """Return the column of a line's first character, -1 if it is blank."""
    text = line.lstrip(" ")
    return len(line) - len(text) if text else -1


def closed(text: str) -> str:
    """Return a text that ends with a line break, since lines may be added below.

    A block scalar that ends with its file but without a line break gets the indicator `-`.
    """
    if text.endswith("\n"):
        return text
    scalars = [
        _span(token)
        for token in yaml.scan(text, Loader=yaml.CSafeLoader)
        if isinstance(token, yaml.ScalarToken) and token.style in ("|", ">")
    ]
    if scalars and scalars[-1][1] == len(text):
        start = scalars[-1][0]
        header, rest = text[start:].split("\n", 1)
        stripped = header.replace("+", "")
        if "-" not in stripped.split("#")[0]:
            stripped = f"{stripped[0]}-{stripped[1:]}"
        text = f"{text[:start]}{stripped}\n{rest}"
    return text + "\n"


def attach(node: Node, tree: Map | Seq) -> None:
    """Record the loader's value and mark for each entry; entries behind aliases keep their own."""
    for number, entry in enumerate(node.entries):
        step = list(tree)[number] if isinstance(tree, Map) else number
        entry.name = step if isinstance(step, str) else ""
        entry.value = tree[step]  # type: ignore[index]
        entry.mark = mark_at(tree, step)
        if entry.node.kind in ("map", "seq"):
            attach(entry.node, entry.value)


def entries(node: Node) -> Iterator[Entry]:
    """Yield every entry below a node, in text order."""
    for entry in node.entries:
        yield entry
        yield from entries(entry.node)
