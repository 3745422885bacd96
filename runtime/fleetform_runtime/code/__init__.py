"""Code that a model or a specification brings, run where it can reach nothing."""

from typing import NamedTuple

MOST_TOLD = 2_000
"""Characters of an error or of what was printed before it, the last ones of which say most."""


class CodeError(Exception):
    """Code did not come to its end; the message is for who wrote it."""


class Limits(NamedTuple):
    """How much code may use: seconds of time, bytes of memory and of what it prints."""

    seconds: float
    memory: int
    output: int


def joined(error: str, output: str) -> str:
    """Return what is told of code that failed, with the end of what it printed."""
    return f"{error}\nIt printed until then:\n{output[-MOST_TOLD:]}" if output else error
