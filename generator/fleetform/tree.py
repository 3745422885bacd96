"""YAML data with the position of each node, and the one rule for merging layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fleetform.problems import Mark, Problem, Severity

TreePath = tuple[str | int, ...]

VERBATIM = "objectPatches"
"""What is laid over objects, not over specs: null means something in it."""

NATURAL_KEYS = ("name", "containerPort")
"""Keys by which items of a list are told apart when layers merge, in order of preference."""

KEYED_LISTS: dict[str, tuple[str, ...]] = {
    "env": ("name",),
    "tools": ("name",),
    "volumes": ("name",),
    "containers": ("name",),
    "initContainers": ("name",),
    "sidecars": ("name",),
    "ports": ("name", "containerPort"),
}
"""Lists that merge by a natural key; every other list is replaced as a whole."""


class Map(dict[str, Any]):
    """A mapping with the mark of each key; `mark` is its own place."""

    __slots__ = ("mark", "marks")

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.marks: dict[str, Mark] = {}

    def put(self, key: str, value: Any, mark: Mark) -> None:
        """Set a key with the position `mark`."""
        self[key] = value
        self.marks[key] = mark

    def move(self, old: str, new: str) -> None:
        """Rename a key and keep its position in the file; does nothing if it is absent."""
        if old in self:
            self.put(new, self.pop(old), self.marks.pop(old))

    def clone(self) -> Map:
        """Return a shallow copy that can be changed independently."""
        twin = Map(self.mark)
        twin.update(self)
        twin.marks = dict(self.marks)
        return twin


class Seq(list[Any]):
    """A list with the mark of each item; `mark` is its own place."""

    __slots__ = ("mark", "marks")

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.marks: list[Mark] = []

    def add(self, value: Any, mark: Mark) -> None:
        """Append an item with the position `mark`."""
        self.append(value)
        self.marks.append(mark)


def packed(tree: Map) -> tuple[Any, ...] | None:
    """Return a tree as plain data, of which `unpacked` makes the same again; None if it has a node in two places.

    A node is a tuple of its mark, its values and their marks: no value is a tuple.
    """
    nodes: list[int] = []
    found = _packed(tree, nodes)
    return found if len({*nodes}) == len(nodes) else None


def _packed(node: Map | Seq, nodes: list[int]) -> tuple[Any, ...]:
    nodes.append(id(node))
    marks: Any
    values: Any
    if isinstance(node, Map):
        marks = {key: tuple(mark) for key, mark in node.marks.items()}
        values = {
            key: _packed(value, nodes) if isinstance(value, (Map, Seq)) else value
            for key, value in node.items()
        }
    else:
        marks = [tuple(mark) for mark in node.marks]
        values = [_packed(item, nodes) if isinstance(item, (Map, Seq)) else item for item in node]
    return tuple(node.mark), values, marks


def unpacked(row: tuple[Any, ...]) -> Any:
    """Return the tree that was packed."""
    mark, values, marks = row
    if type(values) is dict:
        found = Map(Mark._make(mark))
        found.update(
            {
                key: unpacked(value) if type(value) is tuple else value
                for key, value in values.items()
            }
        )
        found.marks = {key: _mark(Mark, mark) for key, mark in marks.items()}
        return found
    items = Seq(Mark._make(mark))
    items.extend(unpacked(item) if type(item) is tuple else item for item in values)
    items.marks = [_mark(Mark, mark) for mark in marks]
    return items


_mark = tuple.__new__
"""Makes a Mark at half the cost of calling the class."""


def locate(tree: Map | Seq, path: Sequence[str | int]) -> tuple[Mark, bool]:
    """Return the mark of the deepest node of `path` that exists, and whether it is the whole path."""
    mark, node = tree.mark, tree
    for step in path:
        found = mark_at(node, step)
        if found is None:
            return mark, False
        mark = found
        node = node[step]  # type: ignore[index]
    return mark, True


def mark_at(node: object, step: str | int) -> Mark | None:
    """Return the mark of one key or index of a node, None if it has none."""
    if isinstance(node, Map):
        return node.marks.get(str(step))
    if isinstance(node, Seq) and isinstance(step, int) and -len(node) <= step < len(node):
        return node.marks[step]
    return None


def at(tree: Any, path: Sequence[str | int], default: Any = None) -> Any:
    """Return the value at a path, or `default` if a step of it is missing or the value is null."""
    node: Any = tree
    try:
        for step in path:
            node = node[step]
    except (KeyError, IndexError, TypeError):
        return default
    return default if node is None else node


def dotted(path: Sequence[str | int]) -> str:
    """Return a path in the usual notation: `spec.tools[1].name`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def problem_at(
    tree: Map | Seq,
    path: Sequence[str | int],
    code: str,
    message: str,
    *,
    hint: str = "",
    severity: Severity = "error",
    key: bool = False,
) -> Problem:
    """Return a Problem at a node: at its value, or at its key if the key is at fault."""
    mark, whole = locate(tree, path)
    line, column = (
        (mark.line, mark.column) if key or not whole else (mark.value_line, mark.value_column)
    )
    return Problem(severity, code, message, mark.file, line, column, dotted(path), hint)


