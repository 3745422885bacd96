"""Own the spans of a run, in the words of OpenTelemetry's conventions for generative AI.

OpenTelemetry is imported only when traces are switched on: it would be a third of the start.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import orjson

from fleetform_runtime.messages import Assistant, Message, ToolCall, ToolResult, dump
from fleetform_runtime.models import ChatRequest
from fleetform_runtime.tools import Tool


class Span(Protocol):
    """What the runtime tells of one step."""

    def answered(self, answer: Assistant) -> None:
        """Tell of a model's answer."""

    def returned(self, result: ToolResult) -> None:
        """Tell of a tool's result."""

    def finished(self, output: str, finish: str) -> None:
        """Tell how a run ended."""

    def traceparent(self) -> str | None:
        """Give the W3C header by which the other side continues the trace."""

    def trace_id(self) -> str | None:
        """Give the trace's identifier, for logs."""


class Spans(Protocol):
    """Where spans begin."""

    def run(
        self, attributes: dict[str, Any], parent: str | None, text: str
    ) -> AbstractContextManager[Span]:
        """Span one run of the agent."""

    def chat(self, model: str, request: ChatRequest) -> AbstractContextManager[Span]:
        """Span one request to a model."""

    def tool(self, tool: Tool, call: ToolCall) -> AbstractContextManager[Span]:
        """Span one call of a tool."""

    def close(self) -> None:
        """Export what is left."""


class _NoSpan:
    def answered(self, answer: Assistant) -> None:
        pass

    def returned(self, result: ToolResult) -> None:
        pass

    def finished(self, output: str, finish: str) -> None:
        pass

    def traceparent(self) -> str | None:
        return None

    def trace_id(self) -> str | None:
        return None


_NOTHING: AbstractContextManager[Span] = nullcontext(_NoSpan())


class NoSpans:
    """Trace nothing."""

    def run(
        self, attributes: dict[str, Any], parent: str | None, text: str
    ) -> AbstractContextManager[Span]:
        """Span nothing."""
        del attributes, parent, text
        return _NOTHING

    def chat(self, model: str, request: ChatRequest) -> AbstractContextManager[Span]:
        """Span nothing."""
        del model, request
        return _NOTHING

    def tool(self, tool: Tool, call: ToolCall) -> AbstractContextManager[Span]:
        """Span nothing."""
        del tool, call
        return _NOTHING

    def close(self) -> None:
        """Nothing is left."""


def transcript(messages: list[Message]) -> str:
    """Write messages as an attribute."""
    return orjson.dumps([orjson.Fragment(dump(message)) for message in messages]).decode()
