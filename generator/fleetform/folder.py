"""A folder that is held open: nothing below it is reached through a symbolic link, even if one is swapped in.

Every call uses the descriptor of the folder it works in, and each step down refuses links: a name
that is checked first and used later may be something else by then.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from stat import S_ISLNK
from types import TracebackType

TEMPORARY = ".fleetform-new"
"""Suffix of temporary files; those of an interrupted run are removed."""

LONGEST = 1 << 26
"""Maximum size of a file to read, larger than any of ours: other files could exhaust memory."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Obstacle(Exception):  # noqa: N818 - an obstacle is not a bug
    """A link, or a file, is where a folder should be: its path, and which of the two."""

    def __init__(self, path: str, *, is_link: bool) -> None:
        super().__init__(path)
        self.path = path
        self.is_link = is_link


class Folder:
    """A folder below a root given by the user: the path to the root may contain links, the paths below may not.

    Every method raises Obstacle, and OSError for errors of the disk.
    """

    def __init__(self, root: str | os.PathLike[str], path: str, *, make: bool = False) -> None:
        if make:
            with suppress(FileExistsError):
                os.makedirs(root)
        start = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.descriptor = _down(start, path, make=make)
        finally:
            os.close(start)
        self._path = ""
        self._inner = self.descriptor

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()
        os.close(self.descriptor)

    def is_still(self, root: str | os.PathLike[str], path: str) -> bool:
        """Whether a path still leads to this folder."""
        try:
            with Folder(root, path) as other:
                return os.path.sameopenfile(self.descriptor, other.descriptor)
        except (OSError, Obstacle):
            return False

    def enter(self, path: str, *, make: bool = False) -> int:
        """Return the descriptor of a folder below; the next call closes it."""
        if path != self._path:
            self._leave()
            if path:
                self._inner = _down(self.descriptor, path, make=make)
                self._path = path
        return self._inner

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, None if it does not exist."""
        folder, name = os.path.split(path)
        try:
            descriptor = os.open(name, _OLD, dir_fd=self.enter(folder))
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise Obstacle(path, is_link=True) from None
            raise
        try:
            return _content(descriptor, min(os.fstat(descriptor).st_size, LONGEST))
        finally:
            os.close(descriptor)

    def replace(self, path: str, data: bytes) -> None:
        """Replace a file's bytes, or create it: at any moment it is old or new, never partial."""
        folder, name = os.path.split(path)
        parent = self.enter(folder, make=True)
        temporary = name + TEMPORARY
        try:
            _fill(_create(temporary, parent), data)
            os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=parent)
            raise

    def create(self, path: str, data: bytes) -> None:
        """Create a file. Raises FileExistsError if it exists."""
        folder, name = os.path.split(path)
        with open(os.open(name, _NEW, 0o666, dir_fd=self.enter(folder, make=True)), "wb") as stream:
            stream.write(data)

    def remove(self, path: str) -> None:
        """Remove a file, and parent folders that become empty."""
        folder, name = os.path.split(path)
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.enter(folder))
        try:
            while folder:
                folder, name = os.path.split(folder)
                os.rmdir(name, dir_fd=self.enter(folder))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.EBUSY):
                raise

    def sweep(self, path: str) -> None:
        """Remove temporary files that an interrupted run left behind."""
        folder, name = os.path.split(path)
        with suppress(OSError, Obstacle):
            os.unlink(name + TEMPORARY, dir_fd=self.enter(folder))

    def _leave(self) -> None:
        if self._path:
            os.close(self._inner)
        self._path, self._inner = "", self.descriptor


def _content(descriptor: int, size: int) -> bytes:
    """Return what an open file of about that size holds, up to LONGEST bytes."""
    parts: list[bytes] = []
    left = LONGEST
    # One byte more than there should be: the end is seen at once, and a file that grows is read on.
    while left and (part := os.read(descriptor, min(left, size + 1))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _fill(descriptor: int, data: bytes) -> None:
    """Write all of a new file's bytes, and close it."""
    try:
        written = os.write(descriptor, data)
        while written < len(data):
            written += os.write(descriptor, data[written:])
    finally:
        os.close(descriptor)


def _create(name: str, parent: int) -> int:
    try:
        return os.open(name, _NEW, 0o644, dir_fd=parent)
    except FileExistsError:  # of an interrupted run
        os.unlink(name, dir_fd=parent)
        return os.open(name, _NEW, 0o644, dir_fd=parent)


def _down(start: int, path: str, *, make: bool) -> int:
    """Return a new descriptor of a folder below another one, step by step."""
    here = os.dup(start)
    steps = path.split("/") if path else []
    for number, name in enumerate(steps, 1):
        try:
            below = _step(here, name, make=make)
        except Obstacle as found:
            raise Obstacle("/".join(steps[:number]), is_link=found.is_link) from None
        finally:
            os.close(here)
        here = below
    return here


def _step(parent: int, name: str, *, make: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
        return _step(parent, name, make=False)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        raise Obstacle(name, is_link=S_ISLNK(mode)) from None
