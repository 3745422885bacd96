"""The YAML syntax of everything that is written: plain data in, text out.

Every available YAML library writes some strings that Go's parser (helm, kubectl, Flux) interprets
as something else. Here a string is written plain only if no version of YAML can read it otherwise.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from fleetform.characters import DIRECTIONS, HIDDEN, MISPLACED, escape

_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9_./@-]|[: ](?=[A-Za-z0-9_./-]))*")

# Whole scalars that YAML 1.1, YAML 1.2 or a lenient parser treats as a bool, a null or a number.
WORDS = frozenset(
    ("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity")
)

# Characters that a parser may refuse, drop or treat as a line break: control characters, U+0085,
# U+2028/9, BOM, lone surrogates, U+FFFE/F. Invisible ones are harmless to parsers, but show a
# reviewer a different text from the one the cluster gets.
# A class of what is refused: its complement, up to U+10FFFF, takes ten times as long to compile.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_SEPARATORS = "\u2028\u2029\ufeff"
# Compiled when a text beyond ASCII is seen: most runs see none.
_SUSPECT = f"[\u200c\u200d\ufe00-\ufe0f{_SEPARATORS}{HIDDEN}{DIRECTIONS}]"
_UNSAFE = f"{_CONTROL.pattern}|[{_SEPARATORS}{HIDDEN}{DIRECTIONS}]|{MISPLACED}"
_ESCAPED = f'["\\\\\t\n]|{_UNSAFE}'
_ESCAPED_ASCII = re.compile(r'["\\\x00-\x1f\x7f]')
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}

_FILLED_LINE = re.compile(r"\n(?=[^\n])")

# Parsers look for the colon of `key: value` only within 1,024 characters.
_LONGEST_SIMPLE_KEY = 1_000


# The same few thousand strings make up every manifest: cache how each one looks after a key, and
# each key at its column.
_SCALARS: dict[str, str] = {}
_HEADS: defaultdict[str, dict[str, str]] = defaultdict(dict)
_MOST_REMEMBERED = 4_096
_LONGEST_REMEMBERED = 128


def emit(document: object) -> str:
    """Serialise one document, ending in a newline; keys keep the order of their dicts.

    Raises:
        TypeError: a value that is not a dict, list, str, int, float, bool or None, a key that is
        not a
            str.
        ValueError: a number that is not finite or needs more than 64 bits, a lone surrogate.
    """
    out: list[str] = []
    if type(document) is dict and document:
        _mapping(document, "", out)
    elif type(document) is list and document:
        _sequence(document, "", out)
    else:
        out.append(_leaf(document, "  "))
    out[0] = out[0][1:]
    out.append("\n")
    return "".join(out)


def emit_all(
    documents: Iterable[object], header: str = "", write: Callable[[object], str] = emit
) -> str:
    """Serialise a stream of documents separated by `---`, below a header of comment lines.

    `write` may be a faster function than `emit` with the same result.

    Raises:
        TypeError: anything that `emit` refuses.
        ValueError: a header line that is not a comment, anything that `emit` refuses.
    """
    comment = header.removesuffix("\n")
    if header:
        if not all(line.startswith("#") for line in comment.split("\n")):
            raise ValueError("each line of a header starts with #")
        if not _is_safe(comment):
            comment = re.sub(_UNSAFE, _escape, comment)
        comment += "\n"
    return comment + "---\n".join(map(write, documents))


def _mapping(node: dict[str, Any], pad: str, out: list[str]) -> None:
    """Append the pairs at column `pad`; each line starts with its own line break."""
    heads = _HEADS[pad].get
    scalars, append = _SCALARS.get, out.append
    inner = pad + "  "
    for key, value in node.items():
        append(heads(key) or _head(key, pad))
        kind = type(value)
        if kind is str:
            append(scalars(value) or _scalar(value, inner))
        elif kind is dict and value:
            _mapping(value, inner, out)
        elif kind is list and value:
            _sequence(value, pad, out)
        else:
            append(_leaf(value, inner))


def _sequence(items: list[Any], pad: str, out: list[str]) -> None:
    """Append the items at column `pad`."""
    inner = pad + "  "
    dash = f"\n{pad}-"
    for item in items:
        kind = type(item)
        start = len(out)
        if kind is dict and item:
            _mapping(item, inner, out)
        elif kind is list and item:
            _sequence(item, inner, out)
        else:
            out.append(dash + _leaf(item, inner))
            continue
        # The dash replaces the last two spaces before the item's first line.
        out[start] = f"{dash} {out[start][len(dash) + 1 :]}"


def _leaf(value: object, pad: str) -> str:
    """Return what follows a key or a dash, including the space; `pad` is the column of a block."""
    if value is True:
        return " true"
    if value is False:
        return " false"
    if isinstance(value, int):
        return f" {_integer(value)}"
    if isinstance(value, str):
        return _SCALARS.get(value) or _scalar(value, pad)
    if isinstance(value, float):
        return f" {_decimal(value)}"
    return f" {_nothing(value)}"


def _nothing(value: object) -> str:
    if value is None:
        return "null"
    if value == {}:
        return "{}"
    if value == []:
        return "[]"
    raise TypeError(f"{type(value).__name__} is not a plain YAML value")


def _integer(value: int) -> str:
    """Write digits; Go would read integers beyond 64 bits as a rounded float."""
    if not -(2**63) <= value < 2**64:
        raise ValueError("an integer of more than 64 bits would be rounded when read back")
    return int.__repr__(value)


def _decimal(value: float) -> str:
    """Write with a point and a signed exponent: without them YAML 1.1 reads an int or a string."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a JSON number")
    digits, exponent, power = float.__repr__(value).partition("e")
    return f"{digits}{'' if '.' in digits else '.0'}{exponent}{power}"


