"""Ports that stay free until a server of a test takes them, however many tests run at once.

They lie below those that the system gives away by itself, and a lock, which ends with this process, keeps
other processes of tests from the same one.
"""

import fcntl
import os
import socket
import tempfile
from itertools import chain
from pathlib import Path

FIRST, LAST = 20_000, 32_000
_HELD: dict[int, int] = {}


def free_port() -> int:
    """Return a port of loopback that no other test gets while this process runs."""
    folder = Path(tempfile.gettempdir(), f"fleetform-ports-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    start = FIRST + os.getpid() % (LAST - FIRST)
    for port in chain(range(start, LAST), range(FIRST, start)):
        if port not in _HELD and _is_taken(folder / str(port), port):
            return port
    raise RuntimeError(f"no port from {FIRST} to {LAST} is free")


def _is_taken(file: Path, port: int) -> bool:
    """Take a port unless another process has it, or something listens there."""
    lock = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        os.close(lock)
        return False
    _HELD[port] = lock
    return True
