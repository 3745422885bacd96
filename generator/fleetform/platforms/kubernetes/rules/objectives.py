"""Objectives that no alert can tell of: between two buckets, beyond every answer, or too low to be missed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import kinds
from fleetform.contract import REQUEST_BUCKETS
from fleetform.platforms.kubernetes.objectives import BURNS, DAYS, number
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.switches import can_promise
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec
    from fleetform.models.objectives import Objectives

FASTEST = max(burn.factor for burn in BURNS)


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield objectives that are no bound of the histogram, or that cannot be missed."""
    for agent in fleet.of(kinds.AGENT):
        slo = agent.spec.slo
        if slo is None or not can_promise(agent):
            continue
        if slo.availability is None and slo.latency is None:
            yield agent.problem(
                ("spec", "slo"),
                "no-objective",
                "there is no objective",
                hint="set `availability`, `latency` or both, or remove it",
                severity="warning",
                key=True,
            )
        if slo.availability is not None:
            yield from _reachable(agent, slo, slo.availability, ("spec", "slo", "availability"))
        if slo.latency is not None:
            yield from _reachable(
                agent, slo, slo.latency.percent, ("spec", "slo", "latency", "percent")
            )
            yield from _bound(agent, slo.latency.seconds)


def least(slo: Objectives) -> float:
    """Return the percent from which on the fastest alert can fire: below, it waits for more than all requests to fail."""
    return 100 * (1 - 1 / _times(slo))


def _times(slo: Objectives) -> float:
    """Return how many times as many requests as allowed must fail for the fastest alert."""
    return FASTEST * int(slo.window.removesuffix("d")) / DAYS


def _reachable(
    agent: Resolved[AgentSpec], slo: Objectives, percent: float, path: TreePath
) -> Iterator[Problem]:
    lowest = least(slo)
    if percent <= lowest:
        yield agent.problem(
            path,
            "cannot-fire",
            f"the alert for an outage cannot fire: it waits until {number(_times(slo))} times as many requests fail as "
            f"{number(percent)} % allows, which is more than all",
            hint=f"set at least {number(_above(lowest))}, or remove the objective",
        )


def _above(percent: float) -> float:
    """Return a percent with two decimals that is higher."""
    return (int(percent * 100) + 1) / 100


def _bound(agent: Resolved[AgentSpec], seconds: float) -> Iterator[Problem]:
    path: TreePath = ("spec", "slo", "latency", "seconds")
    if seconds not in REQUEST_BUCKETS:
        below = [bound for bound in REQUEST_BUCKETS if bound < seconds][-1:]
        above = [bound for bound in REQUEST_BUCKETS if bound > seconds][:1]
        nearest = " or ".join(number(bound) for bound in (*below, *above))
        yield agent.problem(
            path,
            "no-bucket",
            f"answers are not counted by whether they took {number(seconds)} s",
            hint=f"set {nearest}: a bound of the histogram `agent_request_duration_seconds`",
        )
        return
    limit = agent.spec.limits.turn_timeout_seconds
    if seconds >= limit:
        yield agent.problem(
            path,
            "cannot-fire",
            f"no answer takes longer than {number(seconds)} s: runs are ended after {limit} s",
            hint="lower it, or raise `limits.turnTimeoutSeconds`",
            severity="warning",
        )
