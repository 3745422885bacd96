"""What is wrong with an input, where, and how to fix it: problems are values, not exceptions."""

from __future__ import annotations

import re
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from fleetform.characters import DIRECTIONS, HIDDEN
from fleetform.leaks import masked
from fleetform.records import NamedTuple

Severity = Literal["error", "warning", "note"]
_RANK = {"error": 0, "warning": 1, "note": 2}
MAX_PER_FILE = 100
"""Maximum number of problems shown per file; more would not be read before the next run."""
LONGEST = 1_000
"""Characters of a path or a message that are shown: a key may be as long as a file."""
# What would break a line, colour a terminal, or show a reader something else than what is there.
_UNPRINTABLE = f"[\x00-\x1f\x7f-\x9f\u200c\u200d\u2028\u2029\u2800\ufe00-\ufe0e\ufeff\ud800-\udfff{DIRECTIONS}{HIDDEN}]"


class Mark(NamedTuple):
    """The position of a key and its value; lines and columns count from 1, (file, 0, 0) is a whole file."""

    file: str
    line: int
    column: int
    value_line: int
    value_column: int


class Problem(NamedTuple):
    """One cause, reported once: position, field path, message, and a hint on how to fix it."""

    severity: Severity
    code: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    path: str = ""
    hint: str = ""

    def sort_key(self) -> tuple[str, int, int, int, str, str]:
        """Order by position, then by severity: the order in which one fixes a file."""
        return (
            self.file,
            self.line,
            self.column,
            _RANK[self.severity],
            self.path,
            self.message,
        )


def packed(problems: Iterable[Problem]) -> list[tuple[str | int, ...]]:
    """Return problems as plain data, of which `unpacked` makes the same again."""
    return [tuple(problem) for problem in problems]


def unpacked(rows: Iterable[tuple[str | int, ...]]) -> list[Problem]:
    """Return the problems that were packed."""
    return [Problem._make(row) for row in rows]


class SpecError(Exception):
    """A run that cannot continue; carries every problem found, not only errors."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tidy(problems)
        super().__init__(f"{len(errors(self.problems))} problem(s)")


def tidy(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems sorted by position, each cause once."""
    return tuple(sorted(set(problems), key=Problem.sort_key))


def errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems that stop a run."""
    return tuple(problem for problem in problems if problem.severity == "error")


def shown(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems that are printed: for each file the first ones, errors before all others."""
    kept: list[Problem] = []
    said: Counter[str] = Counter()
    for problem in sorted(tidy(problems), key=lambda item: _RANK[item.severity]):
        said[problem.file] += 1
        if said[problem.file] <= MAX_PER_FILE:
            kept.append(_printable(problem))
        elif said[problem.file] == MAX_PER_FILE + 1:
            message = f"the file has more than {MAX_PER_FILE} problems: the rest is not shown"
            more = problem._replace(code="more-problems", message=message, line=0, column=0)
            kept.append(_printable(more._replace(path="", hint="fix these first")))
    return tidy(kept)


def _printable(problem: Problem) -> Problem:
    return problem._replace(
        file=printable(problem.file),
        path=_short(problem.path),
        message=_short(problem.message),
        hint=_short(problem.hint),
    )


def _short(text: str) -> str:
    """Return text that can be printed, truncated if it is very long."""
    shown = printable(masked(text))
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"


def printable(text: str) -> str:
    """Return text as one line that shows exactly what is there, whatever bytes a file's name has on disk."""
    if text.isascii() and text.isprintable():
        return text
    return re.sub(_UNPRINTABLE, _escape, text)


def _escape(match: re.Match[str]) -> str:
    point = ord(match[0])
    if 0xDC80 <= point <= 0xDCFF:  # a byte of a name that is not UTF-8
        return f"\\x{point - 0xDC00:02x}"
    return match[0].encode("unicode_escape").decode()


def refuse(problems: Iterable[Problem]) -> None:
    """Raise SpecError if one of the problems is an error."""
    found = tuple(problems)
    if errors(found):
        raise SpecError(found)


class Names(tuple[str, ...]):
    """Known names, sorted and each once, for those who ask often."""

    __slots__ = ()

    def __new__(cls, names: Iterable[str] = ()) -> Names:
        """Sort the names."""
        return super().__new__(cls, sorted({*names}))

    def around(self, word: str) -> Sequence[str]:
        """Return the names to compare a word with: of many, those that begin most like it."""
        if len(self) <= 2 * NEIGHBOURS:
            return self
        place = bisect(self, word)
        return self[max(0, place - NEIGHBOURS) : place + NEIGHBOURS]


NEIGHBOURS = 32
"""Names before and after a wrong one that it is compared with: a comparison takes microseconds, and fleets are large."""


def did_you_mean(word: str, known: Iterable[str], *, noun: str = "known") -> str:
    """Return the hint for an unknown name: the closest known one, or the whole list."""
    from difflib import get_close_matches  # noqa: PLC0415 - few runs have a wrong name

    names = known if isinstance(known, Names) else Names(known)
    near = get_close_matches(word[:80], names.around(word[:80]), n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return listed(names, noun)


def listed(names: Names, noun: str = "known") -> str:
    """Return the hint that lists what is known."""
    if not names:
        return f"{noun}: none"
    shown = ", ".join(f"`{name}`" for name in names[:20])
    return f"{noun}: {shown}" + (f" and {len(names) - 20} more" if len(names) > 20 else "")
