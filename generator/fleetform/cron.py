"""Schedules in cron's five fields, as Kubernetes reads them."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

from fleetform.lazy import regex

_SHORT = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MACROS = tuple(_SHORT)
_FIRST = date(2026, 1, 1)
"""The first of two years without a 29th of February."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month, of February those of a leap year."""
_PART = regex(r"(?:[*?]|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:/([0-9]{1,2}))?")


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
    return "" if _fires(fields) else "no month of it has such a day"


def _fires(fields: list[str]) -> bool:
    """Tell whether a schedule ever comes true: a day of the week counts as well as one of the month."""
    day, month, weekday = (field.lower() for field in fields[2:])
    if weekday[0] not in "*?":
        return True
    days, months = _numbers(day, 1, 31, ()), _numbers(month, 1, 12, _MONTHS)
    return any(least <= _LONGEST[number - 1] for number in months for least in days)


def longest(text: str) -> int:
    """Return the most minutes between two times of a schedule that is right.

    Days that only a leap year has count as missing, and of a day of the week and of the month both, as cron has it.
    """
    minutes, hours, *days = _SHORT.get(text, text).lower().split(" ")
    times = sorted(
        hour * 60 + minute
        for hour in _numbers(hours, *_FIELDS[1][1:])
        for minute in _numbers(minutes, *_FIELDS[0][1:])
    )
    found = [day for day in range(2 * 365) if _is_on(_FIRST + timedelta(day), *days)]
    within = max((after - before for before, after in pairwise(times)), default=0)
    gaps = [after - before for before, after in pairwise(found)] or [365]
    return max(within, max(gaps) * 1440 - times[-1] + times[0])


def _is_on(day: date, of_month: str, month: str, of_week: str) -> bool:
    if day.month not in _numbers(month, *_FIELDS[3][1:]):
        return False
    by_month = day.day in _numbers(of_month, *_FIELDS[2][1:])
    by_week = day.isoweekday() % 7 in _numbers(of_week, *_FIELDS[4][1:])
    either = of_month[0] not in "*?" and of_week[0] not in "*?"
    return by_month or by_week if either else by_month and by_week


def _numbers(field: str, least: int, most: int, names: tuple[str, ...]) -> set[int]:
    """Return the numbers that a field stands for, which is right."""
    found: set[int] = set()
    for part in field.split(","):
        shown = _PART.fullmatch(part)
        assert shown is not None
        first, last, step = shown.groups()
        low = _number(first, least, names) if first else least
        high = _number(last, least, names) if last else (low if first and not step else most)
        found.update(range(low, high + 1, int(step or 1)))
    return found


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
