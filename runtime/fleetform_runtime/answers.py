"""Answers of other services, read to their end within a bound.

A connection gives what has arrived so far: one read of it is not the answer, but its first packets.
"""

import aiohttp


class TooLargeError(Exception):
    """An answer has more bytes than its reader takes; `start` has those that it would take."""

    def __init__(self, start: bytes) -> None:
        super().__init__("the answer is too large")
        self.start = start


async def whole(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the body of an answer.

    Raises:
        TooLargeError: it has more than `most` bytes, of which no more are read.
        aiohttp.ClientError, TimeoutError: the connection broke before its end.
    """
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise TooLargeError(b"".join(pieces)[:most])
    return b"".join(pieces)
