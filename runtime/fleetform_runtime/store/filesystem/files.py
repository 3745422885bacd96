"""Lines in files: added whole or not at all, read from either end in linear time."""

import hashlib
import itertools
import os
import re
from pathlib import Path

_PLAIN = re.compile(r"[a-z0-9][a-z0-9._@-]{0,100}")
_FORMERLY_PLAIN = re.compile(r"(?!_[0-9a-f]{64}$)[A-Za-z0-9_-][A-Za-z0-9._@-]{0,100}")
_BLOCK = 65_536


def safe(name: str) -> str:
    """Return a file name of its own, also where case does not count: the name itself if it is safe, else its hash."""
    return name if _PLAIN.fullmatch(name) else _hash(name)


def formerly_safe(name: str) -> str:
    """Return the file name of earlier versions, for which case counted."""
    return name if _FORMERLY_PLAIN.fullmatch(name) else _hash(name)


def _hash(name: str) -> str:
    return "_" + hashlib.sha256(name.encode()).hexdigest()


def add(file: Path, data: bytes) -> int:
    """Append whole lines or nothing; return the previous size."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        end = _whole_lines(descriptor)
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], end + written)
        except OSError:
            os.ftruncate(descriptor, end)
            raise
    finally:
        os.close(descriptor)
    return end


def _whole_lines(descriptor: int) -> int:
    """Cut off an incomplete last line; return the size."""
    size = os.fstat(descriptor).st_size
    end = size
    while end and os.pread(descriptor, 1, end - 1) != b"\n":
        block = os.pread(descriptor, min(_BLOCK, end), max(0, end - _BLOCK))
        cut = block.rfind(b"\n")
        end = end - len(block) + cut + 1 if cut >= 0 else end - len(block)
    if end != size:
        os.ftruncate(descriptor, end)
    return end


def tail(file: Path, limit: int) -> list[bytes]:
    """Return the newest complete lines, reading no more of the file than needed, and nothing of it twice."""
    if limit == 0:
        return []
    with file.open("rb") as stream:
        start = stream.seek(0, os.SEEK_END)
        blocks: list[bytes] = []
        marks = 0
        while start and (limit < 0 or marks <= limit):
            step = start if limit < 0 else min(_BLOCK, start)
            start -= step
            stream.seek(start)
            blocks.append(stream.read(step))
            marks += blocks[-1].count(b"\n")
    lines = b"".join(reversed(blocks)).split(b"\n")[:-1]
    return lines if limit < 0 else lines[-limit:]


def page(file: Path, start: int, count: int) -> list[bytes]:
    """Return complete lines from a position on, holding one line of those before it at a time."""
    with file.open("rb") as stream:
        lines = itertools.islice(stream, start, start + count)
        return [line[:-1] for line in lines if line.endswith(b"\n")]


def replace(file: Path, data: bytes) -> None:
    """Write a file that is old or new, never partial."""
    fresh = file.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(file)
