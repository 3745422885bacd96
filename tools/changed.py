"""Tell whether something below some paths differs from a commit: exit code 0 when it does, 1 when not.

    python tools/changed.py PATH... [--since COMMIT]

Without a commit it is the one where this branch left origin's main one, or the one before on the main branch
itself. When the clone does not reach that far everything counts as changed: what cannot be known is run.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _git(*arguments: str) -> str | None:
    """Return what git prints, None when it fails."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, check=False, text=True
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def base(main: str = "origin/HEAD") -> str | None:
    """Return the commit to compare with, None when there is none to be found."""
    left = _git("merge-base", main, "HEAD")
    return _git("rev-parse", "--verify", "HEAD^") if left == _git("rev-parse", "HEAD") else left


def changed(since: str | None, paths: list[str]) -> list[str] | None:
    """Return the files that differ, those that git does not know yet included; None when it cannot say."""
    if since is None:
        return None
    differing = _git("diff", "--name-only", since, "--", *paths)
    new = _git("ls-files", "--others", "--exclude-standard", "--", *paths)
    if differing is None or new is None:
        return None
    return sorted({*differing.splitlines(), *new.splitlines()})


def main() -> int:
    """Print why something is to be run, or that nothing is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("paths", nargs="+", metavar="PATH")
    parser.add_argument("--since", help="a commit or branch")
    given = parser.parse_args()
    since = given.since or base()
    found = changed(since, given.paths)
    if found is None:
        print("changed: no commit to compare with, so everything counts", file=sys.stderr)
    else:
        names = ", ".join(found[:5]) + (" …" if len(found) > 5 else "")
        print(f"changed since {since}: {names or 'nothing'}", file=sys.stderr)
    return 0 if found is None or found else 1


if __name__ == "__main__":
    raise SystemExit(main())