def _head(key: str, pad: str) -> str:
    """Return the line start of a key at column `pad`."""
    if not isinstance(key, str):
        raise TypeError(f"key {key!r} is not a string")
    form = _plain(key) or _quoted(key)
    if len(form) > _LONGEST_SIMPLE_KEY:
        form = f"? {form}\n{pad}"
    return _remember(_HEADS[pad], key, f"\n{pad}{form}:")


def _scalar(text: str, pad: str) -> str:
    """Return a string after a key or a dash: plain if possible, else as a block, else quoted."""
    if plain := _plain(text):
        return _remember(_SCALARS, text, f" {plain}")
    if "\n" in text and text[0] not in " \t\n" and _is_safe(text):
        return _block(text, pad)
    return _remember(_SCALARS, text, f" {_quoted(text)}")


def _is_safe(text: str) -> bool:
    """Whether a text needs no escapes; the whole pattern is slow, and seldom needed."""
    if _CONTROL.search(text):
        return False
    return text.isascii() or not (re.search(_SUSPECT, text) and re.search(_UNSAFE, text))


def _remember(forms: dict[str, str], text: str, form: str) -> str:
    if len(text) <= _LONGEST_REMEMBERED:
        if len(forms) >= _MOST_REMEMBERED:
            forms.clear()
        forms[text] = form
    return form


def _plain(text: str) -> str:
    """Return the text if it may be written plain, else None."""
    bare = _PLAIN.fullmatch(text)
    return bare[0] if bare and text.lower() not in WORDS else ""


def _quoted(text: str) -> str:
    escaped = _ESCAPED_ASCII if text.isascii() else _ESCAPED
    return f'"{re.sub(escaped, _escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in _ESCAPES:
        return _ESCAPES[character]
    point = ord(character)
    if 0xD800 <= point <= 0xDFFF:
        raise ValueError(f"lone surrogate U+{point:04X} is not a character")
    return escape(character)


def _block(text: str, pad: str) -> str:
    """Write a literal block, all but its last line break."""
    body = text.rstrip("\n")
    endings = len(text) - len(body)
    chomping = ("-", "", "+")[min(endings, 2)]
    lines = _FILLED_LINE.sub(f"\n{pad}", body)
    return f" |{chomping}\n{pad}{lines}" + "\n" * (endings - 1)
