"""Rules for every test: no dependence on timing or chance; unit tests stay within the process."""

import gc
import signal
import sys
from collections.abc import Generator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples everywhere, however slow the machine is.
settings.register_profile(
    "fleetform",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fleetform")

# A shell that starts this in the background has interrupts ignored, and every process that a test starts inherits that:
# one that is interrupted then would never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

UNIT = ("tests/unit/", "runtime/tests/unit/")
FORBIDDEN = {
    *("socket.bind", "socket.connect", "socket.getaddrinfo", "socket.sendto"),
    *("subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"),
    *("os.system", "pty.spawn"),
}
_guard: dict[str, bool] = {"installed": False, "on": False}


class OutsideError(RuntimeError):
    """A unit test opened a socket or started a process: it belongs in tests/integration."""


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in FORBIDDEN and _guard["on"]:
        raise OutsideError(f"a unit test does not do this: {event}{arguments!r:.200}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Refuse sockets and processes in unit tests, by means of Python's audit events; tell others which test runs."""
    if not item.nodeid.startswith(UNIT):
        if (tools := sys.modules.get("tests.tools")) is not None:
            tools.running[:] = [item]
        return (yield)
    if not _guard["installed"]:  # once and for all: hooks cannot be removed
        sys.addaudithook(_refuse)
        _guard["installed"] = True
    _guard["on"] = True
    try:
        return (yield)
    finally:
        _guard["on"] = False


_folders = count()


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new folder; pytest's own looks at all of those before it for a free name, thousands of times."""
    name = "".join(sign if sign.isalnum() else "_" for sign in request.node.name[:30])
    path = tmp_path_factory.getbasetemp() / f"{next(_folders):05}-{name}"
    path.mkdir(mode=0o700)
    return path


def pytest_collection_finish() -> None:
    """Exclude thousands of collected tests from garbage collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
