"""Rules of a namespace's objectives: recorded ratios, and alerts about budgets that are spent too fast.

An objective is data: constant series per agent that the rules, one set for all agents, are joined with. A budget is the
share of requests that may fail in its window; it burns at a rate of one when just that share fails. An alert compares two
windows: the long one says that it matters, the short one that it still does.
"""

from collections.abc import Mapping
from typing import Any

from fleetform.platforms.kubernetes import alerting
from fleetform.platforms.kubernetes.alerting import (
    NAMESPACE,
    OF_ANSWERS,
    OF_WORK,
    PAGE,
    SEVERITIES,
    TICKET,
    Alert,
)
from fleetform.records import NamedTuple

DAYS = 30
"""Days of the window that the factors are for; in a longer one there is more to burn."""


class Burn(NamedTuple):
    """An alert: how many times as fast as allowed the budget burns, in both windows."""

    long: str
    short: str
    factor: float
    severity: str
    spent: str


BURNS = (
    Burn("1h", "5m", 14.4, PAGE, "a fiftieth of it within an hour"),
    Burn("6h", "30m", 6, PAGE, "a twentieth of it within 6 hours"),
    Burn("1d", "2h", 3, TICKET, "a tenth of it within a day"),
    Burn("3d", "6h", 1, TICKET, "a tenth of it within 3 days"),
)
_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


class Objective(NamedTuple):
    """What one agent promises; percents as in its spec."""

    availability: float | None
    latency: float | None
    bucket: str
    """Label `le` of the bucket that has the answers that are fast enough; empty without an objective for latency."""
    requests: int
    days: int


def number(value: float) -> str:
    """Return a number without a fraction of zero, as a chart writes it."""
    return f"{value:.10g}"


def label(seconds: float) -> str:
    """Return the label `le` of a bucket: a fraction is always there."""
    return str(float(seconds))


def constants(namespace: str, objectives: Mapping[str, Objective]) -> list[dict[str, Any]]:
    """Return the rules that make series of objectives, by agent."""
    made: list[dict[str, Any]] = []
    for agent, objective in sorted(objectives.items()):
        here = {"namespace": namespace, "agent": agent}
        for kind, percent in (
            ("availability", objective.availability),
            ("latency", objective.latency),
        ):
            if percent is None:
                continue
            labels = {**here, "objective": kind}
            value, days = number(percent), objective.days
            made += [
                _constant("agent:slo_objective:ratio", f"{value} / 100", labels),
                _constant(
                    "agent:slo_allowed:ratio", f"(1 - {value} / 100) * {days} / {DAYS}", labels
                ),
                _constant("agent:slo_requests:min", str(objective.requests), labels),
            ]
        if objective.latency is not None:
            made.append(
                _constant("agent:slo_latency_bucket:info", "1", {**here, "le": objective.bucket})
            )
    return made


def _constant(record: str, value: str, labels: dict[str, str]) -> dict[str, Any]:
    return {"record": record, "expr": f"vector({value})", "labels": labels}


def rules(
    namespace: str, runbooks: str = "", severities: Mapping[str, str] = SEVERITIES
) -> list[dict[str, Any]]:
    """Return the rules that all objectives of a namespace share."""
    recorded = [
        {"record": record, "expr": expression.replace(NAMESPACE, namespace), "labels": labels}
        for record, expression, labels in _recorded()
    ]
    return [
        *recorded,
        *(alerting.rule(_alert(burn), namespace, runbooks, severities) for burn in BURNS),
    ]


def _recorded() -> list[tuple[str, str, dict[str, str]]]:
    made = []
    for window in _WINDOWS:
        for kind, ratio in (("availability", _failed(window)), ("latency", _slow(window))):
            made.append((f"agent:slo_bad:ratio_rate{window}", ratio, {"objective": kind}))
    for burn in BURNS:
        for kind, metric, routes in (
            ("availability", "agent_request_total", OF_WORK),
            ("latency", "agent_request_duration_seconds_count", OF_ANSWERS),
        ):
            count = f"""\
sum by (namespace, agent) (increase({metric}{{namespace="<namespace>",{routes}}}[{burn.long}]))
  {_of_those_with(kind)}"""
            made.append((f"agent:slo_requests:increase{burn.long}", count, {"objective": kind}))
    return made


def _of_those_with(kind: str) -> str:
    return f"""\
and on (namespace, agent)
agent:slo_objective:ratio{{namespace="<namespace>",objective="{kind}"}}
"""


def _failed(window: str) -> str:
    return f"""\
clamp_max(
  sum by (namespace, agent) (
    rate(agent_request_errors_total{{namespace="<namespace>",error_type!="cancelled"}}[{window}])
  )
    /
  sum by (namespace, agent) (rate(agent_request_total{{namespace="<namespace>",{OF_WORK}}}[{window}])),
  1
)
  {_of_those_with("availability")}"""


def _slow(window: str) -> str:
    return f"""\
1 - sum by (namespace, agent) (
  sum by (namespace, agent, le) (
    rate(agent_request_duration_seconds_bucket{{namespace="<namespace>",{OF_ANSWERS}}}[{window}])
  )
    and on (namespace, agent, le)
  agent:slo_latency_bucket:info{{namespace="<namespace>"}}
)
  /
sum by (namespace, agent) (
  rate(agent_request_duration_seconds_count{{namespace="<namespace>",{OF_ANSWERS}}}[{window}])
)
"""


def _alert(burn: Burn) -> Alert:
    limit = f'{number(burn.factor)} * agent:slo_allowed:ratio{{namespace="<namespace>"}}'
    return Alert(
        name=f"AgentBudgetBurns{burn.long}",
        severity=burn.severity,
        lasts="0m",
        expression=f"""\
agent:slo_bad:ratio_rate{burn.long}{{namespace="<namespace>"}}
  > on (namespace, agent, objective)
{limit}
  and on (namespace, agent, objective)
(
  agent:slo_bad:ratio_rate{burn.short}{{namespace="<namespace>"}}
    > on (namespace, agent, objective)
  {limit}
)
  and on (namespace, agent, objective)
(
  agent:slo_requests:increase{burn.long}{{namespace="<namespace>"}}
    >= on (namespace, agent, objective)
  agent:slo_requests:min{{namespace="<namespace>"}}
)
""",
        summary=f"Agent {{{{ $labels.agent }}}} misses its objective for {{{{ $labels.objective }}}} in "
        f"{{{{ $value | humanizePercentage }}}} of the requests of the last {burn.long}",
        next=f"It spends its error budget too fast: {burn.spent}. Availability: group "
        "agent_request_errors_total by error_type. Latency: compare agent_llm_request_duration_seconds with "
        "agent_tool_duration_seconds.",
    )
