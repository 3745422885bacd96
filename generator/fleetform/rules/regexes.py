"""Regular expressions that users write: only what every engine runs in time that grows with the text alone."""

from __future__ import annotations

import re
import warnings
from functools import cache

import jsonschema_rs

MAX_REPEAT = 1000
"""What RE2 and Go allow."""
SIZE_LIMIT = 1 << 20
"""Bytes that a compiled pattern may take: counted repetitions in each other multiply."""
LONGEST = 1024
"""Characters of a pattern, as parameters have them too."""
_BACKTRACKING = re.compile(r"\(\?(?:[=!>]|<[=!])|\\[1-9]|\(\?P=|[*+?}]\+")
# Python's own: `a`, `L`, `u` and `x` are no flags to RE2.
_FLAGS = re.compile(r"\(\?[a-zA-Z-]*[aLux][a-zA-Z-]*[):]")
# Classes of characters and escapes: what looks like syntax in them is none.
_LITERAL = re.compile(r"\\\\|\[(?:\\.|[^\]])*\]")
_REPEAT = re.compile(r"\{(\d*),?(\d*)\}")


@cache
def fault(pattern: str) -> tuple[str, str] | None:
    """Return what is wrong with a pattern and what to do, None when nothing is.

    The runtime is Python, gateways and clusters are Go: a pattern must be one to both, and must never
    need to go back. The third opinion is an engine that cannot, with a bound on what it compiles.
    """
    if len(pattern) > LONGEST:
        return f"the pattern has {len(pattern)} characters", f"at most {LONGEST} characters"
    bare = _LITERAL.sub("", pattern)
    if _BACKTRACKING.search(bare):
        reason = "the pattern uses lookaround or backreferences, which can take exponential time"
        return reason, "use RE2 syntax"
    if _FLAGS.search(bare):
        return "the pattern has a flag that RE2 does not support", "use only `i`, `m` and `s`"
    if any(
        len(n) > 4 or int(n or 0) > MAX_REPEAT for found in _REPEAT.findall(bare) for n in found
    ):
        return f"the pattern repeats more than {MAX_REPEAT} times", "use `*` or `+`"
    return _uncompiled(pattern)


def _uncompiled(pattern: str) -> tuple[str, str] | None:
    """Return why Python, or an engine that never goes back, does not take a pattern."""
    try:
        with warnings.catch_warnings(action="error"):
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError, FutureWarning) as error:
        reason = f"the pattern is not a regular expression: {str(error)[:80]}"
        return reason, "fix it at that position"
    options = jsonschema_rs.RegexOptions(size_limit=SIZE_LIMIT)
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=options)
    except (jsonschema_rs.ValidationError, ValueError):
        return (
            "the pattern is too large or not valid for RE2",
            "simplify it, and use RE2 syntax",
        )
    return None
