"""Regular expressions written by users: only those that every engine runs in linear time."""

from __future__ import annotations

import re
import warnings
from functools import cache

from fleetform.jsonschemas import jsonschema_rs
from fleetform.lazy import regex

MAX_REPEAT = 1000
"""What RE2 and Go allow."""
SIZE_LIMIT = 1 << 20
"""Bytes that a compiled pattern may take: counted repetitions in each other multiply."""
LONGEST = 1024
"""Characters of a pattern, as parameters have them too."""
_BACKTRACKING = regex(r"\(\?(?:[=!>]|<[=!])|\\[1-9]|\(\?P=|[*+?}]\+")
# Python's own flags: `a`, `L`, `u` and `x` are not flags in RE2.
_FLAGS = regex(r"\(\?[a-zA-Z-]*[aLux][a-zA-Z-]*[):]")
# Character classes and escapes: what looks like syntax inside them is not.
_LITERAL = regex(r"\\\\|\[(?:\\.|[^\]])*\]")
_REPEAT = regex(r"\{(\d*),?(\d*)\}")


@cache
def fault(pattern: str) -> tuple[str, str] | None:
    """Return what is wrong with a pattern and how to fix it, None if nothing is.

    The runtime uses Python, gateways and clusters use Go: a pattern must be valid for both, and
    must never need backtracking. The third check is an engine that cannot backtrack, with a limit
    on the compiled size.
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
    """Return why Python, or an engine without backtracking, does not accept a pattern."""
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
