"""Spans with the names of OpenTelemetry's semantic conventions, sent over OTLP/HTTP."""

import contextvars
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fleetform_runtime import __version__
from fleetform_runtime.forms import redactor
from fleetform_runtime.messages import Assistant, ToolCall, ToolResult
from fleetform_runtime.models import Attempt, ChatRequest, ModelError
from fleetform_runtime.net.build import client
from fleetform_runtime.net.client import traceparent
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.model import Model
from fleetform_runtime.sections.serving import Tracing
from fleetform_runtime.sections.tools import BasicAuth
from fleetform_runtime.settings import Settings
from fleetform_runtime.telemetry.content import Content
from fleetform_runtime.telemetry.export import Export
from fleetform_runtime.telemetry.traces import Span
from fleetform_runtime.tools import Tool

INTERNAL, CLIENT = SpanKind.INTERNAL, SpanKind.CLIENT
MOST_TAGS = 16
_PROPAGATOR = TraceContextTextMapPropagator()
_NOBODY: Mapping[str, str] = MappingProxyType({})
_conversation: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar(
    "conversation", default=_NOBODY
)


def export(settings: Tracing, secrets: Secrets) -> Export:
    """Return what sends spans to the receiver of the specification."""
    url = (settings.endpoint or "").rstrip("/")
    is_langfuse = settings.provider == "langfuse"
    if is_langfuse and not re.search(r"/api/public/otel(/v1/traces)?$", url):
        url += "/api/public/otel"
    url = url if url.endswith("/v1/traces") else f"{url}/v1/traces"
    auth = None
    if settings.public_key is not None and settings.secret_key is not None:
        auth = BasicAuth(type="basic", username=settings.public_key, password=settings.secret_key)
    found = client(url, secrets, headers=settings.headers, auth=auth, tls=settings.tls)
    return Export(url, found, {"x-langfuse-ingestion-version": "4"} if is_langfuse else None)


class Exporting:
    """Spans of one service, on their way to a receiver."""

    def __init__(self, tracing: Tracing, name: str, namespace: str, secrets: Secrets) -> None:
        resource = {
            "service.name": name,
            "service.namespace": namespace,
            "service.version": __version__,
        }
        if tracing.environment:
            resource["deployment.environment.name"] = tracing.environment
        self._provider = TracerProvider(
            resource=Resource(resource),
            sampler=ParentBased(TraceIdRatioBased(tracing.sample_rate)),
            shutdown_on_exit=False,
        )
        self._export = export(tracing, secrets)
        self._provider.add_span_processor(self._export)
        self._tracer = self._provider.get_tracer("fleetform_runtime", __version__)
        self._environment = tracing.environment
        self._redact = redactor(secrets.known)
        self._content = Content(self._redact) if tracing.capture_content else None

    async def close(self) -> None:
        """Export the remaining spans."""
        await self._export.close()

    @contextmanager
    def span(
        self, name: str, kind: SpanKind, attributes: dict[str, Any], context: Any = None
    ) -> Iterator["OpenSpan"]:
        """Start a span, whose context the requests that are sent meanwhile carry."""
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=kind,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as started:
            span = OpenSpan(started, self._content)
            token = traceparent.set(span.traceparent())
            try:
                yield span
            except BaseException as error:
                if isinstance(error, ModelError):
                    span.tried(error.attempts)
                # The text of an exception may contain user messages, or a provider's body.
                span.failed(_error_type(error))
                raise
            finally:
                traceparent.reset(token)


def context_of(parent: str | None) -> Any:
    """Return the context that a W3C header names, None without one."""
    return _PROPAGATOR.extract({"traceparent": parent}) if parent else None


