"""Write what a hash lock installs as a CycloneDX document: `sbom.py LOCK > sbom.json`."""

import json
import re
import sys
from pathlib import Path
from typing import Any

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(?:\s*;\s*([^\\]+))?")


def components(lock: str) -> list[dict[str, Any]]:
    """Return the packages of a lock, in its order, each with the hashes of its files."""
    found: list[dict[str, Any]] = []
    for line in lock.splitlines():
        if pin := _PIN.match(line):
            found.append(_component(pin[1].lower(), pin[2], (pin[3] or "").strip()))
        elif "--hash=sha256:" in line:
            digest = line.split("sha256:")[1].split()[0]
            found[-1]["hashes"].append({"alg": "SHA-256", "content": digest})
    return found


def _component(name: str, version: str, marker: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
        "hashes": [],
    }
    if marker:
        made["properties"] = [{"name": "fleetform:marker", "value": marker}]
    return made


def main(lock: str) -> None:
    """Print the document; the same lock gives the same bytes."""
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "fleetform-runtime"}},
        "components": components(Path(lock).read_text("utf-8")),
    }
    sys.stdout.write(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
