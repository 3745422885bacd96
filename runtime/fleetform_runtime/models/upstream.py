"""Retries, fallbacks and a circuit breaker for each model: the only place that retries."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fleetform_runtime.messages import Assistant
from fleetform_runtime.models import ChatModel, ChatRequest, Delta, Kind, Listener, ModelError
from fleetform_runtime.models.pricing import cost
from fleetform_runtime.sections.model import Model
from fleetform_runtime.telemetry.metrics import Metrics

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 20.0
"""If a provider asks for a longer pause, a fallback is used, or the pause is passed on to the caller."""
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
        """Whether the circuit breaker is open; when its time is over, one request is let through."""
        return self.failures >= BREAKER_FAILURES and now - self.opened < BREAKER_SECONDS

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
        failed: list[str] = []
        for index, candidate in enumerate(self._candidates):
            is_last = index + 1 == len(self._candidates)
            if candidate.is_open(self._clock()) and not is_last:
                failed.append(candidate.settings.key)
                continue
            try:
                answer = await self._repeat(candidate, request, listener, has_next=not is_last)
            except ModelError as error:
                last = error
                if error.started:
                    break
                failed.append(candidate.settings.key)
            else:
                for key in failed:
                    self._metrics.fallback(key)
                return answer
        if last is None:  # pragma: no cover - the last candidate is always tried
            raise ModelError("connection", "no model was called")
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
        *,
        has_next: bool,
    ) -> Assistant:
        tries = candidate.settings.retries + 1
        for attempt in range(tries):
            try:
                return await self._ask(candidate, request, listener)
            except ModelError as error:
                if error.started or not error.retryable or attempt + 1 == tries:
                    raise
                pause = _pause(attempt, error.retry_after)
                if pause is None or (has_next and candidate.is_open(self._clock())):
                    raise
                self._metrics.retry(candidate.settings.key, _REASONS[error.kind])
            await asyncio.sleep(pause)
        raise AssertionError("a loop of at least one try")  # pragma: no cover

    async def _ask(
        self, candidate: Candidate, request: ChatRequest, listener: Listener | None
    ) -> Assistant:
        began = self._clock()
        timed = _timed(listener, began, self._clock, candidate.settings.key, self._metrics)
        try:
            answer = await candidate.model.respond(request, timed)
        except ModelError as error:
            candidate.note(error, self._clock())
            self._metrics.model_time(candidate.settings.key, self._clock() - began)
            raise
        candidate.note(None, self._clock())
        seconds = self._clock() - began
        answer.usage.cost_usd = cost(candidate.settings, answer.usage)
        self._metrics.model_answer(candidate.settings.key, seconds, answer.usage)
        if listener is None:
            self._metrics.first_token(candidate.settings.key, seconds)
        return answer


def _timed(
    listener: Listener | None,
    began: float,
    clock: Callable[[], float],
    key: str,
    metrics: Metrics,
) -> Listener | None:
    """Measure the time to the first token between model and listener."""
    if listener is None:
        return None
    heard = False

    def hear(delta: Delta) -> None:
        nonlocal heard
        if not heard:
            heard = True
            metrics.first_token(key, clock() - began)
        listener(delta)

    return hear


def _pause(attempt: int, asked: float | None) -> float | None:
    """Return the seconds before the next try, or None if the provider asks for too many."""
    if asked is not None:
        if asked > LONGEST_PAUSE:
            return None
        return asked + random.uniform(0, 0.1)  # noqa: S311 - not a secret
    ceiling = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311
