"""`{path: text}` → disk: compare first, replace atomically, prune only files recorded as ours.

The record of ownership is written before the first change (old and new files) and again after the
last (the new files): a run that is interrupted leaves files that are old or new, never partial, and
the next run completes the work. It is a list of names, one per line, that Git can merge as a union:
pull requests that change or add neighbours do not meet in it, and one that merged with conflicts can still be read.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from fleetform.folder import Folder, Obstacle
from fleetform.problems import Problem, SpecError

RECORD = ".fleetform-files"
"""The file that lists what Fleetform wrote to a folder."""
_FORMER = ".fleetform.json"
"""What it was before 0.2: a map of names and hashes."""
_HEADER = """\
# Files written by Fleetform: it replaces them, and removes those that are no longer rendered.
# Resolve merge conflicts in this list by rendering again.
"""
_UNFINISHED = "# A run is in progress, or was interrupted: render again.\n"
_LONGEST_PATH, _LONGEST_NAME = 4_096, 256
_CONFLICT = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
"""What Git writes around the lines of a conflict."""


class Changes:
    """What a rendering changes on disk, by path below the output folder; `record`: the record changes."""

    def __init__(self) -> None:
        self.new: dict[str, str] = {}
        self.changed: dict[str, tuple[str, str]] = {}
        self.stale: dict[str, str] = {}
        self.same = 0
        self.record = False

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.new or self.changed or self.stale or self.record)

    def sides(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the files that differ: as they were, and as they are rendered."""
        before = {path: old for path, (old, _) in self.changed.items()}
        after = {path: new for path, (_, new) in self.changed.items()}
        return {**self.stale, **before}, {**self.new, **after}


