"""Kubernetes quantities as exact numbers, so that two can be compared."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from fleetform.lazy import regex

if TYPE_CHECKING:
    from fractions import Fraction

_FORM = regex(r"\+?([0-9]*\.?[0-9]*)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]{1,2})?\Z")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


@cache
def parse(text: str) -> Fraction:
    """Return the exact value of a quantity that has passed the schema; ValueError for anything else."""
    from fractions import Fraction  # noqa: PLC0415 - few runs count, and the import takes as long as our own of five modules

    match = _FORM.match(text)
    if match is None or not match[1].strip("."):
        raise ValueError(text)
    number, suffix = match[1], match[2] or ""
    whole, _, part = number.partition(".")
    value = Fraction(int((whole + part) or "0"), 10 ** len(part))
    if suffix in _BINARY:
        return value * (1 << _BINARY[suffix])
    power = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
    return value * Fraction(10**power) if power >= 0 else value / 10**-power


def is_exact(text: str) -> bool:
    """Whether a cluster stores a quantity exactly: it truncates beyond 2^63-1, and rounds up below a nano."""
    try:
        value = parse(text)
    except ValueError:
        return True  # its format is wrong, which is reported elsewhere
    return value <= (1 << 63) - 1 and (value * 10**9).denominator == 1


def is_whole(text: str) -> bool:
    """Whether a quantity is exact and counts whole units: bytes have no fractions, as `100m` of memory is one."""
    try:
        return is_exact(text) and parse(text).denominator == 1
    except ValueError:
        return True


def is_size(text: str) -> bool:
    """Whether a quantity is a number of bytes, at least one."""
    try:
        return is_whole(text) and parse(text) > 0
    except ValueError:
        return True


FORMATS = {"quantity": is_exact, "bytes": is_whole, "count": is_whole, "size": is_size}
"""The formats of quantities in our schemas."""


def text(value: str | float) -> str:
    """Return a quantity as text; a number is written out, since an exponent may exceed the format."""
    from decimal import Decimal  # noqa: PLC0415 - as above

    return value if isinstance(value, str) else format(Decimal(repr(value)), "f")
