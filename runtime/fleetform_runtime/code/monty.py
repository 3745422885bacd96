"""Runs code in an interpreter of its own, which knows a part of Python and has no door to the outside at all."""

import asyncio
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from threading import Lock
from typing import Any

from fleetform_runtime.code import CodeError, Limits, joined

MODULE = "pydantic_monty"
GRACE = 1.0
"""Seconds after the limit until a worker that does not answer is killed."""
OWN_FILE = "code"


def obstacle() -> str:
    """Return why there is no such interpreter here, empty if there is."""
    return "" if find_spec(MODULE) is not None else "this image lacks the extra monty"


class Monty:
    """One worker process, new for each run; runs take turns, so that memory is bounded.

    The library is called in a thread of ours: what its own asynchronous calls leave running aborts a Python that ends.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pool: Any = None
        self._open = ExitStack()
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "monty")

    async def run(self, code: str, inputs: dict[str, Any]) -> str:
        """Return what the code prints.

        Raises:
            CodeError: it failed, or took more than it may.
        """
        async with self._turn:
            stop, loop = _Stop(), asyncio.get_running_loop()
            work = loop.run_in_executor(self._thread, self._run, code, inputs, stop)
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                stop.ask()
                with suppress(CodeError):
                    await work
                raise

    def _run(self, code: str, inputs: dict[str, Any], stop: "_Stop") -> str:
        import pydantic_monty as monty  # noqa: PLC0415 - an extra

        if self._pool is None:
            self._pool = self._open.enter_context(
                monty.Monty(
                    min_processes=0,
                    max_processes=1,
                    max_checkouts_per_worker=1,
                    request_timeout=self._limits.seconds + GRACE,
                )
            )
        limits = monty.ResourceLimits(
            max_feed_duration_secs=self._limits.seconds, max_memory=self._limits.memory
        )
        printed, told = list[str](), 0

        def keep(_: str, text: str) -> None:
            nonlocal told
            told += len(text.encode())
            if told > self._limits.output:
                raise _TooMuchError
            printed.append(text)

        try:
            with (
                self._pool.checkout(script_name=OWN_FILE, limits=limits) as session,
                stop.ending(session.worker_pid),
            ):
                session.feed_run(code, inputs={"inputs": inputs}, print_callback=keep)
        except monty.MontyError as error:
            raise CodeError(joined(self._why(error, told), "".join(printed))) from None
        return "".join(printed)

    async def close(self) -> None:
        """End the worker."""
        await asyncio.to_thread(self._open.close)
        self._thread.shutdown()

    def _why(self, error: Any, told: int) -> str:
        if told > self._limits.output:
            return f"The code was stopped: it printed more than {self._limits.output} bytes."
        if isinstance(error.exception(), TimeoutError):
            return f"The code was stopped: it took longer than {self._limits.seconds:g} s."
        said = error.display() if hasattr(error, "display") else str(error)
        return str(said)


class _TooMuchError(Exception):
    """More was printed than may be."""


class _Stop:
    """What one thread ends a worker of another with, also one that is still to start."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._asked = False
        self._worker: int | None = None

    def ask(self) -> None:
        """End the worker, now or as soon as it is known."""
        with self._lock:
            self._asked = True
            self._end()

    @contextmanager
    def ending(self, worker: int) -> Iterator[None]:
        """Let a process be ended in this block: its number may be another one's afterwards."""
        with self._lock:
            self._worker = worker
            self._end()
        try:
            yield
        finally:
            with self._lock:
                self._worker = None

    def _end(self) -> None:
        if self._asked and self._worker is not None:
            with suppress(ProcessLookupError):
                os.kill(self._worker, signal.SIGKILL)
