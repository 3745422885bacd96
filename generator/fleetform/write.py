"""`{path: text}` → disk: compare first, replace atomically, prune only what the record says is ours.

The record of ownership is written before the first change (what there is and what there will be)
and again after the last (what there is): a run that dies between leaves files that are old or new,
never half, and the next run heals the rest.
"""

from __future__ import annotations

import difflib
import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from stat import S_ISDIR, S_ISLNK

from fleetform.problems import Problem, SpecError

RECORD = ".fleetform.json"
TEMPORARY = ".fleetform-new"
"""Ending of files on their way; such a file of a dead run is ours and is removed."""


@dataclass(slots=True)
class Changes:
    """What a rendering changes on disk, by path below the output folder; `digests` of all its files."""

    new: dict[str, str] = field(default_factory=dict)
    changed: dict[str, tuple[str, str]] = field(default_factory=dict)
    stale: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    same: int = 0
    record: bool = False

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.new or self.changed or self.stale or self.record)


class Output:
    """One environment's output folder."""

    def __init__(self, folder: Path, version: str) -> None:
        self.folder = folder
        self.version = version
        self._record = self._read_record()

    def compare(self, texts: Mapping[str, str]) -> Changes:
        """Return what differs between the disk and `texts`; reads only."""
        self._refuse_links(texts)
        digests = {path: sha256(text.encode()).hexdigest() for path, text in texts.items()}
        changes = Changes(digests=digests, record=self._record_text(digests) != self._record)
        for path, text in texts.items():
            there = self._read(path)
            if there is None:
                changes.new[path] = text
            elif there != text:
                changes.changed[path] = (there, text)
            else:
                changes.same += 1
        for path in self._owned():
            if path not in texts:
                there = self._read(path)
                if there is not None:
                    changes.stale[path] = there
        return changes

    def write(self, texts: Mapping[str, str]) -> Changes:
        """Make the disk equal to `texts`; files of others stay as they are."""
        with self._lock():
            self._record = self._read_record()
            changes = self.compare(texts)
            self._refuse_foreign(changes)
            if not changes:
                return changes
            owned = sorted({*self._owned(), *texts})
            if self._is_unfinished():
                self._sweep(owned)
            self._put(RECORD, self._record_text(changes.digests, owned))
            # All folders first: file systems place files faster that way, by a third.
            for folder in sorted({os.path.dirname(path) for path in changes.new}):
                self._make(folder)
            for path, text in changes.new.items():
                self._put(path, text)
            for path, (_, text) in changes.changed.items():
                self._put(path, text)
            for path in changes.stale:
                self._remove(path)
            self._put(RECORD, self._record_text(changes.digests))
        return changes

    def judge(self, texts: Mapping[str, str]) -> None:
        """Refuse what `write` would refuse, and write nothing."""
        self._refuse_foreign(self.compare(texts))

    # -- the record ----------------------------------------------------------------------------

    def _record_text(self, digests: Mapping[str, str], owned: list[str] | None = None) -> str:
        """Return the record's text; `owned` are the files of a run that is under way."""
        body: dict[str, object] = {
            "fleetform": self.version,
            "files": dict(sorted(digests.items())),
        }
        if owned is not None:
            body["unfinished"] = [path for path in owned if path not in digests]
        return json.dumps(body, indent=2, ensure_ascii=False) + "\n"

    def _is_unfinished(self) -> bool:
        return '"unfinished"' in self._record

    def _read_record(self) -> str:
        return self._read(RECORD) or ""

    def _owned(self) -> list[str]:
        if not self._record:
            return []
        try:
            body = json.loads(self._record)
            names = [*body["files"], *body.get("unfinished", [])]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise SpecError(
                [
                    self._problem(
                        RECORD,
                        "bad-record",
                        "the ownership record cannot be read",
                        "restore it from Git, or delete the folder and render again",
                    )
                ]
            ) from None
        return [
            name for name in names if isinstance(name, str) and _is_inside(name) and name != RECORD
        ]

    # -- the disk ------------------------------------------------------------------------------

    def _read(self, path: str) -> str | None:
        name = os.path.join(self.folder, path)
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as stream:
                data = stream.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise SpecError([self._link(path)]) from None
            raise self._failed(path, error) from None
        return data.decode("utf-8", "backslashreplace")

    def _put(self, path: str, text: str) -> None:
        name = os.path.join(self.folder, path)
        temporary = name + TEMPORARY
        try:
            descriptor = self._create(temporary)
            with open(descriptor, "wb") as stream:
                stream.write(text.encode())
            os.replace(temporary, name)
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary)
            raise self._failed(path, error) from None

    def _make(self, folder: str) -> None:
        try:
            os.makedirs(os.path.join(self.folder, folder), exist_ok=True)
        except OSError as error:
            raise self._failed(folder, error) from None

    @staticmethod
    def _create(name: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(name, flags, 0o644)
        except FileExistsError:  # of a run that died
            os.unlink(name)
            return os.open(name, flags, 0o644)

    def _remove(self, path: str) -> None:
        name = os.path.join(self.folder, path)
        try:
            with suppress(FileNotFoundError):
                os.unlink(name)
            parent = os.path.dirname(path)
            while parent:
                os.rmdir(os.path.join(self.folder, parent))
                parent = os.path.dirname(parent)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.EBUSY):
                raise self._failed(path, error) from None

    def _sweep(self, owned: list[str]) -> None:
        """Remove what a dead run left on its way: only beside files that are ours."""
        for path in owned:
            with suppress(OSError):
                os.unlink(os.path.join(self.folder, path) + TEMPORARY)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let one run at a time write into the folder."""
        try:
            os.makedirs(self.folder, exist_ok=True)
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._failed("", error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    # -- what must not be touched ----------------------------------------------------------------

    def _refuse_links(self, texts: Mapping[str, str]) -> None:
        """Refuse to go through what is no real folder: a symbolic link may lead out of the output."""
        found = [self._link("")] if os.path.islink(self.folder) else []
        found += filter(None, map(self._obstacle, sorted(_folders((*texts, *self._owned())))))
        if found:
            raise SpecError(found)

    def _obstacle(self, folder: str) -> Problem | None:
        try:
            mode = os.lstat(os.path.join(self.folder, folder)).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._failed(folder, error) from None
        if S_ISLNK(mode):
            return self._link(folder)
        return None if S_ISDIR(mode) else self._foreign(folder)

    def _refuse_foreign(self, changes: Changes) -> None:
        owned = {*self._owned()}
        found = [self._foreign(path) for path in changes.changed if path not in owned]
        if found:
            raise SpecError(found)

    def _foreign(self, path: str) -> Problem:
        return self._problem(
            path,
            "foreign-file",
            "a file stands where the output belongs, and Fleetform did not write it",
            "move it away, or choose another --out",
        )

    def _link(self, path: str) -> Problem:
        return self._problem(
            path,
            "symlink",
            "the output would go through a symbolic link",
            "remove the link: output is written to real folders only",
        )

    def _problem(self, path: str, code: str, message: str, hint: str) -> Problem:
        return Problem(
            "error",
            code,
            message,
            os.path.join(self.folder, path) if path else os.fspath(self.folder),
            hint=hint,
        )

    def _failed(self, path: str, error: OSError) -> SpecError:
        reason = error.strerror or str(error)
        return SpecError(
            [
                self._problem(
                    path,
                    "not-written",
                    f"cannot be written: {reason}",
                    "check space and permissions; what was written so far is whole, run it again",
                )
            ]
        )


def write_all(outputs: Mapping[Output, Mapping[str, str]]) -> dict[Output, Changes]:
    """Make several folders equal to their texts; when one is refused, none is touched."""
    if len(outputs) > 1:
        for output, texts in outputs.items():
            output.judge(texts)
    return {output: output.write(texts) for output, texts in outputs.items()}


def _is_inside(path: str) -> bool:
    return "\0" not in path and not {"", ".", ".."} & {*path.split("/")}


def _folders(paths: Iterable[str]) -> set[str]:
    """Return the folders above some paths, each with those above it."""
    found: set[str] = set()
    for path in paths:
        while (path := os.path.dirname(path)) and path not in found:
            found.add(path)
    return found


def diff(changes: Changes, folder: str) -> Iterator[str]:
    """Yield a unified diff of what changes, line by line, paths in order."""
    sides: dict[str, tuple[str, str]] = {path: ("", text) for path, text in changes.new.items()}
    sides |= changes.changed
    sides |= {path: (text, "") for path, text in changes.stale.items()}
    for path, (old, new) in sorted(sides.items()):
        yield from difflib.unified_diff(
            old.splitlines(keepends=True),
            new.splitlines(keepends=True),
            f"a/{folder}/{path}" if old else "/dev/null",
            f"b/{folder}/{path}" if new else "/dev/null",
        )