class Output:
    """One environment's output folder: a path below a root given by the user."""

    def __init__(self, root: Path, path: str) -> None:
        self.root = root
        self.path = path
        self.folder = root / path
        self._record = ""

    def compare(self, texts: Mapping[str, str]) -> Changes:
        """Return the differences between the disk and `texts`; only reads.

        Lists that Git merged are in order when they name the same: the next `write` sorts them.
        """
        folder = self._open(make=False)
        if folder is None:
            return self._compare(None, texts, is_same=_says_the_same)
        with folder:
            return self._compare(folder, texts, is_same=_says_the_same)

    def write(self, texts: Mapping[str, str]) -> Changes:
        """Make the disk equal to `texts`; other people's files stay as they are."""
        with self._locked() as folder:
            changes = self._compare(folder, texts, is_same=str.__eq__)
            self._refuse_foreign(changes)
            if changes:
                self._change(folder, texts, changes)
            else:
                folder.sweep(RECORD)
            if not folder.is_still(self.root, self.path):
                raise SpecError([_moved(self.folder)])
        return changes

    def clear(self) -> Changes:
        """Remove our files, their record and what is empty then; other people's files stay."""
        changes = self.write({})
        with self._locked() as folder, self._saying(RECORD):
            folder.remove(RECORD)
        with suppress(OSError):
            os.rmdir(self.folder)
        return changes

    def others(self, names: Collection[str]) -> dict[str, str]:
        """Return the texts of our files that are there, but for some: `write` keeps what it is given."""
        folder = self._open(make=False)
        if folder is None:
            return {}
        with folder:
            self._record = self._read(folder, RECORD) or ""
            texts = {name: self._read(folder, name) for name in self._owned() if name not in names}
        return {name: text for name, text in texts.items() if text is not None}

    def judge(self, texts: Mapping[str, str]) -> None:
        """Refuse what `write` would refuse, without writing."""
        self._refuse_foreign(self.compare(texts))

    def _compare(
        self,
        folder: Folder | None,
        texts: Mapping[str, str],
        *,
        is_same: Callable[[str, str], bool],
    ) -> Changes:
        # A merge may bring the record of a former version back beside ours.
        records = (self._read(folder, RECORD), _names(self._read(folder, _FORMER)))
        self._record = "\n".join(text for text in records if text)
        self._refuse_links(folder, texts)
        changes = Changes()
        owned = {*self._owned()}
        changes.record = not owned.issuperset(texts) or self._is_damaged()
        for path, text in texts.items():
            there = self._read(folder, path)
            if there is None:
                changes.new[path] = text
            elif there != text and not is_same(there, text):
                changes.changed[path] = (there, text)
            else:
                changes.same += 1
        for path in sorted(owned):
            if path not in texts:
                there = self._read(folder, path)
                if there is not None:
                    changes.stale[path] = there
        return changes

    def _change(self, folder: Folder, texts: Mapping[str, str], changes: Changes) -> None:
        owned = sorted({*self._owned(), *texts})
        if _UNFINISHED in self._record:
            for path in (RECORD, *owned):
                folder.sweep(path)
        self._put(folder, RECORD, _listed(owned, _UNFINISHED))
        # All folders first: file systems then create files a third faster.
        for path in sorted({os.path.dirname(path) for path in changes.new}):
            with self._saying(path):
                folder.enter(path, make=True)
        for path, text in changes.new.items():
            self._put(folder, path, text)
        for path, (_, text) in changes.changed.items():
            self._put(folder, path, text)
        for path in changes.stale:
            with self._saying(path):
                folder.remove(path)
        self._put(folder, RECORD, _listed(texts))

    # -- the record ----------------------------------------------------------------------------

    def _owned(self) -> list[str]:
        """Return the paths in the record that may be ours, whatever else was merged into it."""
        names = (line.strip() for line in self._record.split("\n"))
        return [
            name
            for name in names
            if name
            and not name.startswith(("#", *_CONFLICT))
            and _is_inside(name)
            and name != RECORD
        ]

    def _is_damaged(self) -> bool:
        """Whether a run was interrupted, or the record has conflicts."""
        lines = self._record.split("\n")
        return _UNFINISHED in self._record or any(line.startswith(_CONFLICT) for line in lines)

    # -- the disk ------------------------------------------------------------------------------

    def _read(self, folder: Folder | None, path: str) -> str | None:
        if folder is None:
            return None
        try:
            data = folder.read(path)
        except (Obstacle, OSError) as error:
            raise self._said(path, error) from None
        return None if data is None else data.decode("utf-8", "backslashreplace")

    def _put(self, folder: Folder, path: str, text: str) -> None:
        with self._saying(path):
            folder.replace(path, text.encode())

    def _open(self, *, make: bool) -> Folder | None:
        """Open the folder; None if it does not exist and must not be created."""
        try:
            return Folder(self.root, self.path, make=make)
        except FileNotFoundError as error:
            if make:
                raise self._failed("", error) from None
            return None
        except Obstacle as found:
            raise SpecError([self._obstacle(found, self.root)]) from None
        except OSError as error:
            raise self._failed("", error) from None

    @contextmanager
    def _saying(self, path: str) -> Iterator[None]:
        """Turn obstacles and disk errors into Problems."""
        try:
            yield
        except (Obstacle, OSError) as error:
            raise self._said(path, error) from None

    def _said(self, path: str, error: Obstacle | OSError) -> SpecError:
        if isinstance(error, Obstacle):
            return SpecError([self._obstacle(error, self.folder)])
        return self._failed(path, error)

    @contextmanager
    def _locked(self) -> Iterator[Folder]:
        """Open the folder with a lock, so that one run at a time writes to it."""
        folder = self._open(make=True)
        assert folder
        with folder:
            with self._saying(""):
                fcntl.flock(folder.descriptor, fcntl.LOCK_EX)
            yield folder

    # -- what must not be touched ----------------------------------------------------------------

    def _refuse_links(self, folder: Folder | None, texts: Mapping[str, str]) -> None:
        """Refuse anything that is not a real folder: a symbolic link may lead out of the output."""
        if folder is None:
            return
        found = []
        for path in sorted(_folders((*texts, *self._owned()))):
            try:
                folder.enter(path)
            except FileNotFoundError:
                continue
            except Obstacle as obstacle:
                found.append(self._obstacle(obstacle, self.folder))
            except OSError as error:
                raise self._failed(path, error) from None
        if found:
            raise SpecError(found)

    def _refuse_foreign(self, changes: Changes) -> None:
        owned = {*self._owned()}
        found = [_foreign(self.folder / path) for path in changes.changed if path not in owned]
        if found:
            raise SpecError(found)

    @staticmethod
    def _obstacle(found: Obstacle, base: Path) -> Problem:
        return (_link if found.is_link else _foreign)(base / found.path)

    def _failed(self, path: str, error: OSError) -> SpecError:
        return SpecError(
            [
                Problem(
                    "error",
                    "not-written",
                    f"cannot be written: {error.strerror or error}",
                    os.fspath(self.folder / path),
                    hint="check space and permissions and run it again; files written so far are complete",
                )
            ]
        )


