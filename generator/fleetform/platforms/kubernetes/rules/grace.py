"""The time that a pod has to stop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.plan.settings import MARGIN
from fleetform.platforms.kubernetes.model import PRE_STOP
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.waits import longest

if TYPE_CHECKING:
    from fleetform.models.agent import Limits


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield grace periods that would interrupt a turn."""
    for kind in kinds.CALLABLE:
        for resolved in fleet.of(kind):
            yield from _grace(resolved)


def _grace(resolved: Resolved[Any]) -> Iterator[Problem]:
    spec = resolved.spec
    given = spec.pod_template.termination_grace_period_seconds
    generic = resolved.kind == "Agent" and spec.container is None
    turn = longest(spec.limits) if generic else 0
    needed = PRE_STOP + turn + (MARGIN if generic else 1)
    if given is not None and given < needed:
        cut = f"a request that may take {turn}" if generic else f"{PRE_STOP} for traffic to end"
        yield resolved.problem(
            ("spec", "podTemplate", "terminationGracePeriodSeconds"),
            "grace-too-short",
            f"{given} seconds would interrupt {cut}",
            hint=f"at least {needed}" + (f", or lower {_limits(spec.limits)}" if generic else ""),
        )


def _limits(limits: Limits) -> str:
    queue = " or `limits.queueTimeoutSeconds`" if limits.queue_timeout_seconds else ""
    return f"`limits.turnTimeoutSeconds`{queue}"
