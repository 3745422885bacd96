"""Quotas per minute and per day, for the agent and for each user."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.sections.access import Limits, Quota
from fleetform_runtime.telemetry.metrics import Metrics

MINUTE = 60
DAY = 86_400
MOST_COUNTERS = 100_000


class Counters(Protocol):
    """Counters that start at zero and expire with their window."""

    async def read(self, names: Sequence[str]) -> list[float]:
        """Return the current values."""
        ...

    async def add(self, amounts: Sequence[tuple[str, float, int]]) -> list[float]:
        """Add (name, amount, seconds to live) and return the sums."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class LocalCounters:
    """Counts in this process."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._held: dict[str, tuple[float, float]] = {}

    async def read(self, names: Sequence[str]) -> list[float]:
        """Return the current values."""
        return [self._held.get(name, (0.0, 0.0))[0] for name in names]

    async def add(self, amounts: Sequence[tuple[str, float, int]]) -> list[float]:
        """Add and return the sums."""
        now = self._clock()
        if len(self._held) > MOST_COUNTERS:
            self._held = {name: held for name, held in self._held.items() if held[1] > now}
        sums = []
        for name, amount, seconds in amounts:
            total = self._held.get(name, (0.0, 0.0))[0] + amount
            self._held[name] = (total, now + seconds)
            sums.append(total)
        return sums

    async def close(self) -> None:
        """Nothing to close."""


@dataclass(frozen=True, slots=True)
class _Window:
    name: str
    seconds: int
    limit: float
    label: str
    what: str


class Quotas:
    """Counts requests before they run, tokens and cost afterwards.

    Minutes slide: the previous minute's count is weighted by the part of it that is still in the
    window, so that nobody gets two minutes' worth around a minute boundary. Tokens and cost are
    only known afterwards; a run may start while any of its quota is left.
    """

    def __init__(
        self,
        limits: Limits,
        counters: Counters,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._counters = counters
        self._metrics = metrics
        self._clock = clock
        quotas: list[Quota] = [limits, *([limits.per_user] if limits.per_user else [])]
        self._any = any(
            quota.requests_per_minute or quota.tokens_per_minute or quota.daily_cost_usd is not None
            for quota in quotas
        )

    async def admit(self, user: str) -> None:
        """Count a request.

        Raises:
            HttpProblem: a quota is exhausted.
        """
        if not self._any:
            return
        now = self._clock()
        windows = list(self._windows(user))
        names = [name for window in windows for name in _names(window, now)]
        held = await self._counters.read(names)
        for index, window in enumerate(windows):
            used, wait = _used(window, held[2 * index], held[2 * index + 1], now)
            room = window.limit - (1 if window.label == "requests" else 0)
            if used > room or (window.label != "requests" and used >= window.limit):
                self._metrics.refused(window.label)
                raise HttpProblem("rate_limited", window.what, wait)
        await self._count(windows, "requests", 1, now)

    async def spend(self, user: str, tokens: int, cost: float | None) -> None:
        """Count what a run has used."""
        if not self._any:
            return
        now = self._clock()
        windows = list(self._windows(user))
        await self._count(windows, "tokens", tokens, now)
        await self._count(windows, "cost", cost or 0, now)

    async def _count(self, windows: list[_Window], label: str, amount: float, now: float) -> None:
        amounts = [
            (_names(window, now)[0], amount, 2 * window.seconds)
            for window in windows
            if window.label == label
        ]
        if amounts and amount:
            await self._counters.add(amounts)

    def _windows(self, user: str) -> "list[_Window]":
        found = _of("agent", "the agent", self._limits)
        if self._limits.per_user:
            found += _of(f"user:{user}", "a user", self._limits.per_user)
        return found


def _of(name: str, who: str, quota: Quota) -> list[_Window]:
    found = []
    if quota.requests_per_minute:
        what = f"{who} may make {quota.requests_per_minute} requests per minute"
        found.append(
            _Window(f"{name}:requests", MINUTE, quota.requests_per_minute, "requests", what)
        )
    if quota.tokens_per_minute:
        what = f"{who} may use {quota.tokens_per_minute} tokens per minute"
        found.append(_Window(f"{name}:tokens", MINUTE, quota.tokens_per_minute, "tokens", what))
    if quota.daily_cost_usd is not None:
        what = f"{who} may spend {quota.daily_cost_usd:g} USD per day"
        found.append(_Window(f"{name}:cost", DAY, quota.daily_cost_usd, "cost", what))
    return found


def _names(window: _Window, now: float) -> tuple[str, str]:
    number = int(now // window.seconds)
    return f"{window.name}:{number}", f"{window.name}:{number - 1}"


def _used(window: _Window, current: float, last: float, now: float) -> tuple[float, float]:
    """Return the amount used, and the seconds until some of it is free again."""
    into = now % window.seconds
    if window.seconds == DAY:
        return current, window.seconds - into
    used = current + last * (1 - into / window.seconds)
    if current >= window.limit:
        return used, max(1.0, window.seconds - into)
    return used, max(1.0, min(window.seconds - into, window.seconds / max(window.limit, 1)))
