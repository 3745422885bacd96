"""Names of time zones: those of one release of the IANA database, so that every machine says the same.

The names are data, in timezones.json, by the area before their first slash.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from fleetform.problems import did_you_mean


@cache
def release() -> tuple[str, frozenset[str]]:
    """Return the version of the database, such as `2026f`, and its names, those kept for old programs included."""
    found = json.loads(Path(__file__).with_name("timezones.json").read_bytes())
    names = (
        f"{area}/{name}" if area else name
        for area, text in found["areas"].items()
        for name in text.split()
    )
    return found["version"], frozenset(names)


def is_known(name: str) -> bool:
    """Tell whether a name is a time zone's, written as the database does: files are found by it."""
    return name in release()[1]


def hint(name: str) -> str:
    """Return what to write instead of a name that is none."""
    version, names = release()
    near = did_you_mean(name, names)
    if near.startswith("did you mean"):
        return near
    return f"write it as the IANA database does ({version}), such as `Europe/Paris` or `Etc/UTC`"


def is_lost(value: str) -> bool:
    """Tell whether a value of the variable `TZ` is read as UTC: neither a zone's name nor a rule of POSIX, nor a file."""
    name = value.removeprefix(":")
    looks_like_one = "/" in name.strip("/") or name.isalpha()
    return looks_like_one and not name.startswith("/") and "," not in name and not is_known(name)