def merge(lower: Any, upper: Any, key: str = "") -> Any:
    """Merge `upper` over `lower`: maps by key, keyed lists by name, anything else is replaced, null deletes.

    Neither argument is changed; unchanged parts are shared. `key` is the key of both.
    """
    if isinstance(lower, Map) and isinstance(upper, Map):
        return _merge_maps(lower, upper)
    if isinstance(lower, Seq) and isinstance(upper, Seq) and key in KEYED_LISTS:
        return _merge_lists(lower, upper, KEYED_LISTS[key])
    return upper


def _merge_maps(lower: Map, upper: Map) -> Map:
    merged = lower.clone()
    merged.mark = upper.mark
    for key, value in upper.items():
        if value is None:
            merged.pop(key, None)
            merged.marks.pop(key, None)
            continue
        below = merged.get(key)
        merged.put(key, value if below is None else merge(below, value, key), upper.marks[key])
    return merged


def _merge_lists(lower: Seq, upper: Seq, names: tuple[str, ...]) -> Seq:
    merged = Seq(upper.mark)
    merged.extend(lower)
    merged.marks = list(lower.marks)
    index = {ident: i for i, item in enumerate(lower) if (ident := identity(item, names))}
    for item, mark in zip(upper, upper.marks, strict=True):
        ident = identity(item, names)
        if ident is not None and ident in index:
            at = index[ident]
            merged[at] = merge(merged[at], item)
            merged.marks[at] = mark
        else:
            merged.add(item, mark)
    return merged


def identity(item: object, names: tuple[str, ...] = NATURAL_KEYS) -> tuple[str, Any] | None:
    """Return what identifies a list's item: its first natural key and that key's value."""
    if isinstance(item, dict):
        for name in names:
            if item.get(name) is not None:
                return name, item[name]
    return None


def has_nulls(node: Any) -> bool:
    """Whether the tree contains a null."""
    todo = [node]
    while todo:
        item = todo.pop()
        values = item.values() if isinstance(item, dict) else item
        if None in values:
            return True
        todo += [value for value in values if isinstance(value, (dict, list))]
    return False


def without_nulls(node: Any) -> Any:
    """Return the tree without null members: in a spec `null` means `not set`."""
    return _stripped(node) if has_nulls(node) else node


def _stripped(node: Any) -> Any:
    if isinstance(node, Map):
        kept = Map(node.mark)
        for key, value in node.items():
            if value is not None:
                whole = value if key == VERBATIM else _stripped(value)
                kept.put(key, whole, node.marks[key])
        return kept
    if isinstance(node, Seq):
        seq = Seq(node.mark)
        for item, mark in zip(node, node.marks, strict=True):
            if item is not None:
                seq.add(_stripped(item), mark)
        return seq
    return node


def plain(node: Any) -> Any:
    """Return the tree as plain dicts and lists."""
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(item) for item in node]
    return node


def entries(node: Any) -> list[tuple[str, Any]]:
    """Return every key and item of a tree with its value, in no order; items have an empty key.

    It costs a fifth of `leaves`: who seldom finds anything looks here first.
    """
    found: list[tuple[str, Any]] = []
    todo = [node]
    while todo:
        item = todo.pop()
        rows = item.items() if isinstance(item, dict) else [("", part) for part in item]
        found += rows
        todo += [value for _, value in rows if isinstance(value, (dict, list))]
    return found


def leaves(node: Any, path: TreePath = ()) -> Iterator[tuple[TreePath, Any]]:
    """Yield every leaf with its path, in order; empty maps and lists are leaves."""
    todo = [(path, node)]
    while todo:
        at, item = todo.pop()
        if isinstance(item, dict) and item:
            todo += [((*at, key), item[key]) for key in reversed(item)]
        elif isinstance(item, list) and item:
            todo += [((*at, n), item[n]) for n in range(len(item) - 1, -1, -1)]
        else:
            yield at, item
