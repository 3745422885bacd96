"""A request that is sent again while that may help."""

import asyncio
from collections.abc import Awaitable, Callable

from fleetform_runtime.net import NetError
from fleetform_runtime.net.client import Answer
from fleetform_runtime.net.pauses import LONGEST_PAUSE, pause, retry_after


async def sent(
    send: Callable[[], Awaitable[Answer]],
    tries: int,
    may_help: Callable[[int], bool],
    *,
    longest: float = LONGEST_PAUSE,
    first: int = 0,
) -> Answer:
    """Send until there is an answer that another try would not better.

    Args:
        send: sends once.
        tries: how often at most.
        may_help: whether another try may better an answer with this status.
        longest: seconds between two tries at most; who is asked to wait longer has its answer.
        first: how often the usual first pause is doubled before the first one.

    Raises:
        NetError: there was no answer to the last try, or none is to be had.
    """
    for attempt in range(tries):
        is_last = attempt + 1 == tries
        asked = None
        try:
            answer = await send()
        except NetError as error:
            if is_last or not error.retryable:
                raise
        else:
            asked = retry_after(answer.headers)
            if is_last or not may_help(answer.status) or (asked or 0) > longest:
                return answer
        await asyncio.sleep(pause(first + attempt, asked, longest) or 0)
    raise AssertionError("a loop of at least one try")  # pragma: no cover