def _foreign(place: Path) -> Problem:
    return Problem(
        "error",
        "foreign-file",
        "a file that Fleetform did not write is in the way of the output",
        os.fspath(place),
        hint="move it, or choose another --out",
    )


def _link(place: Path) -> Problem:
    return Problem(
        "error",
        "symlink",
        "the output would go through a symbolic link",
        os.fspath(place),
        hint="remove the link: output is written to real folders only",
    )


def _moved(place: Path) -> Problem:
    return Problem(
        "error",
        "moved",
        "the folder was moved or replaced during the run",
        os.fspath(place),
        hint="check what else writes there, and run it again",
    )


def is_ours(folder: Path) -> bool:
    """Whether Fleetform wrote to a folder."""
    return (folder / RECORD).is_file() or (folder / _FORMER).is_file()


def write_all(outputs: Mapping[Output, Mapping[str, str]]) -> dict[Output, Changes]:
    """Make several folders equal to their texts; if one is refused, none is touched."""
    if len(outputs) > 1:
        for output, texts in outputs.items():
            output.judge(texts)
    return {output: output.write(texts) for output, texts in outputs.items()}


def _listed(paths: Iterable[str], note: str = "") -> str:
    """Return a record's text."""
    return _HEADER + note + "".join(f"{path}\n" for path in sorted(paths))


def _says_the_same(there: str, text: str) -> bool:
    """Whether two texts that end with a list of names differ in its order alone: Git puts what two branches add in any."""
    old, new = there.splitlines(), text.splitlines()
    if len(old) != len(new) or sorted(old) != sorted(new):
        return False
    head = next((number for number, line in enumerate(new, 1) if line in _LISTS), len(new))
    return old[:head] == new[:head] and all(line.startswith(_ITEMS) for line in new[head:])


_LISTS, _ITEMS = ("resources:", "workloads:"), ("- ", "# ")
"""The list of a kustomization, and that of a lock, and how each of their lines begins."""


def _names(former: str | None) -> str:
    """Return the names in a record of former versions, one per line, and its own."""
    try:
        body = json.loads(former or "{}")
        names = [*body["files"], *body.get("unfinished", ()), _FORMER]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    return "\n".join(map(str, names))


def _is_inside(path: str) -> bool:
    """Whether a path is one that may be below a folder, on any file system."""
    parts = path.split("/")
    return (
        "\0" not in path
        and len(path.encode()) < _LONGEST_PATH
        and all(
            part not in {"", ".", ".."} and len(part.encode()) < _LONGEST_NAME for part in parts
        )
    )


def _folders(paths: Iterable[str]) -> set[str]:
    """Return the folders above some paths, each with its parents."""
    found: set[str] = set()
    for path in paths:
        while (path := os.path.dirname(path)) and path not in found:
            found.add(path)
    return found


def diff(changes: Changes, folder: str) -> Iterator[str]:
    """Yield a unified diff of the changes, line by line, paths in order."""
    from difflib import unified_diff  # noqa: PLC0415 - a run without --diff needs none

    sides: dict[str, tuple[str, str]] = {path: ("", text) for path, text in changes.new.items()}
    sides |= changes.changed
    sides |= {path: (text, "") for path, text in changes.stale.items()}
    for path, (old, new) in sorted(sides.items()):
        yield from unified_diff(
            old.splitlines(keepends=True),
            new.splitlines(keepends=True),
            f"a/{folder}/{path}" if old else "/dev/null",
            f"b/{folder}/{path}" if new else "/dev/null",
        )