class OtlpSpans(Exporting):
    """Starts spans of an agent."""

    def __init__(self, settings: Settings, secrets: Secrets) -> None:
        agent = settings.agent
        super().__init__(settings.observability.tracing, agent.name, agent.namespace, secrets)
        self._agent = agent.name
        self._models = {model.key: model for _, model in reversed(settings.every_model)}

    @contextmanager
    def run(self, attributes: dict[str, Any], parent: str | None, text: str) -> Iterator[Span]:
        """Start the span of one run of the agent."""
        context = context_of(parent)
        shared = {
            "gen_ai.conversation.id": attributes["session_id"],
            "session.id": attributes["session_id"],
            "user.id": attributes["user_id"],
        }
        fixed = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": self._agent,
            "fleetform.run.id": attributes["run_id"],
            "langfuse.trace.name": self._agent,
            **shared,
        }
        if self._environment:
            fixed["langfuse.environment"] = self._environment
        if decided := attributes.get("decided_by"):
            fixed["fleetform.run.decided_by"] = decided
        if callers := attributes.get("callers"):
            fixed["fleetform.run.callers"] = callers
        if variant := attributes.get("variant"):
            fixed["fleetform.agent.variant"] = variant
        fixed |= self._metadata(attributes["metadata"])
        if self._content and text:
            fixed["langfuse.trace.input"] = self._content.plain(text)
        token = _conversation.set(shared)
        try:
            with self.span(f"invoke_agent {self._agent}", INTERNAL, fixed, context) as span:
                yield span
        finally:
            _conversation.reset(token)

    @contextmanager
    def chat(self, model: str, request: ChatRequest) -> Iterator[Span]:
        """Start the span of one request to a model."""
        settings = self._models.get(model)
        fixed = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": settings.name if settings else model,
            **_asked(settings),
            **_conversation.get(),
        }
        if self._content:
            fixed["gen_ai.system_instructions"] = self._content.system(request.system)
            fixed["gen_ai.input.messages"] = self._content.history(request.messages)
        with self.span(f"chat {model}", CLIENT, fixed) as span:
            yield span

    @contextmanager
    def tool(self, tool: Tool, call: ToolCall) -> Iterator[Span]:
        """Start the span of one tool call."""
        fixed = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool.name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": call.id,
            "fleetform.tool.kind": tool.kind,
            **_conversation.get(),
        }
        if self._content:
            fixed["gen_ai.tool.call.arguments"] = self._content.plain(call.arguments)
        with self.span(f"execute_tool {tool.name}", INTERNAL, fixed) as span:
            yield span

    @contextmanager
    def compaction(self, reason: str) -> Iterator[Span]:
        """Start the span of one compaction of a conversation."""
        fixed = {"fleetform.compaction.reason": reason, **_conversation.get()}
        with self.span("compact conversation", INTERNAL, fixed) as span:
            yield span

    def _metadata(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Return a caller's metadata; its `tags` are the trace's tags."""
        found: dict[str, Any] = {}
        for name, value in metadata.items():
            if name == "tags" and isinstance(value, list):
                tags = [self._redact(str(tag)[:200]) for tag in value[:MOST_TAGS]]
                found["langfuse.trace.tags"] = tags
            elif isinstance(value, str | int | float | bool):
                found[f"langfuse.trace.metadata.{name[:64]}"] = self._redact(str(value)[:200])
        return found


class OpenSpan:
    """A span that has not ended."""

    def __init__(self, span: Any, content: Content | None) -> None:
        self._span = span
        self._content = content

    def answered(self, answer: Assistant) -> None:
        """Record a model's answer."""
        set_one = self._span.set_attribute
        self.tried(answer.attempts)
        usage = answer.usage
        set_one("gen_ai.response.model", answer.name or answer.model)
        set_one("gen_ai.response.finish_reasons", (answer.finish,))
        set_one("gen_ai.usage.input_tokens", usage.input_tokens)
        set_one("gen_ai.usage.output_tokens", usage.output_tokens)
        for name, count in (
            ("cache_read.input_tokens", usage.cached_tokens),
            ("cache_creation.input_tokens", usage.cache_write_tokens),
            ("reasoning.output_tokens", usage.reasoning_tokens),
        ):
            if count:
                set_one(f"gen_ai.usage.{name}", count)
        if answer.first_token_seconds is not None:
            set_one("gen_ai.response.time_to_first_chunk", answer.first_token_seconds)
        if usage.cost_usd is not None:
            set_one("langfuse.observation.cost_details", f'{{"total": {usage.cost_usd}}}')
        if self._content:
            set_one("gen_ai.output.messages", self._content.output(answer))

    def tried(self, attempts: list[Attempt]) -> None:
        """Note the tries that came before: another one of the same model, or a fallback."""
        for attempt in attempts:
            self._span.add_event(
                "gen_ai.client.attempt",
                {
                    "gen_ai.request.model": attempt.model,
                    "error.type": attempt.reason,
                    "fleetform.next": attempt.next,
                },
                timestamp=attempt.at_ns,
            )

    def returned(self, result: ToolResult) -> None:
        """Record a tool's result."""
        if result.outcome != "ok":
            self.failed(result.outcome)
        if self._content:
            self._span.set_attribute("gen_ai.tool.call.result", self._content.plain(result.content))

    def finished(self, output: str, finish: str) -> None:
        """Record how a run ended."""
        self._span.set_attribute("gen_ai.response.finish_reasons", (finish,))
        if self._content:
            self._span.set_attribute("langfuse.trace.output", self._content.plain(output))

    def failed(self, why: str) -> None:
        """Note that it has failed, by a word of a closed set."""
        self._span.set_attribute("error.type", why)
        self._span.set_status(Status(StatusCode.ERROR))

    def traceparent(self) -> str | None:
        """Return the header by which others go on with the trace."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, set_span_in_context(self._span))
        return carrier.get("traceparent")

    def trace_id(self) -> str | None:
        """Return the trace's identifier."""
        return format(self._span.get_span_context().trace_id, "032x")


def _asked(model: Model | None) -> dict[str, Any]:
    if model is None:
        return {}
    found = {
        "gen_ai.provider.name": model.facts.telemetry or model.provider,
        "gen_ai.request.temperature": model.temperature,
        "gen_ai.request.top_p": model.top_p,
        "gen_ai.request.max_tokens": model.max_tokens,
    }
    return {name: value for name, value in found.items() if value is not None}


def _error_type(error: BaseException) -> str:
    if isinstance(error, ModelError):
        return error.kind
    return error.code if isinstance(error, HttpProblem) else type(error).__name__
