"""Schedules in cron's five fields, as Kubernetes reads them."""

from __future__ import annotations

import re

MACROS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)
_PART = re.compile(r"(?:[*?]|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:/([0-9]{1,2}))?")


def fault(text: str) -> str:
    """Return what is wrong with a schedule, empty if it is one."""
    if text in MACROS:
        return ""
    fields = text.split(" ")
    if len(fields) != len(_FIELDS) or not all(fields):
        return "it has not the five fields minute, hour, day, month and weekday, with a space between two"
    for field, (what, least, most, names) in zip(fields, _FIELDS, strict=True):
        for part in field.lower().split(","):
            if not _is_part(part, least, most, names):
                return f"`{part[:20]}` is no {what} from {least} to {most}"
    return ""


def _is_part(part: str, least: int, most: int, names: tuple[str, ...]) -> bool:
    found = _PART.fullmatch(part)
    if found is None:
        return False
    first, last, step = found.groups()
    low = _number(first, least, names) if first else least
    high = _number(last, least, names) if last else (low if first else most)
    return least <= low <= high <= most and (step is None or int(step) > 0)


def _number(text: str, least: int, names: tuple[str, ...]) -> int:
    """Return the number of a name, -1 for a name that is none."""
    if text.isdigit():
        return int(text)
    return names.index(text) + least if text in names else -1
