"""A folder that is held open: nothing below it is reached through a link, whoever swaps what meanwhile.

Every call goes by the descriptor of the folder that it works in, and each step down refuses links: a
name that is checked and then used can be another one in between.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from stat import S_ISLNK
from types import TracebackType

TEMPORARY = ".fleetform-new"
"""Ending of files on their way; such a file of a dead run is ours and is removed."""

LONGEST = 1 << 26
"""Bytes of a file that are read: none of ours has as many, and one of others may fill the memory."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Obstacle(Exception):  # noqa: N818 - what stands there is no error of ours
    """A link, or a file, stands where a folder belongs: where, and which of both."""

    def __init__(self, path: str, *, is_link: bool) -> None:
        super().__init__(path)
        self.path = path
        self.is_link = is_link


class Folder:
    """A folder below a root that the user named: the way to the root may lead over links, no step from there.

    Every method raises Obstacle, and OSError for what the disk refuses.
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
        """Tell whether a way still leads here."""
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
        """Return a file's bytes, None when there is none."""
        folder, name = os.path.split(path)
        try:
            descriptor = os.open(name, _OLD, dir_fd=self.enter(folder))
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise Obstacle(path, is_link=True) from None
            raise
        with open(descriptor, "rb") as stream:
            # Reading with a bound reserves it all: only what is too long pays for it.
            is_long = os.fstat(descriptor).st_size > LONGEST
            return stream.read(LONGEST) if is_long else stream.read()

    def replace(self, path: str, data: bytes) -> None:
        """Give a file other bytes, or make one: it is old or new at any moment, never half."""
        folder, name = os.path.split(path)
        parent = self.enter(folder, make=True)
        temporary = name + TEMPORARY
        try:
            with open(_create(temporary, parent), "wb") as stream:
                stream.write(data)
            os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=parent)
            raise

    def create(self, path: str, data: bytes) -> None:
        """Make a file that is not there. Raises FileExistsError when it is."""
        folder, name = os.path.split(path)
        with open(os.open(name, _NEW, 0o666, dir_fd=self.enter(folder, make=True)), "wb") as stream:
            stream.write(data)

    def remove(self, path: str) -> None:
        """Remove a file, and the folders above it that become empty."""
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
        """Remove what a dead run left of a file on its way."""
        folder, name = os.path.split(path)
        with suppress(OSError, Obstacle):
            os.unlink(name + TEMPORARY, dir_fd=self.enter(folder))

    def _leave(self) -> None:
        if self._path:
            os.close(self._inner)
        self._path, self._inner = "", self.descriptor


def _create(name: str, parent: int) -> int:
    try:
        return os.open(name, _NEW, 0o644, dir_fd=parent)
    except FileExistsError:  # of a run that died
        os.unlink(name, dir_fd=parent)
        return os.open(name, _NEW, 0o644, dir_fd=parent)


def _down(start: int, path: str, *, make: bool) -> int:
    """Return a new descriptor of a folder below another, step by step."""
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
