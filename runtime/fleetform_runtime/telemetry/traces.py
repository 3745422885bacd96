"""The spans of a run, following OpenTelemetry's semantic conventions for generative AI.

OpenTelemetry is imported only if traces are on: it would take a third of the start-up time.
"""

import re
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from fleetform_runtime.messages import Assistant, ToolCall, ToolResult
from fleetform_runtime.models import ChatRequest
from fleetform_runtime.net.client import traceparent
from fleetform_runtime.tools import Tool

_TRACEPARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Span(Protocol):
    """One step as reported by the runtime."""

    def answered(self, answer: Assistant) -> None:
        """Record a model's answer."""

    def returned(self, result: ToolResult) -> None:
        """Record a tool's result."""

    def finished(self, output: str, finish: str) -> None:
        """Record how a run ended."""

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

    def compaction(self, reason: str) -> AbstractContextManager[Span]:
        """Start the span of one compaction of a conversation."""

    async def close(self) -> None:
        """Export the remaining spans."""


class _NoSpan:
    def answered(self, answer: Assistant) -> None:
        pass

    def returned(self, result: ToolResult) -> None:
        pass

    def finished(self, output: str, finish: str) -> None:
        pass

    def trace_id(self) -> str | None:
        return None


_NOTHING: AbstractContextManager[Span] = nullcontext(_NoSpan())


class NoSpans:
    """Traces nothing."""

    def run(
        self, attributes: dict[str, Any], parent: str | None, text: str
    ) -> AbstractContextManager[Span]:
        """Return a span that does nothing; a caller's trace goes on behind us all the same."""
        del attributes, text
        if parent and _TRACEPARENT.fullmatch(parent):
            traceparent.set(parent)
        return _NOTHING

    def chat(self, model: str, request: ChatRequest) -> AbstractContextManager[Span]:
        """Return a span that does nothing."""
        del model, request
        return _NOTHING

    def tool(self, tool: Tool, call: ToolCall) -> AbstractContextManager[Span]:
        """Return a span that does nothing."""
        del tool, call
        return _NOTHING

    def compaction(self, reason: str) -> AbstractContextManager[Span]:
        """Return a span that does nothing."""
        del reason
        return _NOTHING

    async def close(self) -> None:
        """Nothing to export."""
