"""The exported metrics: exactly those of the catalogue, with its labels."""

import itertools
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from fleetform_runtime.messages import Usage
from fleetform_runtime.metrics import METRICS, RESTING, VARIANT, Label, Metric
from fleetform_runtime.telemetry import variant

TEXT = "text/plain; version=0.0.4; charset=utf-8"

MOST_TOOLS = 500
"""Names of tools that have series of their own: a server may list others every minute."""
MOST_CALLERS = 100
OTHER = "other"

disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Holds every metric of one agent, or of one workflow; methods are named after events."""

    def __init__(
        self,
        agent: str,
        kind: str = "agent",
        catalogue: tuple[Metric, ...] = METRICS,
        variants: tuple[str, ...] = (),
    ) -> None:
        self.agent = agent
        self._variants = variants
        self._varied = {
            metric.name for metric in catalogue if variants and VARIANT in metric.labels
        }
        """Metrics that tell variants apart, if the agent has any."""
        self.kind = kind
        """First word of every name."""
        self.registry = CollectorRegistry(auto_describe=False)
        self._held: dict[str, Any] = {metric.name: self._make(metric) for metric in catalogue}
        self.routes = frozenset(
            value
            for metric in catalogue
            if metric.name == f"{kind}_request_total"
            for label in metric.labels
            if label.name == "route"
            for value in label.values
        )
        """Paths that have series of their own."""
        self._children: dict[tuple[str, ...], Any] = {}
        self._tools: set[str] = set()
        self._callers: set[str] = set()

    def text(self) -> bytes:
        """Return the exposition."""
        return generate_latest(self.registry)

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Add to a counter."""
        self._child(name, labels).inc(by)

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add a value to a histogram."""
        self._child(name, labels).observe(value)

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        self._child(name, labels).set(value)

    def follow(self, name: str, read: Callable[[], float], *labels: str) -> None:
        """Give a gauge a function that is asked whenever the metrics are."""
        self._child(name, labels).set_function(read)

    def add(self, name: str, by: float, *labels: str) -> None:
        """Add to a gauge."""
        self._child(name, labels).inc(by)

    def model_time(self, model: str, seconds: float) -> None:
        """Record the duration of a request to a model."""
        self.observe("agent_llm_request_duration_seconds", seconds, model)

    def first_token(self, model: str, seconds: float) -> None:
        """Record a model's time to first token."""
        self.observe("agent_llm_time_to_first_token_seconds", seconds, model)

    def model_answer(self, model: str, seconds: float, usage: Usage) -> None:
        """Record an answer and its tokens."""
        self.model_time(model, seconds)
        self.tokens(model, usage)

    def tokens(self, model: str, usage: Usage) -> None:
        """Record tokens and their cost."""
        self.count("agent_llm_tokens_total", model, "input", by=usage.input_tokens)
        self.count("agent_llm_tokens_total", model, "output", by=usage.output_tokens)
        if usage.cost_usd is not None:
            self.count("agent_llm_cost_usd_total", model, by=usage.cost_usd)

    def retry(self, model: str, reason: str) -> None:
        """Record a retry of a request to a model."""
        self.count("agent_llm_retries_total", model, reason)

    def fallback(self, model: str) -> None:
        """Record a fallback from this model to another one."""
        self.count("agent_llm_fallbacks_total", model)

    def tool_call(self, tool: str, kind: str, outcome: str, seconds: float | None) -> None:
        """Record a tool call; one that waits for approval has no duration."""
        if tool not in self._tools:
            if len(self._tools) >= MOST_TOOLS:
                tool = OTHER
            self._tools.add(tool)
        self.count("agent_tool_calls_total", tool, kind, outcome)
        if seconds is not None:
            self.observe("agent_tool_duration_seconds", seconds, tool)

    def called(self, caller: str) -> None:
        """Record a run that another agent asked for."""
        if caller not in self._callers:
            if len(self._callers) >= MOST_CALLERS:
                caller = OTHER
            self._callers.add(caller)
        self.count("agent_called_total", caller)

    def refused(self, limit: str) -> None:
        """Record a request refused by a limit."""
        self.count("agent_rate_limited_total", limit)

    def _child(self, name: str, labels: tuple[str, ...]) -> Any:
        if name in self._varied:
            labels = (*labels, variant.current())
        key = (name, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._held[name].labels(self.agent, *labels)
        return child

    def _make(self, metric: Metric) -> Any:
        is_varied = metric.name in self._varied
        labels = [label for label in metric.labels if is_varied or label is not VARIANT]
        names = [label.name for label in labels]
        if metric.type == "histogram":
            return Histogram(
                metric.name, metric.help, names, buckets=metric.buckets, registry=self.registry
            )
        kind = Counter if metric.type == "counter" else Gauge
        made = kind(metric.name, metric.help, names, registry=self.registry)
        for values in _closed(label for label in labels[1:] if label is not VARIANT):
            for name in self._variants_of(values) if is_varied else ((),):
                made.labels(self.agent, *values, *name)
        return made

    def _variants_of(self, values: tuple[str, ...]) -> Iterable[tuple[str]]:
        """Yield the variants whose series begin at zero, the empty one of what is no run first."""
        yield ("",)
        if RESTING.isdisjoint(values):
            yield from ((name,) for name in self._variants)


def _closed(labels: Iterable[Label]) -> Iterable[tuple[str, ...]]:
    """Yield every combination of label values if all are known: these are exported as zero at the start."""
    values = [label.values for label in labels]
    return itertools.product(*values) if all(values) else ()
