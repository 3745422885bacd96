"""Durations in Go's syntax → seconds."""

from __future__ import annotations

from fleetform.lazy import regex

_PART = regex(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float:
    """Return the seconds of a duration such as `1h30m`, which must have passed the schema."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
