"""Runs code in an interpreter of its own, which knows a part of Python and has no door to the outside at all."""

import asyncio
from contextlib import AsyncExitStack
from importlib.util import find_spec
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
    """One worker process, new for each run; runs take turns, so that memory is bounded."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pool: Any = None
        self._open = AsyncExitStack()
        self._turn = asyncio.Lock()

    async def run(self, code: str, inputs: dict[str, Any]) -> str:
        """Return what the code prints.

        Raises:
            CodeError: it failed, or took more than it may.
        """
        async with self._turn:
            return await self._run(code, inputs)

    async def _run(self, code: str, inputs: dict[str, Any]) -> str:
        import pydantic_monty as monty  # noqa: PLC0415 - an extra

        if self._pool is None:
            self._pool = await self._open.enter_async_context(
                monty.AsyncMonty(
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
            async with self._pool.checkout(script_name=OWN_FILE, limits=limits) as session:
                await session.feed_run(code, inputs={"inputs": inputs}, print_callback=keep)
        except monty.MontyError as error:
            raise CodeError(joined(self._why(error, told), "".join(printed))) from None
        return "".join(printed)

    async def close(self) -> None:
        """End the worker."""
        await self._open.aclose()

    def _why(self, error: Any, told: int) -> str:
        if told > self._limits.output:
            return f"The code was stopped: it printed more than {self._limits.output} bytes."
        if isinstance(error.exception(), TimeoutError):
            return f"The code was stopped: it took longer than {self._limits.seconds:g} s."
        said = error.display() if hasattr(error, "display") else str(error)
        return str(said)


class _TooMuchError(Exception):
    """More was printed than may be."""
