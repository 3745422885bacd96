"""Find other Pythons on this machine and install what the generator needs: `interpreters.py [VERSION...]`.

Environments are in .tools/python-VERSION-HASH, one per lock; existing ones are reused.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import locked

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements/render.txt"
VERSIONS = ("3.11", "3.12", "3.13")


def find(version: str) -> Path | None:
    """Return a Python of a version, None if this machine has none."""
    for place in _places(version):
        if _answer(place, "import sys; print('%d.%d' % sys.version_info[:2])") == version:
            return place
    return None


def _places(version: str) -> Iterator[Path]:
    """Yield where one may be: this one, on PATH, installed by pyenv or uv."""
    yield Path(sys.executable)
    if on_path := shutil.which(f"python{version}"):
        yield Path(on_path)
    home = Path.home()
    for folder in (home / ".pyenv/versions", home / ".local/share/uv/python"):
        yield from sorted(folder.glob(f"*{version}*/bin/python{version}"), reverse=True)


def _answer(python: Path, code: str) -> str:
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def where(version: str) -> Path:
    """Return the path of Python in a version's environment, whether it exists or not."""
    name = sha256(LOCK.read_bytes()).hexdigest()[:12]
    return ROOT / f".tools/python-{version}-{name}/bin/python"


def make(version: str) -> Path | None:
    """Return the Python of a version's environment, created if needed; None without that version."""
    python = where(version)
    if (python.parent / ".done").exists():
        return python
    found = find(version)
    if found is None:
        return None
    locked.tell(f"Python {version}:")
    locked.environment(python.parents[1], base=found, clear=True)
    locked.install(python, LOCK)
    (python.parent / ".done").touch()
    return python


def main(*versions: str) -> int:
    """Create the environments of some versions, by default of all; report missing ones."""
    for version in versions or VERSIONS:
        try:
            made = make(version)
        except locked.LockedError as error:
            locked.tell(f"error: Python {version}: {error}")
            return 1
        missing = f"Python {version} is not on this machine: `uv python install {version}`"
        print(made or missing, file=sys.stdout if made else sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
