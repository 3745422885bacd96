"""Retries, fallbacks and a circuit breaker for each model: the only place that retries."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fleetform_runtime.messages import Assistant, Usage
from fleetform_runtime.models import (
    Attempt,
    ChatModel,
    ChatRequest,
    Delta,
    Kind,
    Listener,
    ModelError,
    sizes,
)
from fleetform_runtime.models.pricing import cost
from fleetform_runtime.net.pauses import pause
from fleetform_runtime.sections.model import Model
from fleetform_runtime.telemetry.metrics import Metrics

BREAKER_FAILURES = 5
BREAKER_SECONDS = 5.0

_REASONS: dict[Kind, str] = {
    "rate_limited": "rate_limited",
    "server_error": "server_error",
    "timeout": "timeout",
    "connection": "connection",
    "invalid": "invalid",
}


@dataclass(slots=True)
class Candidate:
    """A model with its configuration and its recent failures."""

    settings: Model
    model: ChatModel
    failures: int = 0
    opened: float = 0.0

    def is_open(self, now: float) -> bool:
        """Whether the circuit breaker is open: the model failed too often, and a moment ago."""
        return self.failures >= BREAKER_FAILURES and now - self.opened < BREAKER_SECONDS

    def admits(self, now: float) -> bool:
        """Whether a request may go to the model; once the breaker's time is over, one may, to see how the model is.

        The breaker is open again while that one is on its way, however it ends: only an answer closes it.
        """
        if self.is_open(now):
            return False
        if self.failures >= BREAKER_FAILURES:
            self.opened = now
        return True

    def note(self, error: ModelError | None, now: float) -> None:
        """Record the outcome of a request."""
        if error is None:
            self.failures = 0
        elif error.kind in ("server_error", "timeout", "connection"):
            self.failures += 1
            self.opened = now


class Upstream:
    """A model and its fallbacks as one model."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.key = candidates[0].settings.key
        self._candidates = candidates
        self._metrics = metrics
        self._clock = clock

    async def respond(self, request: ChatRequest, listener: Listener | None) -> Assistant:
        """Answer with the first candidate that can; nothing is retried after the first token.

        Raises:
            ModelError: the last one, if all failed.
        """
        last: ModelError | None = None
        attempts: list[Attempt] = []
        failed: list[str] = []
        for index, candidate in enumerate(self._candidates):
            following = self._candidates[index + 1 : index + 2]
            after = following[0].settings.key if following else ""
            if following and not candidate.admits(self._clock()):
                failed.append(candidate.settings.key)
                attempts.append(_attempt(candidate, "circuit_open", after))
                continue
            asked = request if index == 0 else _fitting(request, candidate)
            try:
                answer = await self._repeat(candidate, asked, listener, attempts, after)
            except ModelError as error:
                error.model = candidate.settings.key
                # That a conversation is too long for the first model can be helped, whatever others say.
                last = error if last is None or last.kind != "context" else last
                if error.started or (error.kind == "context" and request.may_shrink):
                    break
                failed.append(candidate.settings.key)
            else:
                for key in failed:
                    self._metrics.fallback(key)
                answer.attempts = attempts
                return answer
        if last is None:  # pragma: no cover - the last candidate is always tried
            raise ModelError("connection", "no model was called")
        last.attempts = attempts
        raise last

    async def close(self) -> None:
        """Close the models; those shared with others close once, harmlessly."""
        for candidate in self._candidates:
            await candidate.model.close()

    async def _repeat(
        self,
        candidate: Candidate,
        request: ChatRequest,
        listener: Listener | None,
        attempts: list[Attempt],
        after: str,
    ) -> Assistant:
        """Ask one candidate until it answers, or another one should; note each failure."""
        tries = candidate.settings.retries + 1
        for attempt in range(tries):
            try:
                return await self._ask(candidate, request, listener)
            except ModelError as error:
                # A provider that asks for long is left to a fallback, or its wish is passed on.
                seconds = pause(attempt, error.retry_after)
                is_over = (
                    error.started
                    or not error.retryable
                    or attempt + 1 == tries
                    or seconds is None
                    or (after and candidate.is_open(self._clock()))
                )
                goes_on = after if is_over and not error.started else candidate.settings.key
                attempts.append(_attempt(candidate, error.kind, "" if error.started else goes_on))
                if is_over or seconds is None:
                    raise
                self._metrics.retry(candidate.settings.key, _REASONS[error.kind])
            await asyncio.sleep(seconds)
        raise AssertionError("a loop of at least one try")  # pragma: no cover

    def _lose(self, candidate: Candidate, request: ChatRequest, timed: "_Timed | None") -> None:
        """Count what a request has cost that was broken off or cancelled."""
        usage = estimated(request, sizes.tokens("".join(timed.heard)) if timed else 0)
        usage.cost_usd = cost(candidate.settings, usage)
        self._metrics.tokens(candidate.settings.key, usage)
        request.lost.add(usage)

    async def _ask(
        self, candidate: Candidate, request: ChatRequest, listener: Listener | None
    ) -> Assistant:
        began = self._clock()
        key = candidate.settings.key
        timed = _Timed(listener, key, self._metrics, self._clock) if listener else None
        try:
            answer = await candidate.model.respond(request, timed)
        except BaseException as error:
            if isinstance(error, ModelError):
                candidate.note(error, self._clock())
                self._metrics.model_time(key, self._clock() - began)
            if not isinstance(error, ModelError) or error.started or error.kind == "timeout":
                self._lose(candidate, request, timed)
            raise
        candidate.note(None, self._clock())
        seconds = self._clock() - began
        if not answer.usage.input_tokens and not answer.usage.output_tokens:
            answer.usage = estimated(request, sizes.of_message(answer))
        answer.usage.cost_usd = cost(candidate.settings, answer.usage)
        self._metrics.model_answer(candidate.settings.key, seconds, answer.usage)
        if listener is None:
            self._metrics.first_token(candidate.settings.key, seconds)
        else:
            answer.first_token_seconds = timed.seconds if timed else None
        return answer


def estimated(request: ChatRequest, output: int) -> Usage:
    """Return what a request costs whose provider does not say it: what it costs at most."""
    return Usage(sizes.of_request(request), output, estimated=True)


def _fitting(request: ChatRequest, candidate: Candidate) -> ChatRequest:
    """Return a request as a fallback takes it: the temperature was chosen for another model."""
    if candidate.settings.takes_temperature or "temperature" not in request.overrides:
        return request
    kept = {name: value for name, value in request.overrides.items() if name != "temperature"}
    return replace(request, overrides=kept)


def _attempt(candidate: Candidate, reason: str, after: str) -> Attempt:
    return Attempt(candidate.settings.key, reason, after, time.time_ns())


class _Timed:
    """Measures the time to the first token between model and listener."""

    def __init__(
        self, listener: Listener, key: str, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        self._listener = listener
        self._key = key
        self._metrics = metrics
        self._clock = clock
        self._began = clock()
        self.seconds: float | None = None
        self.heard: list[str] = []

    def __call__(self, delta: Delta) -> None:
        if self.seconds is None:
            self.seconds = self._clock() - self._began
            self._metrics.first_token(self._key, self.seconds)
        self.heard.append(delta[1])
        self._listener(delta)
