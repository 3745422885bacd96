"""The interface of language models: one Protocol, one kind of error."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from fleetform_runtime.messages import Assistant, Attempt, Message, Usage

__all__ = [
    "Attempt", "ChatModel", "ChatRequest", "Delta", "Kind", "Listener", "ModelError", "ToolSpec",
]  # fmt: skip

Delta = tuple[Literal["text", "thinking"], str]
"""Part of an answer as it arrives."""
Listener = Callable[[Delta], None]
"""Receives an answer in parts; it must not block."""

Kind = Literal[
    "rate_limited",
    "server_error",
    "timeout",
    "connection",
    "invalid",
    "refused",
    "authentication",
    "context",
    "filtered",
    "unsupported",
]
RETRYABLE: frozenset[Kind] = frozenset(
    ("rate_limited", "server_error", "timeout", "connection", "invalid")
)


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model sees it."""

    name: str
    description: str
    schema: dict[str, Any]
    strict: bool | None = None
    """Whether a provider shall hold its model to the schema; None: as the model's settings say."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request to a model."""

    system: str
    messages: list[Message]
    tools: list[ToolSpec] = field(default_factory=list)
    overrides: dict[str, Any] = field(default_factory=dict)
    """Settings of this request that override the model's: temperature, top_p, max_tokens, stop, ..."""
    tool_choice: Any = None
    schema: dict[str, Any] | None = None
    """JSON Schema that the last answer must match, for providers that can hold a model to it."""
    may_shrink: bool = False
    """Whether it is asked again, shorter, if the model refuses it as too long: no fallback is then tried before."""
    lost: Usage = field(default_factory=Usage)
    """What requests cost that brought no answer: broken off or cancelled; models add to it."""


class ModelError(Exception):
    """A model did not answer; `detail` is logged and never shown to a caller."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        started: bool = False,
    ) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind: Kind = kind
        self.detail = detail
        self.status = status
        self.retry_after = retry_after
        self.started = started
        self.model = ""
        """Key of the model that failed, where it may have been a fallback."""
        self.attempts: list[Attempt] = []
        """What was tried before this one."""
        self.window: int | None = None
        """Tokens that the model takes, if it says so when there were too many."""

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed when retried."""
        return self.kind in RETRYABLE


class ChatModel(Protocol):
    """A model that answers one request; every implementation limits its own time."""

    key: str

    async def respond(self, request: ChatRequest, listener: Listener | None) -> Assistant:
        """Answer; with a listener, the answer is streamed to it.

        Raises:
            ModelError: there is no answer; `started` says whether the listener received part of it.
        """
        ...

    async def close(self) -> None:
        """Close connections."""
        ...
