"""Export of spans over OTLP/HTTP, to Langfuse or any other receiver."""

import base64
import contextvars
import logging
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fleetform_runtime import __version__
from fleetform_runtime.messages import Assistant, ToolCall, ToolResult
from fleetform_runtime.models import ChatRequest, ModelError
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.secrets import SecretMissingError, Secrets
from fleetform_runtime.sections.model import Model
from fleetform_runtime.sections.serving import Tracing
from fleetform_runtime.settings import Settings
from fleetform_runtime.telemetry.logs import redactor
from fleetform_runtime.telemetry.traces import Span, transcript
from fleetform_runtime.tls import TlsFiles
from fleetform_runtime.tools import Tool

log = logging.getLogger(__name__)

EXPORT_SECONDS = 10
_PROPAGATOR = TraceContextTextMapPropagator()
_NOBODY: Mapping[str, str] = MappingProxyType({})
_conversation: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar(
    "conversation", default=_NOBODY
)


class HttpExporter(SpanExporter):
    """Sends spans as protobuf; credentials are read for each batch."""

    def __init__(self, settings: Tracing, secrets: Secrets) -> None:
        base = (settings.endpoint or "").rstrip("/")
        if settings.provider == "langfuse" and not base.endswith("/api/public/otel"):
            base += "/api/public/otel"
        self._url = base if base.endswith("/v1/traces") else base + "/v1/traces"
        self._settings = settings
        self._secrets = secrets
        self._tls = TlsFiles(settings.tls)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; failures are logged and the spans dropped."""
        try:
            request = urllib.request.Request(  # noqa: S310 - http or https by the contract
                self._url, encode_spans(spans).SerializeToString(), self._headers()
            )
            context = self._tls.context() or ssl.create_default_context()
            with urllib.request.urlopen(request, timeout=EXPORT_SECONDS, context=context):  # noqa: S310
                return SpanExportResult.SUCCESS
        except (OSError, SecretMissingError, ValueError) as error:
            status = getattr(error, "code", type(error).__name__)
            log.warning("%d spans were not exported: %s", len(spans), status)
            return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Nothing to close."""

    def _headers(self) -> dict[str, str]:
        value, settings = self._secrets.value, self._settings
        headers = {name: value(text) for name, text in settings.headers.items()}
        headers["Content-Type"] = "application/x-protobuf"
        if settings.public_key is not None and settings.secret_key is not None:
            pair = f"{value(settings.public_key)}:{value(settings.secret_key)}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        if settings.provider == "langfuse":
            headers["x-langfuse-ingestion-version"] = "4"
        return headers


class OtlpSpans:
    """Starts spans with the names of OpenTelemetry's semantic conventions."""

    def __init__(
        self, settings: Settings, secrets: Secrets, exporter: SpanExporter | None = None
    ) -> None:
        tracing = settings.observability.tracing
        resource = {
            "service.name": settings.agent.name,
            "service.namespace": settings.agent.namespace,
            "service.version": __version__,
        }
        if tracing.environment:
            resource["deployment.environment.name"] = tracing.environment
        self._provider = TracerProvider(
            resource=Resource(resource),
            sampler=ParentBased(TraceIdRatioBased(tracing.sample_rate)),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter or HttpExporter(tracing, secrets))
        )
        self._tracer = self._provider.get_tracer("fleetform_runtime", __version__)
        self._agent = settings.agent.name
        self._environment = tracing.environment
        self._content = tracing.capture_content
        self._redact = redactor(secrets.known)
        self._models = {model.key: model for model in (settings.model, *settings.models)}

    @contextmanager
    def run(self, attributes: dict[str, Any], parent: str | None, text: str) -> Iterator[Span]:
        """Start the span of one run of the agent."""
        context = _PROPAGATOR.extract({"traceparent": parent}) if parent else None
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
        for name, value in attributes["metadata"].items():
            if isinstance(value, str | int | float | bool):
                fixed[f"langfuse.trace.metadata.{name[:64]}"] = self._redact(str(value)[:200])
        if self._content and text:
            fixed["langfuse.trace.input"] = self._redact(text)
        token = _conversation.set(shared)
        try:
            with self._span(
                f"invoke_agent {self._agent}", SpanKind.INTERNAL, fixed, context
            ) as span:
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
            fixed["gen_ai.system_instructions"] = self._redact(request.system)
            fixed["gen_ai.input.messages"] = self._redact(transcript(request.messages))
        with self._span(f"chat {model}", SpanKind.CLIENT, fixed) as span:
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
            fixed["gen_ai.tool.call.arguments"] = self._redact(call.arguments)
        with self._span(f"execute_tool {tool.name}", SpanKind.INTERNAL, fixed) as span:
            yield span

    def close(self) -> None:
        """Export the remaining spans."""
        self._provider.shutdown()

    @contextmanager
    def _span(
        self, name: str, kind: SpanKind, attributes: dict[str, Any], context: Any = None
    ) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=kind,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as started:
            try:
                yield _OpenSpan(started, self._content, self._redact)
            except BaseException as error:
                # The text of an exception may contain user messages, or a provider's body.
                started.set_attribute("error.type", _error_type(error))
                started.set_status(Status(StatusCode.ERROR))
                raise


class _OpenSpan:
    def __init__(self, span: Any, content: bool, redact: Any) -> None:
        self._span = span
        self._content = content
        self._redact = redact

    def answered(self, answer: Assistant) -> None:
        set_one = self._span.set_attribute
        set_one("gen_ai.response.finish_reasons", (answer.finish,))
        set_one("gen_ai.usage.input_tokens", answer.usage.input_tokens)
        set_one("gen_ai.usage.output_tokens", answer.usage.output_tokens)
        if answer.usage.cost_usd is not None:
            set_one("langfuse.observation.cost_details", f'{{"total": {answer.usage.cost_usd}}}')
        if self._content:
            set_one("gen_ai.output.messages", self._redact(transcript([answer])))

    def returned(self, result: ToolResult) -> None:
        if result.outcome != "ok":
            self._span.set_attribute("error.type", result.outcome)
            self._span.set_status(Status(StatusCode.ERROR))
        if self._content:
            self._span.set_attribute("gen_ai.tool.call.result", self._redact(result.content))

    def finished(self, output: str, finish: str) -> None:
        self._span.set_attribute("gen_ai.response.finish_reasons", (finish,))
        if self._content:
            self._span.set_attribute("langfuse.trace.output", self._redact(output))

    def traceparent(self) -> str | None:
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, set_span_in_context(self._span))
        return carrier.get("traceparent")

    def trace_id(self) -> str | None:
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
