"""Files and folders → documents: unreadable input is a Problem, and nothing makes the run hang or escape."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from stat import S_ISREG
from typing import Any

from fleetform.forks import Beside
from fleetform.parse import Loaded, parse, whole_file
from fleetform.problems import Problem, printable
from fleetform.reader import Document
from fleetform.records import NamedTuple
from fleetform.tree import packed, unpacked

MAX_BYTES = 1 << 20
"""Largest file in bytes: specs are written by people, and a ConfigMap cannot be larger."""


def load(paths: Sequence[Path]) -> Loaded:
    """Read files and folders (`*.yaml`, `*.yml`, depth first, sorted) into documents."""
    documents: list[Document] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    roots = tuple(os.path.realpath(path) for path in paths if "\0" not in os.fspath(path))
    for path in paths:
        root = os.path.dirname(os.path.abspath(path))
        files = [*_files(os.fspath(path), roots, problems, set())]
        if not files and not problems:
            problems.append(_empty_folder(os.fspath(path)))
        folders: dict[str, tuple[str, str]] = {}
        wanted: list[_File] = []
        for file in files:
            identity, origin = _named(file, root, folders)
            if identity not in seen:
                seen.add(identity)
                wanted.append(_File(file, origin))
        for found in _loaded(wanted, roots):
            documents += found.documents
            problems += found.problems
    return Loaded(tuple(documents), tuple(problems))


class _File(NamedTuple):
    """A file to read: its path as the caller named it, and one that is the same from anywhere."""

    path: str
    origin: str


def _loaded(files: Sequence[_File], roots: Sequence[str]) -> Iterator[Loaded]:
    """Yield what each file holds; half of many files are read beside this process."""
    half = len(files) // 2
    with Beside(lambda: [_packed(file, roots) for file in files[half:]], len(files)) as others:
        yield from [_parsed(file, roots) for file in files[:half]]
        for file, rows in zip(files[half:], others.result(), strict=True):
            if rows is None:
                yield _parsed(file, roots)
            else:
                found = (Document(name, origin, unpacked(tree)) for name, origin, tree in rows)
                yield Loaded(tuple(found), ())


def _packed(file: _File, roots: Sequence[str]) -> list[tuple[Any, ...]] | None:
    """Return the documents of a file as plain data, None if it has problems, or aliases of maps or lists."""
    found = _parsed(file, roots)
    rows = [(item.file, item.origin, packed(item.tree)) for item in found.documents]
    return None if found.problems or any(tree is None for *_, tree in rows) else rows


def _parsed(file: _File, roots: Sequence[str]) -> Loaded:
    """Return the documents of a file, and what is wrong with it."""
    problems: list[Problem] = []
    data = _read(file.path, roots, problems)
    return Loaded((), tuple(problems)) if data is None else parse(data, *file)


def _named(file: str, root: str, folders: dict[str, tuple[str, str]]) -> tuple[str, str]:
    """Return where a file really stands, and its path from a root; both are looked up once for each folder."""
    folder, name = os.path.split(file)
    if "\0" in file or not name:
        return file, os.path.relpath(os.path.abspath(file), root)
    if folder not in folders:
        real = os.path.realpath(folder)
        folders[folder] = real, os.path.relpath(os.path.abspath(folder), root)
    real, origin = folders[folder]
    identity = os.path.realpath(file) if os.path.islink(file) else os.path.join(real, name)
    return identity, os.path.normpath(os.path.join(origin, name))


def _files(
    name: str, roots: Sequence[str], problems: list[Problem], trail: set[str]
) -> Iterator[str]:
    """Yield a file, or the files of a folder; links are followed, each folder is read once."""
    if not os.path.isdir(name):
        yield name
        return
    identity = os.path.realpath(name)
    if identity in trail:
        return
    if not _is_below(identity, roots):
        problems.append(_outside(name))
        return
    trail.add(identity)
    try:
        entries = sorted(os.scandir(name), key=lambda entry: entry.name)
    except OSError as error:
        problems.append(_unreadable(name, error))
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            is_lost = entry.is_symlink() and not os.path.exists(entry.path)
            is_wanted = is_lost or entry.is_dir() or entry.name.endswith((".yaml", ".yml"))
        except OSError as error:  # it disappeared meanwhile, or we may not read it
            problems.append(_unreadable(entry.path, error))
            continue
        if is_wanted:
            yield from _files(entry.path, roots, problems, trail)


def _is_below(place: str, roots: Sequence[str]) -> bool:
    return any(place == root or place.startswith(root.rstrip("/") + "/") for root in roots)


def _place(descriptor: int, file: str) -> str:
    """Return the real path of an open file, which no link can change any more."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # a system without /proc
        return os.path.realpath(file)


def _outside(file: str) -> Problem:
    """Return the Problem of a link that leads outside: its author may not be allowed to read all that we can."""
    return whole_file(
        file,
        "outside",
        "leads outside the given folders",
        "remove the link, or pass its target as well",
    )


def _read(file: str, roots: Sequence[str], problems: list[Problem]) -> bytes | None:
    try:
        # Opening a FIFO for reading would wait for a writer: check first, and never block.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(file, flags)
        try:
            status = os.fstat(descriptor)
            if S_ISREG(status.st_mode) and not _is_below(_place(descriptor, file), roots):
                problems.append(_outside(file))
                return None
            if not S_ISREG(status.st_mode):
                problems.append(
                    whole_file(
                        file,
                        "not-a-file",
                        "is not a regular file",
                        "pass a YAML file or a folder of YAML files",
                    )
                )
                return None
            if status.st_size > MAX_BYTES:
                problems.append(_too_big(file, status.st_size))
                return None
            data = _bytes(descriptor)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        problems.append(_unreadable(file, error))
        return None
    if len(data) > MAX_BYTES:
        problems.append(_too_big(file, len(data)))
        return None
    return data


def _bytes(descriptor: int) -> bytes:
    """Return what an open file holds, at most one byte more than it may: it can grow meanwhile."""
    parts: list[bytes] = []
    left = MAX_BYTES + 1
    while left and (part := os.read(descriptor, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _unreadable(file: str, error: Exception) -> Problem:
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(error, FileNotFoundError) and os.path.islink(file):
        return whole_file(
            file, "unreadable", "is a dangling symbolic link", "fix or remove the link"
        )
    return whole_file(
        file, "unreadable", f"cannot be read: {reason}", "check the path and its permissions"
    )


def _too_big(file: str, size: int) -> Problem:
    return whole_file(
        file,
        "too-big",
        f"is {size} bytes, more than 1 MiB",
        "split it into smaller files",
    )


def _empty_folder(folder: str) -> Problem:
    hint = "add a spec, or pass the folder that contains the specs"
    return Problem(
        "error", "empty", "the folder contains no YAML files", printable(folder), hint=hint
    )
