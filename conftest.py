"""Rules for every test: no dependence on timing or chance; unit tests stay within the process."""

import gc
import sys
from collections.abc import Iterator
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


@pytest.fixture(autouse=True)
def within_the_process(request: pytest.FixtureRequest) -> Iterator[None]:
    """Refuse sockets and processes in unit tests, by means of Python's audit events."""
    path = request.path.relative_to(request.config.rootpath).as_posix()
    if not path.startswith(UNIT):
        yield
        return
    if not _guard["installed"]:  # once and for all: hooks cannot be removed
        sys.addaudithook(_refuse)
        _guard["installed"] = True
    _guard["on"] = True
    try:
        yield
    finally:
        _guard["on"] = False


def pytest_collection_finish() -> None:
    """Exclude thousands of collected tests from garbage collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
