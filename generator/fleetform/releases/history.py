"""Earlier revisions in Git: which commits had them, and the bytes of their files."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from fleetform.problems import Problem, SpecError
from fleetform.records import NamedTuple
from fleetform.releases import lock
from fleetform.releases.lock import Entry

MOST = 10_000
"""Commits that are looked through at most."""


class Revision(NamedTuple):
    """What a workload was in a commit, and after it until the next one."""

    commit: str
    date: str
    """When it was committed, as YYYY-MM-DD."""
    entry: Entry


class Repository:
    """The Git repository that the output is committed to."""

    def __init__(self, out: Path) -> None:
        """Open it.

        Raises SpecError if the folder is in none.
        """
        self._out = out
        self._prefix = ""
        self._prefix = self._git("rev-parse", "--show-prefix").decode().strip()

    def revisions(self, environment: str, workload: str) -> Iterator[Revision]:
        """Yield what a workload was, newest first, each state once in a row; commits without it are passed over."""
        file = f"{lock.FOLDER}/{lock.name(environment)}"
        log = self._git("log", f"-{MOST}", "--format=%H %cs", "HEAD", "--", file)
        last: Entry | None = None
        for line in log.decode().splitlines():
            commit, date = line.split()
            try:
                entry = lock.read(self.blob(commit, file)).get(workload)
            except (ValueError, SpecError):  # somebody broke it, or removed it
                continue
            if entry is not None and entry != last:
                yield Revision(commit, date, entry)
                last = entry

    def blob(self, commit: str, path: str) -> bytes:
        """Return the bytes that a file had."""
        return self._git("cat-file", "blob", f"{commit}:{self._prefix}{path}")

    def below(self, commit: str, folder: str) -> list[str]:
        """Return the paths of all files below a folder."""
        where = f"{self._prefix}{folder}/"
        names = self._git("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit, "--", where)
        found = [name.decode() for name in names.split(b"\0") if name]
        return [name.removeprefix(self._prefix) for name in found]

    def _git(self, *arguments: str) -> bytes:
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and nothing that a spec says
                ["git", "-C", str(self._out), *arguments],  # noqa: S607 - the user's own
                capture_output=True,
                check=False,
            )
        except OSError as error:
            raise SpecError(
                [_failed(self._out, f"git cannot be started: {error.strerror}")]
            ) from None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise SpecError([_failed(self._out, said[0] if said else "git failed")])
        return done.stdout


def _failed(place: Path, what: str) -> Problem:
    return Problem(
        "error",
        "no-history",
        f"the history of the output cannot be read: {what}",
        str(place),
        hint="run it in the repository that the output is committed to, and fetch its whole history",
    )
