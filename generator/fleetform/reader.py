"""One file's text → trees with a position for every node; whatever YAML parsers disagree on is a Problem."""

from __future__ import annotations

import re
from collections.abc import Callable
from sys import intern
from typing import Any

from fleetform.lazy import regex
from fleetform.problems import MAX_PER_FILE, Mark, Problem
from fleetform.pyyaml import CParser, yaml
from fleetform.records import NamedTuple
from fleetform.tree import Map, Seq

MAX_DEPTH = 64
"""Deepest nesting of maps and lists."""
MAX_NODES = 200_000
"""Nodes that a file may unfold to, aliases counted where they are used."""
MAX_DOCUMENTS = 10_000
"""Documents of a file."""
MAX_INTEGER = 1 << 53
"""Beyond it readers that use float64 (Helm, JavaScript) lose digits silently."""

_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
# In YAML 1.1 a sign before a leading point makes it text.
_FLOAT = regex(r"(?:[-+]?[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?\Z")
# Scalars that one version of YAML reads as a number, boolean, time or merge key and another as
# text.
_AMBIGUOUS = regex(
    r"""(?: [yYnN] | [yY]es | YES | [nN]o | NO | [oO]n | ON | [oO]ff | OFF      # 1.1 booleans
      | [-+]?0[0-9_]+ | [-+]?0[oO]?[0-7_]+ | [-+]?0[bB][01_]+ | [-+]?0[xX][0-9a-fA-F_]+
      | [-+]?[0-9][0-9_]*(?:\.[0-9_]*)? | [-+]?\.[0-9_]+ | [-+]_[0-9_]*        # 1_000
      | [-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)[eE][-+]?[0-9]+                    # 1e3
      | [-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?                            # 1:30
      | [-+]?\.(?:inf|Inf|INF) | \.(?:nan|NaN|NAN)
      | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\ \t].*)? | = | <<
    )\Z""",
    re.VERBOSE | re.DOTALL,
)
# Tab, newline and printable text; CR is refused separately, with its own message. Kustomize, and so
# Flux, writes U+0080-9F in a way that it cannot read again, and turns U+0085 into a blank.
CONTROL = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff"
_UNPRINTABLE = f"[{CONTROL}]"
_NEXT_DOCUMENT = re.compile(r"^---(?=[ \t\n]|\Z)", re.MULTILINE)


class Document(NamedTuple):
    """One YAML document: its file as the caller named it, and a name that is the same from anywhere.

    `origin` starts at the name of the loaded folder, so that output that mentions it does not
    depend on the working directory.
    """

    file: str
    origin: str
    tree: Map


