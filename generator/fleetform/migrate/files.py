"""One file on disk, replaced as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import mkstemp

from fleetform.problems import Problem, SpecError


def read(file: str) -> bytes:
    """Return a file's bytes.

    Raises:
        SpecError: it cannot be read.
    """
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise _failed(file, "unreadable", "read", error) from None


def replace(file: str, text: str) -> None:
    """Replace a file's text; its mode is kept, and a symbolic link stays one.

    Raises:
        SpecError: it cannot be written; the old text is still there.
    """
    target = Path(file).resolve()
    try:
        descriptor, name = mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise _failed(file, "not-written", "written", error) from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text.encode())
            os.fchmod(stream.fileno(), target.stat().st_mode & 0o7777)
        Path(name).replace(target)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise _failed(file, "not-written", "written", error) from None


def _failed(file: str, code: str, verb: str, error: OSError) -> SpecError:
    message = f"the file cannot be {verb}: {error.strerror or error}"
    return SpecError([Problem("error", code, message, file, hint="check space and permissions")])
