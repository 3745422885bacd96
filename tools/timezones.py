"""Write the names of time zones that the generator knows: `timezones.py TZDATA.ZI`.

`tzdata.zi` is one file of the IANA database: in its release `tzdata….tar.gz`, in Python's package `tzdata`, and on most
machines `/usr/share/zoneinfo/tzdata.zi`. What an older release has than the one that is known is refused.
"""

import json
import re
import sys
from pathlib import Path

KNOWN = Path(__file__).resolve().parents[1] / "generator/fleetform/timezones.json"
VERSION = re.compile(r"# version (20[0-9]{2}[a-z])")
NOWHERE = "Factory"
"""The zone of a machine that nobody has set up."""


def read(text: str) -> dict[str, object]:
    """Return version and names of a `tzdata.zi`: its zones and its links, by what stands before their first slash."""
    lines = text.splitlines()
    version = VERSION.fullmatch(lines[0]) if lines else None
    if version is None:
        raise SystemExit("error: this is no tzdata.zi: its first line names no version")
    words = [line.split() for line in lines]
    names = {row[1] for row in words if row[:1] == ["Z"]} | {
        row[2] for row in words if row[:1] == ["L"]
    }
    areas: dict[str, list[str]] = {}
    for name in sorted(names - {NOWHERE}):
        area, slash, rest = name.partition("/")
        areas.setdefault(area if slash else "", []).append(rest if slash else name)
    return {"version": version[1], "areas": {area: " ".join(areas[area]) for area in sorted(areas)}}


def written(found: dict[str, object]) -> str:
    """Return the text of timezones.json."""
    return json.dumps(found, indent=1) + "\n"


def main() -> None:
    """Replace the list with that of a newer release."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    found = read(Path(sys.argv[1]).read_text("utf-8"))
    known = json.loads(KNOWN.read_text("utf-8"))
    if str(found["version"]) < known["version"]:
        raise SystemExit(
            f"error: {found['version']} is older than {known['version']}, which is known"
        )
    KNOWN.write_text(written(found), "utf-8")
    print(f"{KNOWN.name}: {known['version']} -> {found['version']}")


if __name__ == "__main__":
    main()
