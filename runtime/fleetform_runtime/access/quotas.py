"""Quotas per minute and per day, for the agent and for each user."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.sections.access import Limits, Quota
from fleetform_runtime.telemetry.metrics import Metrics

MINUTE = 60
DAY = 86_400
MOST_COUNTERS = 100_000


class Claim(NamedTuple):
    """What a request takes from one quota, which has a counter per window."""

    current: str
    previous: str
    weight: float
    """Part of the previous window that still counts."""
    amount: float
    """0 for what is only known afterwards: then some of the quota has to be left."""
    limit: float
    seconds: int
    """Time to live of the counter."""

    def is_met(self, current: float, previous: float) -> bool:
        """Whether the quota has room, given what its counters say."""
        used = current + previous * self.weight
        return used + self.amount <= self.limit and (self.amount > 0 or used < self.limit)


class Refused(NamedTuple):
    """The first claim that is not met, by its number, and what its counters say."""

    number: int
    current: float
    previous: float


class Counters(Protocol):
    """Counters that start at zero and expire with their window."""

    async def take(self, claims: Sequence[Claim]) -> Refused | None:
        """Add all amounts, or nothing if one claim is not met; nobody else counts in between."""
        ...

    async def add(self, amounts: Sequence[tuple[str, float, int]]) -> list[float]:
        """Add (name, amount, seconds to live) and return the sums."""
        ...

    async def read(self, names: Sequence[str]) -> list[float]:
        """Return what counters say."""
        ...

    async def forget(self, user: str) -> None:
        """Delete the counters of a user."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class LocalCounters:
    """Counts in this process."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._held: dict[str, tuple[float, float]] = {}

    async def take(self, claims: Sequence[Claim]) -> Refused | None:
        """Add all amounts, or none."""
        for number, claim in enumerate(claims):
            held = (self._held.get(name, (0.0, 0.0))[0] for name in claim[:2])
            current, previous = held
            if not claim.is_met(current, previous):
                return Refused(number, current, previous)
        await self.add([(c.current, c.amount, c.seconds) for c in claims if c.amount])
        return None

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

    async def read(self, names: Sequence[str]) -> list[float]:
        """Return what counters say."""
        now = self._clock()
        held = (self._held.get(name, (0.0, 0.0)) for name in names)
        return [total if expires > now else 0.0 for total, expires in held]

    async def forget(self, user: str) -> None:
        """Delete the counters of a user."""
        of = prefix_of(user)
        self._held = {name: held for name, held in self._held.items() if not name.startswith(of)}

    async def close(self) -> None:
        """Nothing to close."""


def prefix_of(user: str) -> str:
    """Return how the names of a user's counters begin."""
    return f"user:{user}:"


_SHOWN = {
    "requests": "requests_per_minute",
    "tokens": "tokens_per_minute",
    "cost": "daily_cost_usd",
}
"""What callers know each quota by."""
_BUDGET = "agent:cost"
"""Name of the window of an agent's own budget."""


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
        self._spent = (0, 0.0)
        """Number of a day, and what was spent of the agent's budget in it."""
        if limits.daily_cost_usd is not None:
            metrics.set("agent_daily_budget_usd", limits.daily_cost_usd)
            metrics.follow("agent_daily_cost_usd", self._spent_today)

    async def admit(self, user: str) -> None:
        """Count a request.

        Raises:
            HttpProblem: a quota is exhausted.
        """
        if not self._any:
            return
        now = self._clock()
        windows = list(self._windows(user))
        refused = await self._counters.take([_claim(window, now) for window in windows])
        if refused is not None:
            window = windows[refused.number]
            self._learn(window, refused.current, now)
            self._metrics.refused(window.label)
            raise HttpProblem("rate_limited", window.what, _wait(window, refused.current, now))

    async def spend(self, user: str, tokens: int, cost: float | None) -> None:
        """Count what a run has used."""
        if not self._any:
            return
        now = self._clock()
        windows = list(self._windows(user))
        await self._count(windows, "tokens", tokens, now)
        await self._count(windows, "cost", cost or 0, now)

    async def left(self, user: str) -> dict[str, dict[str, float]]:
        """Return {name of a quota: {limit, left}} for a user: where the agent has one too, what is nearer to its end."""
        now = self._clock()
        claims = [(window, _claim(window, now)) for window in self._windows(user)]
        if not claims:
            return {}
        totals = await self._counters.read([name for _, claim in claims for name in claim[:2]])
        found: dict[str, dict[str, float]] = {}
        for (window, claim), now_used, before in zip(
            claims, totals[::2], totals[1::2], strict=True
        ):
            left = max(0.0, window.limit - now_used - before * claim.weight)
            shown = {"limit": window.limit, "left": round(left, 6)}
            name = _SHOWN[window.label]
            if name not in found or found[name]["left"] > left:
                found[name] = shown
        return found

    async def _count(self, windows: list[_Window], label: str, amount: float, now: float) -> None:
        counted = [window for window in windows if window.label == label]
        if counted and amount:
            sums = await self._counters.add(
                [(_names(window, now)[0], amount, 2 * window.seconds) for window in counted]
            )
            for window, total in zip(counted, sums, strict=True):
                self._learn(window, total, now)

    def _learn(self, window: _Window, total: float, now: float) -> None:
        if window.name == _BUDGET:
            self._spent = (int(now // DAY), total)

    def _spent_today(self) -> float:
        day, spent = self._spent
        return spent if day == int(self._clock() // DAY) else 0.0

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


def _claim(window: _Window, now: float) -> Claim:
    weight = 0.0 if window.seconds == DAY else 1 - now % window.seconds / window.seconds
    amount = 1.0 if window.label == "requests" else 0.0
    return Claim(*_names(window, now), weight, amount, window.limit, 2 * window.seconds)


def _wait(window: _Window, current: float, now: float) -> float:
    """Return the seconds until some of a quota is free again."""
    left = window.seconds - now % window.seconds
    if window.seconds == DAY:
        return left
    if current >= window.limit:
        return max(1.0, left)
    return max(1.0, min(left, window.seconds / max(window.limit, 1)))
