"""What is wrong with an input, where, and what to do about it: outcomes are values, not exceptions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
_RANK = {"error": 0, "warning": 1, "note": 2}


class Mark(NamedTuple):
    """Where a key and its value stand; lines and columns count from 1, (file, 0, 0) is a whole file."""

    file: str
    line: int
    column: int
    value_line: int
    value_column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One cause, said once: position, field path, message, and a hint on what to do next."""

    severity: Severity
    code: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    path: str = ""
    hint: str = ""

    def sort_key(self) -> tuple[str, int, int, int, str, str]:
        """Order by place, then by severity: the order in which a reader fixes a file."""
        return (
            self.file,
            self.line,
            self.column,
            _RANK[self.severity],
            self.path,
            self.message,
        )


class SpecError(Exception):
    """A run that cannot go on; carries every problem found, errors and others alike."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tidy(problems)
        super().__init__(f"{len(errors(self.problems))} problem(s)")


def tidy(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems sorted by place, each cause once."""
    return tuple(sorted(set(problems), key=Problem.sort_key))


def errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return those that stop a run."""
    return tuple(problem for problem in problems if problem.severity == "error")


def refuse(problems: Iterable[Problem]) -> None:
    """Raise SpecError when one of the problems is an error."""
    found = tuple(problems)
    if errors(found):
        raise SpecError(found)


def did_you_mean(word: str, known: Iterable[str], *, noun: str = "known") -> str:
    """Return the hint for a name that nobody knows: its nearest neighbour, or the whole list."""
    names = sorted(set(known))
    near = get_close_matches(word[:80], names, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    if not names:
        return f"there are none ({noun})"
    shown = ", ".join(f"`{name}`" for name in names[:20])
    return f"{noun}: {shown}" + (f" and {len(names) - 20} more" if len(names) > 20 else "")
