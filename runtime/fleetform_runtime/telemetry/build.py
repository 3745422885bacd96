"""Builds what spans are reported with."""

from fleetform_runtime.secrets import Secrets
from fleetform_runtime.settings import Settings
from fleetform_runtime.telemetry.traces import NoSpans, Spans


def spans(settings: Settings, secrets: Secrets) -> Spans:
    """Return the spans of an agent; OpenTelemetry is imported only if they are exported."""
    tracing = settings.observability.tracing
    if not tracing.enabled or not tracing.sample_rate:
        return NoSpans()
    from fleetform_runtime.telemetry.otlp import OtlpSpans  # noqa: PLC0415

    return OtlpSpans(settings, secrets)