def _syntax(error: yaml.YAMLError, name: str, text: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    reason = str(getattr(error, "problem", None) or error).strip()
    context = getattr(error, "context", None)
    message = f"not valid YAML: {reason}" + (f" ({context})" if context else "")
    lines = text.split("\n")
    hint = "check indentation, colons and quotes here"
    if mark and mark.line < len(lines) and "\t" in lines[mark.line]:
        hint = "indent with spaces: YAML does not allow tabs there"
    return Problem("error", "yaml-syntax", message, name, line, column, "", hint)


def _from(text: str, line: int) -> str:
    """Return the text from the first document marker at or after a line, with blank lines before it."""
    start = 0
    for _ in range(line):
        start = text.find("\n", start) + 1 or len(text)
    found = _NEXT_DOCUMENT.search(text, start)
    return "\n" * text.count("\n", 0, found.start()) + text[found.start() :] if found else ""


_mark = tuple.__new__
"""Makes a Mark at half the cost of calling the class; there are two for each node of each file."""


class _Stop(Exception):  # noqa: N818 - not an error: the document is not read further
    """A limit is exceeded."""


class Reader:
    """Builds the trees of one file from libyaml's events, without recursion."""

    def __init__(self, file: str, origin: str) -> None:
        self.file = file
        self.origin = origin
        self.documents: list[Document] = []
        self.problems: list[Problem] = []
        self.nodes = 0
        self._first = 0
        self._complete = 0
        self._anchors: dict[str, tuple[Any, int, int]] = {}
        self._stack: list[tuple[Map | Seq, str | None, int]] = []
        self._names: list[str | None] = []
        self._heights: list[int] = []
        self._key: str | None = None
        self._key_mark = Mark(file, 0, 0, 0, 0)

    def read(self, text: str) -> None:
        """Fill `documents` and `problems`; a document that breaks off is left out, those after it are read."""
        while text:
            try:
                self._read_events(CParser(text).get_event)
            except _Stop:
                pass
            except yaml.YAMLError as error:
                self.problems.append(_syntax(error, self.file, text))
            else:
                return
            del self.documents[self._complete :]
            self._first = max(self._first + 1, self.problems[-1].line - 1)
            text = "" if self._is_full() else _from(text, self._first)

    def _read_events(self, get_event: Callable[[], Any]) -> None:
        while (event := get_event()) is not None:
            handle = _HANDLERS.get(type(event))
            if handle is not None:
                handle(self, event)

    def _is_full(self) -> bool:
        return self.nodes > MAX_NODES or len(self.problems) > MAX_PER_FILE

    def problem(self, event: Any, code: str, message: str, hint: str) -> None:
        """Record an error at an event, with the path of the node that contains it."""
        mark = event.start_mark
        path = self._path()
        self.problems.append(
            Problem("error", code, message, self.file, mark.line + 1, mark.column + 1, path, hint)
        )
        if self._is_full():
            raise _Stop

    def _path(self) -> str:
        text = ""
        for node, key, _ in self._stack[1:]:
            del node
            text += (
                f"[{key[1:]}]"
                if key is not None and key.startswith("\0")
                else f".{key}"
                if text
                else f"{key}"
            )
        if self._stack and self._key is not None:
            text += f".{self._key}" if text else self._key
        return text

    # -- events ------------------------------------------------------------------------------

    def document_start(self, event: Any) -> None:
        """Start a document: anchors are not visible beyond it."""
        self._first = event.start_mark.line
        self._anchors = {}
        self._stack = []
        self._names = []
        self._heights = []
        self._key = None
        self._complete = len(self.documents)
        if self._complete >= MAX_DOCUMENTS:
            self.problem(
                event,
                "too-many-documents",
                f"the file has more than {MAX_DOCUMENTS} documents",
                "split the file",
            )
            self.nodes = MAX_NODES + 1
            self.documents.clear()  # problems within each are not the cause
            self._complete = 0
            raise _Stop

    def scalar(self, event: Any) -> None:
        """Take a key, or put a value under the last one."""
        self._count(event)
        if self._expects_key():
            self._take_key(event)
            return
        value = self._value(event)
        self._anchor(event, value, 1)
        self._put(value, event)

    def alias(self, event: Any) -> None:
        """Insert the value of an anchor; it is shared, and counted as if written out."""
        name = event.anchor
        if self._expects_key():
            self.problem(event, "key-not-a-string", "an alias cannot be a key", "write the key out")
            self._key = ""
            return
        if name not in self._anchors:
            cyclic = name in self._names
            self.problem(
                event,
                "alias",
                f"the alias `*{name}` " + ("contains itself" if cyclic else "has no anchor"),
                "write the value out",
            )
            self._put(None, event)
            return
        value, size, height = self._anchors[name]
        self._count(event, size)
        if height:
            self._bound(event, height)
        self._put(value, event)

    def open_map(self, event: Any) -> None:
        """Begin a map."""
        self._open(event, Map(self._own_mark(event)))

    def open_list(self, event: Any) -> None:
        """Begin a list."""
        self._open(event, Seq(self._own_mark(event)))

    def close(self, event: Any) -> None:
        """End a map or list; from now on its anchor can be used."""
        del event
        node, _, before = self._stack.pop()
        name = self._names.pop()
        height = self._heights.pop()
        if self._heights:
            self._heights[-1] = max(self._heights[-1], height + 1)
        if name is not None:
            self._anchors[name] = (node, self.nodes - before + 1, height)
        self._key = None

    # -- parts -------------------------------------------------------------------------------

    def _own_mark(self, event: Any) -> Mark:
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        return _mark(Mark, (self.file, line, column, line, column))

    def _count(self, event: Any, nodes: int = 1) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            self.problem(
                event,
                "too-many-nodes",
                f"the file expands to more than {MAX_NODES} nodes",
                "write aliases out, or split the file",
            )
            raise _Stop

    def _bound(self, event: Any, height: int) -> None:
        """Stop at nodes that are too deep, counting aliases as if written out."""
        if len(self._stack) + height > MAX_DEPTH:
            self.problem(event, "too-deep", f"nested deeper than {MAX_DEPTH} levels", "flatten it")
            raise _Stop
        if self._heights:
            self._heights[-1] = max(self._heights[-1], height + 1)

    def _expects_key(self) -> bool:
        return bool(self._stack) and self._key is None and isinstance(self._stack[-1][0], Map)

    def _open(self, event: Any, node: Map | Seq) -> None:
        self._count(event)
        if event.tag is not None:
            self._refuse_tag(event)
        self._bound(event, 1)
        if self._expects_key():
            self.problem(
                event,
                "key-not-a-string",
                "a key must be a string, not a map or a list",
                "quote it, or use a list of maps",
            )
            raise _Stop
        key = self._put(node, event)
        self._stack.append((node, key, self.nodes))
        self._names.append(event.anchor)
        self._heights.append(1)
        self._key = None

    def _put(self, value: Any, event: Any) -> str | None:
        if not self._stack:
            self._root(value, event)
            return None
        parent = self._stack[-1][0]
        mark = event.start_mark
        if isinstance(parent, Map):
            key, at = self._key or "", self._key_mark
            if key not in parent:
                parent.put(
                    key,
                    value,
                    _mark(Mark, (self.file, at.line, at.column, mark.line + 1, mark.column + 1)),
                )
            self._key = None
            return key
        if value is None:
            self._refuse_empty(event)
        else:
            parent.add(value, self._own_mark(event))
        return f"\0{len(parent) - 1}"

    def _refuse_empty(self, event: Any) -> None:
        if not self._said_at(event):
            self.problem(
                event,
                "empty-item",
                "the list has an empty item",
                "remove the dash, or write a value after it",
            )

    def _root(self, value: Any, event: Any) -> None:
        if isinstance(value, Map):
            self.documents.append(Document(self.file, self.origin, value))
        elif value is not None:
            self.problem(
                event,
                "not-a-map",
                "a document must be a map with apiVersion and kind",
                "see `fleetform schema`",
            )

    def _take_key(self, event: Any) -> None:
        value = self._value(event, key=True)
        text = event.value
        if event.anchor is not None:
            self._anchors[event.anchor] = (text, 1, 0)
        if not isinstance(value, str) and not self._said_at(event):
            self.problem(
                event,
                "key-not-a-string",
                f"the key `{text[:40]}` is not a string",
                f'quote it: "{text[:40]}"',
            )
        parent = self._stack[-1][0]
        if text in parent:
            first = parent.marks[text]
            self.problem(
                event,
                "duplicate-key",
                f"the key `{text[:80]}` occurs twice in one map",
                f"the first is on line {first.line}: remove one",
            )
        self._key = intern(text)  # specs have few keys, each of them thousands of times
        self._key_mark = self._own_mark(event)

    def _said_at(self, event: Any) -> bool:
        mark = event.start_mark
        last = self.problems[-1] if self.problems else None
        return last is not None and (last.line, last.column) == (mark.line + 1, mark.column + 1)

    def _anchor(self, event: Any, value: Any, size: int) -> None:
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, size, 0)

    def _refuse_tag(self, event: Any) -> None:
        self.problem(
            event,
            "tag",
            f"YAML tags are not allowed (`{event.tag[:60]}`)",
            "remove the tag; quote the value if it is text",
        )

    def _value(self, event: Any, *, key: bool = False) -> Any:
        if event.tag is not None:
            self._refuse_tag(event)
            return event.value
        if not event.implicit[0]:
            return self._quoted(event)
        return self._plain(event, key=key)

    def _quoted(self, event: Any) -> str:
        text: str = event.value
        if text.isprintable() and text.isascii():
            return text
        bad = re.search(_UNPRINTABLE, text)
        if bad or "\r" in text:
            code = ord(bad[0]) if bad else 13
            self.problem(
                event,
                "control-character",
                f"the text has the control character U+{code:04X}",
                "remove it: only tab and newline are safe with every parser",
            )
        return text

    def _plain(self, event: Any, *, key: bool) -> Any:
        text: str = event.value
        if text in _BOOLS:
            return _BOOLS[text]
        if text in _NULLS:
            return None
        if text[0].isalpha() and len(text) > 3:  # fast path: most scalars are words
            return text
        if _INT.match(text):
            return self._integer(event, text)
        if _FLOAT.match(text):
            return self._float(event, text)
        if _AMBIGUOUS.match(text):
            what = "key" if key else "value"
            self.problem(
                event,
                "ambiguous-scalar",
                f"YAML versions disagree on the {what} `{text[:60]}`",
                f'quote it: "{text[:60]}"',
            )
        return text

    def _integer(self, event: Any, text: str) -> int:
        value = int(text) if len(text) < 20 else MAX_INTEGER + 1
        if abs(value) > MAX_INTEGER:
            self.problem(
                event,
                "integer-too-big",
                f"the integer `{text[:24]}{'…' if len(text) > 24 else ''}` is beyond 2^53: some parsers lose digits",
                "quote it if it is an identifier",
            )
        return value

    def _float(self, event: Any, text: str) -> float:
        value = float(text)
        if value in (float("inf"), float("-inf")):
            self.problem(
                event,
                "not-finite",
                f"the number `{text[:40]}` is too large",
                "quote it if it is text",
            )
            return 0.0
        return value


_HANDLERS: dict[type, Any] = {
    yaml.DocumentStartEvent: Reader.document_start,
    yaml.ScalarEvent: Reader.scalar,
    yaml.AliasEvent: Reader.alias,
    yaml.MappingStartEvent: Reader.open_map,
    yaml.SequenceStartEvent: Reader.open_list,
    yaml.MappingEndEvent: Reader.close,
    yaml.SequenceEndEvent: Reader.close,
}
