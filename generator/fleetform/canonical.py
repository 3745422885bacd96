"""The canonical JSON of agent.json: the same bytes that Helm computes with `toPrettyJson`.

The ConfigMap's name contains the hash of its content, so a chart and the generator must agree on
every byte. The rules are those of Go's `json.MarshalIndent(value, "", "  ")` (Go 1.22 or later) on
a value decoded from JSON.
"""

import json.encoder
import marshal
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fleetform.hashes import sha256
from fleetform.lazy import regex

# Escapes quotes, backslashes and control characters as Go does, in C; but not the characters
# reserved in HTML.
_quote = json.encoder.encode_basestring

_MEMBERS: dict[bytes, str] = {}
_MOST_REMEMBERED = 4_096
_LONGEST_REMEMBERED = 4_096

_HTML = regex("[<>&\u2028\u2029]")

# Helm holds every number as a float64, which cannot represent larger integers.
_LARGEST_INTEGER = 2**53


def dumps(value: object) -> str:
    """Serialise a value as Go's `json.MarshalIndent` does, without a trailing newline.

    Raises:
        TypeError: a value or key that JSON does not support.
        ValueError: a null, a number that is not finite, an integer beyond 2**53, a lone surrogate.
    """
    out: list[str] = []
    _write(value, "\n", out)
    text = "".join(out)
    if not text.isascii():
        text.encode()  # refuses lone surrogates, which Go would replace
    return text


def digest(data: Mapping[str, Any]) -> str:
    """Hash the data of a ConfigMap, or a pod's template: 64 hex digits, Helm's `toPrettyJson | sha256sum`.

    Raises:
        ValueError: anything that `dumps` refuses.
    """
    return sha256(dumps(dict(data)).encode())


def _write(value: object, line: str, out: list[str]) -> None:
    """Append a value; `line` is the line break plus the indentation of the value's first line."""
    if type(value) is str:
        out.append(_string(value))
    elif type(value) is dict and value:
        _object(value, line, out)
    elif type(value) is list and value:
        _array(value, line, out)
    else:
        out.append(_atom(value))


def _object(node: dict[str, Any], line: str, out: list[str]) -> None:
    """Append the members, sorted by the code points of their names, which is also the order of their bytes."""
    inner = line + "  "
    lead = "{" + inner
    write = _recall if line == "\n" else _write
    for key in sorted(node):
        out.append(f"{lead}{_string(key)}: ")
        write(node[key], inner, out)
        lead = "," + inner
    out.append(line + "}")


def _recall(value: object, line: str, out: list[str]) -> None:
    """Append a member of the whole, from memory if it was written before: most agents share most of theirs."""
    if type(value) is not dict and type(value) is not list:
        _write(value, line, out)
        return
    try:
        key = marshal.dumps(
            value, 2
        )  # unlike `==`, tells 1 from True, which are written differently
    except ValueError:
        _write(value, line, out)
        return
    text = _MEMBERS.get(key)
    if text is None:
        part: list[str] = []
        _write(value, line, part)
        text = "".join(part)
        if len(key) <= _LONGEST_REMEMBERED and len(_MEMBERS) < _MOST_REMEMBERED:
            _MEMBERS[key] = text
    out.append(text)


def _array(items: list[Any], line: str, out: list[str]) -> None:
    inner = line + "  "
    lead = "[" + inner
    for item in items:
        out.append(lead)
        _write(item, inner, out)
        lead = "," + inner
    out.append(line + "]")


def _string(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"key {text!r} is not a string")
    quoted = _quote(text)
    # Looking for each character is a tenth of the work of looking for all of them.
    is_html = (
        "<" in quoted or ">" in quoted or "&" in quoted or "\u2028" in quoted or "\u2029" in quoted
    )
    return _HTML.sub(_escape, quoted) if is_html else quoted


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _atom(value: object) -> str:
    """Write a value that is neither a plain str nor a non-empty collection."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int | float):
        return _number(value)
    if value is None:
        raise ValueError("null is not allowed in agent.json: omit the field")
    if value in ({}, []):
        return "{}" if value == {} else "[]"
    raise TypeError(f"{type(value).__name__} is not a plain JSON value")


def _number(value: float) -> str:
    if isinstance(value, int):
        if abs(value) > _LARGEST_INTEGER:
            raise ValueError("an integer beyond 2**53 does not survive conversion to float64")
        return int.__repr__(value)
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a JSON number")
    return _float(value)


def _float(value: float) -> str:
    """Write the shortest digits, with an exponent below 1e-6 and from 1e21 on, as ES6 does."""
    if value == 0:
        return "0"  # as Helm does, which reads -0.0 as 0
    if 1e-6 <= abs(value) < 1e21:
        plain = format(Decimal(float.__repr__(value)), "f")
        return plain.removesuffix(".0")
    digits, _, exponent = float.__repr__(value).partition("e")
    return f"{digits.removesuffix('.0')}e{int(exponent):+d}"
