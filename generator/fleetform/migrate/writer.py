"""A translated tree and the text it comes from → the new text: what did not change is copied."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from fleetform.emit import emit
from fleetform.migrate.origins import Origins, same
from fleetform.migrate.syntax import Entry, Layout, Node, entries
from fleetform.tree import Map, Seq, plain

STEP = 2
"""Indentation of new maps."""

Lines = list[str]


class Writer:
    """Writes one document.

    A member of a block consists of its lead (the comments above it) and its body; both are lines at
    their final column.
    """

    def __init__(self, found: Layout, origins: Origins) -> None:
        self.found = found
        self.origins = origins
        self._anchors: dict[str, Any] = {}
        self._hoisted: set[int] = set()
        self._orphans = dict(self._comments_of_lost_items())

    def write(self, tree: Map, lines: range) -> Lines:
        """Return the document's new lines; `lines` are its current ones."""
        root = self.origins.root
        if root.is_block:
            lead, body = self._block(tree, root, root.entries[0].column)
            return lead + body
        start, end = self.found.starts[lines.start], self.found.starts[lines.stop - 1]
        end += len(self.found.lines[lines.stop - 1])
        text = self.found.text
        return (text[start : root.start] + self._flow(tree, root) + text[root.end : end]).split(
            "\n"
        )

    # -- blocks --------------------------------------------------------------------------------

    def _block(self, tree: Map | Seq, source: Node | None, column: int) -> tuple[Lines, Lines]:
        """Return the lead of the first member, and all other lines of a block."""
        first: Lines | None = None
        lines: Lines = []
        is_gap = False
        for item in self._order(tree, source):
            if isinstance(item, Entry):
                lines += self._left_behind(item, column - item.column)
                is_gap = True
                continue
            lead, body = self._member(tree, item, column, source)
            lead = _joined(lines, lead) if is_gap else lead
            is_gap = False
            if first is None:
                first, lead, lines = lines + lead, [], []
            lines += lead + body
        if source is not None:
            tail = self._shifted(source.tail, column - source.entries[0].column)
            lines += _joined(lines, tail) if is_gap else tail
        return first or [], lines

    def _order(self, tree: Map | Seq, source: Node | None) -> Iterator[Entry | str | int]:
        """Yield members in text order, then new ones; removed entries are yielded themselves."""
        steps = _steps(tree)
        if source is None:
            yield from steps
            return
        place = {entry: number for number, entry in enumerate(source.entries)}
        whence = {step: self._whence(tree, step, source) for step in steps}
        if isinstance(tree, Map):
            last = len(place)
            steps.sort(key=lambda step: place[entry] if (entry := whence[step]) else last)
        done = 0
        for step in steps:
            entry = whence[step]
            if entry is not None:
                yield from source.entries[done : place[entry]]
                done = max(done, place[entry] + 1)
            elif isinstance(tree, Map):
                yield from source.entries[done:]
                done = len(place)
            yield step
        yield from source.entries[done:]

    def _whence(self, tree: Map | Seq, step: str | int, source: Node) -> Entry | None:
        """Return the entry of a block whose position a member takes: its own, or that of a part of it."""
        entry = self.origins.of(tree, step)
        if entry is not None:
            return entry if entry.parent is source else None
        value = tree[step]  # type: ignore[index]
        inner = _steps(value) if isinstance(value, Map | Seq) else []
        found = (self._whence(value, step, source) for step in inner)
        return next((entry for entry in found if entry is not None), None)

    def _left_behind(self, entry: Entry, shift: int) -> Lines:
        """Return the comments near a removed entry that do not describe it."""
        above, _ = self._lead(entry)
        lines = self._shifted(above, shift)
        return lines if any(line.strip() for line in lines) else []

    def _lead(self, entry: Entry) -> tuple[range, range]:
        """Return the lines above an entry: those before its own comment, and that comment."""
        own = entry.line
        while own > entry.top and self.found.lines[own - 1].strip():
            own -= 1
        return range(entry.top, own), range(own, entry.line)

    def _member(
        self, tree: Map | Seq, step: str | int, column: int, source: Node | None
    ) -> tuple[Lines, Lines]:
        value = tree[step]  # type: ignore[index]
        entry = self.origins.of(tree, step)
        if entry is None:
            lead, body = self._new(step, value, column)
            place = self._whence(tree, step, source) if source else None
            above = self._shifted(self._lead(place)[0], column - place.column) if place else []
            return above + lead, body
        shift = column - entry.column
        own = range(entry.top, entry.line) if entry.parent is source else self._lead(entry)[1]
        lead = [" " * column + comment for comment in self._orphans.get(entry, ())]
        lead += self._shifted(own, shift) if not entry.parent.flow else []
        alike = not entry.parent.flow and (entry.key is None) == isinstance(step, int)
        if alike and self._can_copy(value, entry):
            body = self._copied(entry, step, column)
            return lead, body + self._shifted(range(entry.last + 1, entry.bottom), shift)
        more, body = self._changed(step, value, column, entry)
        return lead + more, body

    def _changed(
        self, step: str | int, value: Any, column: int, entry: Entry
    ) -> tuple[Lines, Lines]:
        """Return an entry whose content partly changed."""
        node = entry.node
        if entry.parent.flow:
            return self._unfolded(step, value, column, entry)
        if isinstance(value, Map | Seq) and value and node.is_block:
            return self._changed_block(step, value, column, entry)
        below = self._shifted(range(entry.last + 1, entry.bottom), column - entry.column)
        if node.kind == "alias" or node.is_block:
            header = range(entry.line, node.entries[0].top if node.entries else entry.last + 1)
            lead, body = self._new(step, value, column)
            return self._comments(header, column) + lead, body + below
        text, comments = self.found.text[node.start : node.end], list[int]()
        if isinstance(value, Map | Seq):
            self._hoisted = {*range(node.line, node.last)}
            text, comments = self._flow(value, node), sorted(self._hoisted)
        elif not self._can_copy(value, entry):
            text = _scalar(value, text)
        body = self._line(step, entry, text + self._rest_of_line(node.end), column)
        return self._comments(comments, column), body + below

    def _unfolded(
        self, step: str | int, value: Any, column: int, entry: Entry
    ) -> tuple[Lines, Lines]:
        """Return an entry that was between brackets and now gets its own line."""
        text = self.found.text[entry.node.start : entry.node.end]
        if "\n" in text or not self._can_copy(value, entry):
            return self._new(step, value, column)
        head = "- " if isinstance(step, int) else f"{_scalar(step)}: "
        return [], [" " * column + head + text]

    def _comments(self, lines: Iterable[int], column: int) -> Lines:
        return [" " * column + comment for comment in self.found.comments(lines)]

    def _changed_block(
        self, step: str | int, value: Map | Seq, column: int, entry: Entry
    ) -> tuple[Lines, Lines]:
        node = entry.node
        inner = column + node.entries[0].column - entry.column
        if isinstance(step, int) or entry.key is None:
            header = range(entry.line, node.entries[0].top)
            lead, body = self._block(value, node, max(inner, column + STEP))
            lead, body = self._nested(step, lead, body, column)
            return self._comments(header, column) + lead, body
        lead, body = self._block(value, node, inner)
        rest = self._rest_of_line(entry.key.end)
        if node.anchor:  # nothing may refer to a value that has changed
            rest = rest.replace(f" &{node.anchor}", "", 1)
        return [], [" " * column + self._key(step, entry) + rest, *lead, *body]

    def _nested(
        self, step: str | int, lead: Lines, body: Lines, column: int
    ) -> tuple[Lines, Lines]:
        """Put a block below a new key, or after a new dash."""
        if isinstance(step, str):
            return [], [f"{' ' * column}{_scalar(step)}:", *lead, *body]
        text = body[0].lstrip(" ")
        gap = len(body[0]) - len(text) - column
        above = [_shift(line, -gap) for line in lead]
        return above, [f"{' ' * column}-{' ' * (gap - 1)}{text}", *body[1:]]

    def _new(self, step: str | int, value: Any, column: int) -> tuple[Lines, Lines]:
        """Return a member that has no text yet; some of its content may have."""
        if isinstance(value, Map | Seq) and value and self._has_text(value):
            return self._nested(step, *self._block(value, None, column + STEP), column)
        pad = " " * column
        text = emit({step: plain(value)} if isinstance(step, str) else [plain(value)])
        return [], [pad + line if line else line for line in text.splitlines()]

    def _has_text(self, tree: Map | Seq) -> bool:
        for step in _steps(tree):
            value = tree[step]  # type: ignore[index]
            if self.origins.of(tree, step) is not None:
                return True
            if isinstance(value, Map | Seq) and self._has_text(value):
                return True
        return False

    # -- copied text ----------------------------------------------------------------------------

    def _can_copy(self, value: Any, entry: Entry) -> bool:
        """Whether an entry's text says exactly this, with aliases that still have the same meaning."""
        if not same(value, entry.value):
            return False
        known = dict(self._anchors)
        for node, data in _nodes(entry):
            if node.kind == "alias":
                if node.anchor not in known or not same(known[node.anchor], data):
                    return False
            elif node.anchor:
                known[node.anchor] = data
        self._anchors = known
        return True

    def _copied(self, entry: Entry, step: str | int, column: int) -> Lines:
        """Return an entry's own lines at a column, under another key if needed."""
        text, end = self.found.text, self._end_of_line(entry.last)
        body = text[entry.start : end]
        if entry.key is not None:
            before = text[entry.start : entry.key.start]
            body = before + self._key(step, entry) + text[entry.key.end : end]
        return self._reindented(body, column, column - entry.column)

    def _line(self, step: str | int, entry: Entry, rest: str, column: int) -> Lines:
        """Return the lines of a key or dash and what follows it."""
        node, text = entry.node, self.found.text
        if isinstance(step, int):
            head = "- "
        elif entry.key is None:
            head = f"{_scalar(step)}: "
        else:
            between = text[entry.key.end : node.start]
            head = self._key(step, entry) + (
                between if between.endswith((" ", "\n")) else f"{between} "
            )
        return self._reindented(head + rest, column, column - entry.column)

    def _reindented(self, text: str, column: int, shift: int) -> Lines:
        first, *others = text.split("\n")
        return [" " * column + first, *(_shift(line, shift) for line in others)]

    def _shifted(self, lines: range, shift: int) -> Lines:
        return [_shift(self.found.lines[line], shift) for line in lines]

    def _key(self, step: str | int, entry: Entry) -> str:
        """Return a key as its author wrote it, unless it is renamed."""
        if entry.key is not None and entry.name == step:
            return self.found.text[entry.key.start : entry.key.end]
        return _scalar(step, self.found.text[entry.key.start] if entry.key else "")

    def _rest_of_line(self, offset: int) -> str:
        return self.found.text[offset : self._end_of_line(self.found.line_of(offset))]

    def _end_of_line(self, line: int) -> int:
        return self.found.starts[line] + len(self.found.lines[line])

    # -- between brackets ----------------------------------------------------------------------

    def _flow(self, value: Any, source: Node | None) -> str:
        """Return a value in flow style, on several lines if the source does so."""
        if not isinstance(value, Map | Seq):
            return _scalar(value, self.found.text[source.start] if source else "")
        left, right = "{}" if isinstance(value, Map) else "[]"
        text = left
        for number, step in enumerate(self._flow_order(value, source)):
            entry = self.origins.of(value, step)
            if not number and source is not None and source.entries:
                entry = source.entries[0]  # the new first entry takes the position of the old one
            space = self._space_before(entry, source)
            text += ("," if number else "") + (space or " " * bool(number))
            text += self._part(value, step)
        return text + self._space_at_end(source) * bool(value) + right

    def _space_before(self, entry: Entry | None, source: Node | None) -> str:
        """Return the line break and indentation, or other text, before an entry."""
        if entry is None or entry.parent is not source:
            return ""
        number = source.entries.index(entry)
        if entry.line > (source.entries[number - 1].last if number else source.line):
            return "\n" + " " * entry.column
        return " " * (self.found.text[entry.start - 1] == " ")

    def _space_at_end(self, source: Node | None) -> str:
        if source is None or not source.entries:
            return ""
        line = self.found.lines[source.last]
        if source.last > source.entries[-1].last:
            return "\n" + " " * (len(line) - len(line.lstrip(" ")))
        return " " * (self.found.text[source.end - 2] == " ")

    def _flow_order(self, tree: Map | Seq, source: Node | None) -> Iterator[str | int]:
        for item in self._order(tree, source):
            if not isinstance(item, Entry):
                yield item

    def _part(self, tree: Map | Seq, step: str | int) -> str:
        value = tree[step]  # type: ignore[index]
        entry = self.origins.of(tree, step)
        if entry is not None and not entry.parent.flow:
            lines = range(self._lead(entry)[1].start, entry.bottom)
            self._hoisted.update(lines)
        node = entry.node if entry is not None and entry.node.flow else None
        text = self._flow(value, node)
        if entry is not None and node is not None and entry.parent.flow:
            kept = self.found.text[node.start : node.end]
            if (node.kind == "scalar" or "\n" not in kept) and self._can_copy(value, entry):
                text = kept
        if isinstance(step, int):
            return text
        return f"{self._key(step, entry) if entry else _scalar(step)}: {text}"

    # -- comments ------------------------------------------------------------------------------

    def _comments_of_lost_items(self) -> Iterator[tuple[Entry, Lines]]:
        """Yield what was said of a list's item that is gone, at the first part of it that is not."""
        for item in entries(self.origins.root):
            if item.key is not None or item.parent.flow or self.origins.is_taken(item):
                continue
            kept = [part for part in entries(item.node) if self.origins.is_taken(part)]
            if kept:
                lines = range(self._lead(item)[1].start, item.bottom)
                others = tuple(
                    range(self._lead(part)[1].start, part.bottom)
                    for part in kept
                    if not part.parent.flow
                )
                yield kept[0], self.found.comments(lines, others)


def _nodes(entry: Entry) -> Iterator[tuple[Node, Any]]:
    """Yield every node of an entry with its data, in the order of the text."""
    if entry.key is not None:
        yield entry.key, entry.name
    yield entry.node, entry.value
    for inner in entry.node.entries:
        yield from _nodes(inner)


def _steps(tree: Map | Seq) -> list[str | int]:
    return [*tree] if isinstance(tree, Map) else [*range(len(tree))]


def _joined(lines: Lines, more: Lines) -> Lines:
    """Return lines that follow others, without a second gap between them."""
    start = 0
    while lines and not lines[-1].strip() and start < len(more) and not more[start].strip():
        start += 1
    return more[start:]


def _shift(line: str, shift: int) -> str:
    if shift >= 0:
        return " " * shift + line if line else line
    cut = min(-shift, len(line) - len(line.lstrip(" ")))
    return line[cut:]


def _scalar(value: Any, before: str = "") -> str:
    """Return a value on one line, as it may also stand between brackets; in the quotes that it had."""
    if isinstance(value, str) and ("\n" in value or before.startswith('"')):
        return json.dumps(value, ensure_ascii=False)
    text = emit(plain(value)).removesuffix("\n")
    return f"'{text}'" if before.startswith("'") and text == value else text
