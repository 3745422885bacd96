"""How long to wait before a request is sent again."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 20.0
"""Nobody waits longer between two tries, whatever a server asks for."""
LONGEST_WISH = 86_400.0
"""Seconds; a longer `Retry-After` is taken for a mistake."""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks for, as a number or as a date; RFC 9110, 10.2.3.

    OpenAI's and Azure's `retry-after-ms` is more precise, so it goes first.
    """
    exact = _number(headers.get("retry-after-ms"))
    if exact is not None:
        return _sensible(exact / 1000)
    wish = headers.get("Retry-After")
    seconds = _number(wish)
    if seconds is not None:
        return _sensible(seconds)
    return _until(wish) if wish else None


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _until(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _sensible(max(0.0, (moment - datetime.now(UTC)).total_seconds()))


def _sensible(seconds: float) -> float | None:
    return seconds if 0 <= seconds <= LONGEST_WISH else None


def pause(attempt: int, asked: float | None, longest: float = LONGEST_PAUSE) -> float | None:
    """Return the seconds before the next try, or None if the server asks for more than `longest`."""
    if asked is not None:
        return None if asked > longest else asked + random.uniform(0, 0.1)  # noqa: S311 - no secret
    ceiling = min(FIRST_PAUSE * 2.0**attempt, longest)
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311
