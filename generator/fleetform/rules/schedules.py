"""When something runs by itself: schedules in cron's words, and their time zones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import cron, timezones
from fleetform.problems import Problem

if TYPE_CHECKING:
    from fleetform.resolve import Resolved
    from fleetform.tree import TreePath


def schedule(owner: Resolved[Any], path: TreePath, text: str) -> Iterator[Problem]:
    """Yield what is wrong with a schedule."""
    if wrong := cron.fault(text):
        yield owner.problem(
            path,
            "bad-cron",
            f"`{text[:40]}` is no schedule: {wrong}",
            hint='write minute, hour, day, month and weekday, such as "0 3 * * 1-5", or `@daily`',
        )


def time_zone(owner: Resolved[Any], path: TreePath, text: str) -> Iterator[Problem]:
    """Yield a time zone that there is not."""
    if not timezones.is_known(text):
        yield owner.problem(
            path,
            "bad-time-zone",
            f"`{text[:40]}` is not the name of a time zone",
            hint=timezones.hint(text),
        )
