"""The one way out: every request that the runtime sends goes through `net.client`.

Models, tools, other agents, tokens, MCP servers, the issuer's keys and traces differ in what they
say, not in how a connection is opened, bounded, guarded and read. Databases have protocols of
their own and are not requests; Bedrock's library opens its connections itself.
"""

from typing import Literal

Why = Literal["connection", "timeout", "too_large", "address", "redirect", "invalid", "credentials"]
"""Why there is no answer: `connection` and `timeout` may be different next time."""


class NetError(Exception):
    """A request got no answer; the message is for logs, and has no secret in it."""

    def __init__(self, why: Why, detail: str, *, unsent: bool = False) -> None:
        super().__init__(detail)
        self.why: Why = why
        self.unsent = unsent
        """Whether it is certain that nothing of the request was sent: there was no connection."""

    @property
    def retryable(self) -> bool:
        """Whether the same request may be answered when it is sent again."""
        return self.why in ("connection", "timeout")


class TooLargeError(NetError):
    """An answer has more bytes than its reader takes; `start` has those that it would take."""

    def __init__(self, start: bytes) -> None:
        super().__init__("too_large", "the answer is too large")
        self.start = start
