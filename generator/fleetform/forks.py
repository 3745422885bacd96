"""Work that changes nothing, done beside this process by a forked copy of it, on another core.

The copy ends with the block that started it, whatever happens there, and with this process, however that ends. Where
there can be none, or it fails, the work is done here: its result and its errors are the same. docs/adr/0028-forks.md
says why it is so.
"""

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, NoReturn, TypeVar, cast

T = TypeVar("T")

LEAST = 200
"""Specs of a fleet from which a copy, which costs about 10 ms, saves more than that."""
_PART = 1 << 20


class Beside(Generic[T]):
    """Work that is begun when its block is entered; its result is plain data, which `marshal` keeps as it is."""

    def __init__(self, work: Callable[[], T], size: int) -> None:
        self._work = work
        self._size = size
        self._child = self._results = 0

    def __enter__(self) -> Beside[T]:
        if self._size >= LEAST and _is_possible():
            try:
                self._begin()
            except BaseException:
                self._stop()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def result(self) -> T:
        """Return what the work returns, or raise what it raises. To be asked for once."""
        if not self._child:
            return self._work()
        parts = []
        while part := os.read(self._results, _PART):
            parts.append(part)
        if self._end() != 0:
            return self._work()
        return cast("T", marshal.loads(b"".join(parts)))  # noqa: S302 - our own child wrote it

    def _begin(self) -> None:
        """Start the child; an interrupt must not come between its birth and the note of who it is."""
        import signal  # noqa: PLC0415 - small fleets need none of it

        masked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
        try:
            self._start()
        except OSError:
            pass  # no process, descriptor or memory is left: the work is done here
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)

    def _start(self) -> None:
        reading, writing = os.pipe()
        parent = os.getpid()
        try:
            child = os.fork()
        except OSError:
            os.close(reading)
            os.close(writing)
            raise
        if not child:
            os.close(reading)
            _become(self._work, writing, parent)
        os.close(writing)
        self._child, self._results = child, reading

    def _stop(self) -> None:
        """End the child, if there still is one."""
        if self._child:
            import signal  # noqa: PLC0415

            os.kill(self._child, signal.SIGKILL)
            self._end()

    def _end(self) -> int:
        """Wait for the child to end, and return its exit code: 0 if it has said everything."""
        child, self._child = self._child, 0
        os.close(self._results)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _is_possible() -> bool:
    """Whether a copy can run beside this process: only Linux says that its libraries survive a fork, and threads do not."""
    if sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
        return False
    threading = sys.modules.get("threading")
    return threading is None or threading.active_count() == 1


def _become(work: Callable[[], Any], results: int, parent: int) -> NoReturn:
    """Do the work as the child, and leave nothing else behind: neither output nor a traceback."""
    code = 1
    try:
        import fcntl  # noqa: PLC0415
        import signal  # noqa: PLC0415

        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
        # SIGIO, which ends a process that does not expect it, is sent when the other end of the pipe is closed.
        fcntl.fcntl(results, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(results, fcntl.F_SETFL, os.O_ASYNC)
        if os.getppid() == parent:  # it has not ended before
            data = marshal.dumps(work())
            fcntl.fcntl(results, fcntl.F_SETFL, 0)  # from here on writing fails instead
            view = memoryview(data)
            while view:
                view = view[os.write(results, view) :]
            code = 0
    finally:
        os._exit(code)
