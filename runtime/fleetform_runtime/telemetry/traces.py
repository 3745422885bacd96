"""The spans of a run, following OpenTelemetry's semantic conventions for generative AI.

OpenTelemetry is imported only if traces are on: it would take a third of the start-up time.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import orjson

from fleetform_runtime.messages import Assistant, Message, ToolCall, ToolResult, dump
from fleetform_runtime.models import ChatRequest
from fleetform_runtime.tools import Tool


class Span(Protocol):
    """One step as reported by the runtime."""

    def answered(self, answer: Assistant) -> None:
        """Record a model's answer."""

    def returned(self, result: ToolResult) -> None:
        """Record a tool's result."""

    def finished(self, output: str, finish: str) -> None:
        """Record how a run ended."""

    def traceparent(self) -> str | None:
        """Return the W3C header that lets the other side continue the trace."""

    def trace_id(self) -> str | None:
        """Return the trace's identifier, for logs."""


class Spans(Protocol):
    """Where spans are started."""

    def run(
        self, attributes: dict[str, Any], parent: str | None, text: str
    ) -> AbstractContextManager[Span]:
        """Start the span of one run of the agent."""

    def chat(self, model: str, request: ChatRequest) -> AbstractContextManager[Span]:
        """Start the span of one request to a model."""

    def tool(self, tool: Tool, call: ToolCall) -> AbstractContextManager[Span]:
        """Start the span of one tool call."""

    def close(self) -> None:
        """Export the remaining spans."""


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
    """Traces nothing."""

    def run(
        self, attributes: dict[str, Any], parent: str | None, text: str
    ) -> AbstractContextManager[Span]:
        """Return a span that does nothing."""
        del attributes, parent, text
        return _NOTHING

    def chat(self, model: str, request: ChatRequest) -> AbstractContextManager[Span]:
        """Return a span that does nothing."""
        del model, request
        return _NOTHING

    def tool(self, tool: Tool, call: ToolCall) -> AbstractContextManager[Span]:
        """Return a span that does nothing."""
        del tool, call
        return _NOTHING

    def close(self) -> None:
        """Nothing to export."""


def transcript(messages: list[Message]) -> str:
    """Serialise messages as an attribute."""
    return orjson.dumps([orjson.Fragment(dump(message)) for message in messages]).decode()
