"""One file's bytes → documents: only text that every YAML parser reads the same way."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fleetform.characters import HIDDEN, MISPLACED, escape
from fleetform.problems import Problem, printable
from fleetform.reader import CONTROL, Document, Reader
from fleetform.records import NamedTuple

LOST = frozenset(
    {
        "yaml-syntax", "unreadable", "not-a-file", "outside", "too-big", "too-deep", "too-many-nodes", "too-many-documents", "bom", "not-utf8",
        "crlf", "template", "control-character", "hidden-character", "key-not-a-string", "not-a-map",
    }
)  # fmt: skip
"""Codes of problems that may hide further documents."""

# Of Helm, Go or Jinja, where YAML would have a map.
_EXPRESSION = re.compile(r"^[^#'\"]*(?:\{\{[^{}:]*\}\}|\{%)")
# Line breaks in YAML 1.1 and text in 1.2; an escape in double quotes means the same in both.
_UNREADABLE = rf"[{CONTROL}\u2028\u2029\ufeff]"
_UNREADABLE_ASCII = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# Directional marks and joiners stay where scripts need them; all others are refused.
_HIDDEN = f"[{HIDDEN}]|{MISPLACED}"


class Loaded(NamedTuple):
    """The documents of all files, sorted by file name, and their problems."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]


def parse(data: bytes, file: str, origin: str = "") -> Loaded:
    """Read one file's bytes; `file` is the name in positions, `origin` the name in the output."""
    name = printable(file)
    text, problem = _decode(data, name)
    if problem is not None:
        return Loaded((), (problem,))
    reader = Reader(name, printable(origin) or name)
    reader.read(text)
    if not reader.documents and not reader.problems:
        reader.problems.append(
            whole_file(file, "empty", "contains no document", "add a spec or delete the file")
        )
    template = _template(text, name, reader.problems)
    if template is not None:
        return Loaded((), (template,))
    return Loaded(tuple(reader.documents), tuple(reader.problems))


def _template(text: str, name: str, problems: Iterable[Problem]) -> Problem | None:
    """Return that the file is a template, if an expression of one is what YAML cannot read."""
    lines = text.split("\n")
    found = sorted(
        problem.line
        for problem in problems
        if 0 < problem.line <= len(lines) and _EXPRESSION.search(lines[problem.line - 1])
    )
    if not found:
        return None
    return Problem(
        "error",
        "template",
        "the file is a template, not YAML",
        name,
        found[0],
        lines[found[0] - 1].index("{") + 1,
        hint="render it first, as `helm template` does, and keep templates in another folder",
    )


def _decode(data: bytes, name: str) -> tuple[str, Problem | None]:
    def problem(code: str, message: str, hint: str, line: int = 0, column: int = 0) -> Problem:
        return Problem("error", code, message, name, line, column, "", hint)

    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return "", problem(
            "bom", "the file starts with a byte order mark", "save it as UTF-8 without a BOM", 1, 1
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        return "", problem(
            "not-utf8",
            "the file is not UTF-8 text",
            "save it as UTF-8; binary files do not belong here",
            line,
            column,
        )
    if "\r" in text:
        line = text.count("\n", 0, text.index("\r")) + 1
        return "", problem(
            "crlf",
            "the file has carriage returns (Windows line endings)",
            "save it with LF line endings; `* text=auto eol=lf` in .gitattributes preserves them",
            line,
            1,
        )
    bad = re.search(_UNREADABLE_ASCII if text.isascii() else _UNREADABLE, text)
    if bad:
        message = f"the control character U+{ord(bad[0]):04X} is not allowed"
        hint = _escaped(bad[0]) if bad[0] in "\u2028\u2029\ufeff" else "remove it"
        return "", problem("control-character", message, hint, *_place(text, bad.start()))
    bad = None if text.isascii() else re.search(_HIDDEN, text)
    if bad:
        message = f"the character U+{ord(bad[0]):04X} is invisible or changes how text is displayed"
        return "", problem(
            "hidden-character", message, _escaped(bad[0]), *_place(text, bad.start())
        )
    return text, None


def _place(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _escaped(character: str) -> str:
    return f'remove it, or write it in double quotes as "{escape(character)}"'


def whole_file(file: str, code: str, message: str, hint: str) -> Problem:
    """Return an error about a file as a whole."""
    return Problem("error", code, f"the file {message}", printable(file), 0, 0, "", hint)
