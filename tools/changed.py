"""Check whether something below some paths differs from a commit: exit code 0 if so, 1 if not.

python tools/changed.py PATH... [--since COMMIT]

The default is the commit where this branch left origin's main branch, or the previous commit on the
main branch itself. If the clone does not reach that far, everything counts as changed: when in
doubt, run.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _git(*arguments: str) -> str | None:
    """Return git's output, None if it fails."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, check=False, text=True
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def base(main: str = "origin/HEAD") -> str | None:
    """Return the commit to compare with, None if there is none."""
    left = _git("merge-base", main, "HEAD")
    return _git("rev-parse", "--verify", "HEAD^") if left == _git("rev-parse", "HEAD") else left


def changed(since: str | None, paths: list[str]) -> list[str] | None:
    """Return the files that differ, including untracked ones; None if that cannot be determined."""
    if since is None:
        return None
    differing = _git("diff", "--name-only", since, "--", *paths)
    new = _git("ls-files", "--others", "--exclude-standard", "--", *paths)
    if differing is None or new is None:
        return None
    return sorted({*differing.splitlines(), *new.splitlines()})


def main() -> int:
    """Print the reason for a run, or that there is none."""
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
