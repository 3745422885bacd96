"""The alert rules of a namespace, one set for all of its agents.

The expressions aggregate by (namespace, agent) and select by the namespace: a new agent is covered
as soon as it appears, and no rule depends on agent names. Only the runtime metrics in
schemas/metrics.json are used. The label `namespace` is not among their labels: it comes from the
target, added by the Prometheus operator.
"""

from typing import Any, NamedTuple

_NAMESPACE = "<namespace>"


class _Alert(NamedTuple):
    """One rule; `lasts` is a Prometheus duration, `next` the first step for the person on call."""

    name: str
    severity: str
    lasts: str
    expression: str
    summary: str
    next: str


# The quotient of two zero rates is NaN, which no comparison selects: an idle agent never alerts.
_REQUESTS = (
    _Alert(
        name="AgentHighErrorRate",
        severity="critical",
        lasts="5m",
        expression="""\
sum by (namespace, agent) (rate(agent_request_errors_total{namespace="<namespace>"}[5m]))
  /
sum by (namespace, agent) (rate(agent_request_total{namespace="<namespace>"}[5m]))
  > 0.05
""",
        summary="Agent {{ $labels.agent }} fails {{ $value | humanizePercentage }} of its requests",
        next="Group agent_request_errors_total by error_type: model and tool name an upstream, "
        "memory the store, overload a lack of replicas.",
    ),
    # A resumed event stream lasts as long as its client likes and says nothing about latency. 30 s
    # is a bucket boundary of the histogram, so the comparison is exact.
    _Alert(
        name="AgentHighLatency",
        severity="warning",
        lasts="5m",
        expression="""\
histogram_quantile(0.99,
  sum by (namespace, agent, le) (
    rate(agent_request_duration_seconds_bucket{namespace="<namespace>",route!="/runs/{id}/events"}[5m])
  )
) > 30
""",
        summary="Agent {{ $labels.agent }} needs {{ $value | humanizeDuration }} for 1 % of its "
        "requests",
        next="Compare agent_llm_request_duration_seconds with agent_tool_duration_seconds to see "
        "whether the model or a tool is slow.",
    ),
    _Alert(
        name="AgentSaturated",
        severity="warning",
        lasts="10m",
        expression="""\
max by (namespace, agent) (agent_queue_depth{namespace="<namespace>"}) > 0
""",
        summary="Agent {{ $labels.agent }} has had runs waiting for 10 minutes",
        next="Raise maxReplicas, or limits.concurrentRuns if CPU and memory allow it.",
    ),
    _Alert(
        name="AgentRateLimited",
        severity="warning",
        lasts="15m",
        expression="""\
sum by (namespace, agent) (rate(agent_rate_limited_total{namespace="<namespace>"}[5m]))
  /
sum by (namespace, agent) (rate(agent_request_total{namespace="<namespace>"}[5m]))
  > 0.1
""",
        summary="Agent {{ $labels.agent }} refuses {{ $value | humanizePercentage }} of its "
        "requests by a limit",
        next="Group agent_rate_limited_total by limit; raise that limit or find the caller that "
        "exceeds it.",
    ),
    _Alert(
        name="AgentCostBudgetSpent",
        severity="warning",
        lasts="0m",
        expression="""\
sum by (namespace, agent) (
  increase(agent_rate_limited_total{namespace="<namespace>",limit="cost"}[15m])
) > 0
""",
        summary="Agent {{ $labels.agent }} has spent its budget of the day and refuses requests",
        next="Group agent_llm_cost_usd_total by model; the budget, limits.dailyCostUsd, starts "
        "anew at midnight UTC.",
    ),
)

_UPSTREAMS = (
    _Alert(
        name="AgentModelFallbacks",
        severity="warning",
        lasts="10m",
        expression="""\
sum by (namespace, agent) (rate(agent_llm_fallbacks_total{namespace="<namespace>"}[10m]))
  /
sum by (namespace, agent) (
  rate(agent_llm_request_duration_seconds_count{namespace="<namespace>"}[10m])
)
  > 0.05
""",
        summary="Agent {{ $labels.agent }} answers {{ $value | humanizePercentage }} of its model "
        "requests from a fallback",
        next="Group agent_llm_fallbacks_total by model and look at that provider's status, quota "
        "and key.",
    ),
    _Alert(
        name="AgentModelRetries",
        severity="warning",
        lasts="10m",
        expression="""\
sum by (namespace, agent) (rate(agent_llm_retries_total{namespace="<namespace>"}[10m]))
  /
sum by (namespace, agent) (
  rate(agent_llm_request_duration_seconds_count{namespace="<namespace>"}[10m])
)
  > 0.2
""",
        summary="Agent {{ $labels.agent }} repeats {{ $value | humanizePercentage }} of its model "
        "requests",
        next="Group agent_llm_retries_total by reason: rate_limited asks for a larger quota, the "
        "others for a look at the provider's status.",
    ),
    _Alert(
        name="AgentToolErrors",
        severity="warning",
        lasts="10m",
        expression="""\
sum by (namespace, agent, tool) (
  rate(agent_tool_calls_total{namespace="<namespace>",outcome=~"error|timeout"}[10m])
)
  /
sum by (namespace, agent, tool) (rate(agent_tool_calls_total{namespace="<namespace>"}[10m]))
  > 0.2
""",
        summary="Tool {{ $labels.tool }} of agent {{ $labels.agent }} fails "
        "{{ $value | humanizePercentage }} of its calls",
        next="Read the agent's logs for the tool's name; check its endpoint, its secret and the "
        "NetworkPolicy towards it.",
    ),
    # One replica that cannot reach a server shows up as tool errors; this is all of them.
    _Alert(
        name="AgentMcpServerDown",
        severity="warning",
        lasts="5m",
        expression="""\
max by (namespace, agent, server) (agent_mcp_server_up{namespace="<namespace>"}) == 0
""",
        summary="No replica of agent {{ $labels.agent }} reaches MCP server {{ $labels.server }}",
        next="Check that the server's pods are ready and that its NetworkPolicy admits the agent; "
        "the agent reconnects by itself.",
    ),
)

# kube-state-metrics does not say which Deployments are agents: its label series need an allow-list,
# and agent_build_info is missing precisely when an agent never started. So every workload of the
# namespace counts; it is worth knowing that half of a deployed MCP server or store is down, too.
# The metrics of kube-state-metrics carry the namespace of the object as long as they are scraped
# with honorLabels, as its own chart and kube-prometheus do. When scaled to zero, 0 / 0 stays
# silent.
_WORKLOADS = (
    _Alert(
        name="AgentNotReady",
        severity="critical",
        lasts="5m",
        expression="""\
label_replace(
  max by (namespace, deployment) (kube_deployment_status_replicas_ready{namespace="<namespace>"})
    /
  max by (namespace, deployment) (kube_deployment_spec_replicas{namespace="<namespace>"}),
  "agent", "$1", "deployment", "(.+)"
) < 0.5
  or
label_replace(
  max by (namespace, statefulset) (kube_statefulset_status_replicas_ready{namespace="<namespace>"})
    /
  max by (namespace, statefulset) (kube_statefulset_replicas{namespace="<namespace>"}),
  "agent", "$1", "statefulset", "(.+)"
) < 0.5
""",
        summary="Only {{ $value | humanizePercentage }} of the replicas of {{ $labels.agent }} are "
        "ready",
        next="Describe its pods: a failing start points to a secret or to agent.json, a failing "
        "readiness probe to the memory store, Pending to quota or nodes.",
    ),
    # An agent that was scraped within the last day, still has ready pods, and is gone: a broken
    # ServiceMonitor or NetworkPolicy would silence all rules above. A deleted agent or one scaled
    # to zero has no ready pods. This relies on the workload having the name of its agent.
    _Alert(
        name="AgentMetricsMissing",
        severity="warning",
        lasts="10m",
        expression="""\
(
  max by (namespace, agent) (max_over_time(agent_build_info{namespace="<namespace>"}[1d]))
    unless on (namespace, agent)
  agent_build_info{namespace="<namespace>"}
)
  and on (namespace, agent)
(
  label_replace(
    kube_deployment_status_replicas_ready{namespace="<namespace>"},
    "agent", "$1", "deployment", "(.+)"
  ) > 0
    or
  label_replace(
    kube_statefulset_status_replicas_ready{namespace="<namespace>"},
    "agent", "$1", "statefulset", "(.+)"
  ) > 0
)
""",
        summary="Agent {{ $labels.agent }} is ready but no longer scraped",
        next="Look for it among the targets of Prometheus; check its ServiceMonitor and the "
        "NetworkPolicy rule that admits Prometheus to the metrics port.",
    ),
)

_GROUPS = {"requests": _REQUESTS, "upstreams": _UPSTREAMS, "workloads": _WORKLOADS}


def groups(namespace: str) -> list[dict[str, Any]]:
    """Build the rule groups of a PrometheusRule for all agents of a namespace."""
    return [
        {"name": f"{namespace}.{name}", "rules": [_rule(alert, namespace) for alert in alerts]}
        for name, alerts in _GROUPS.items()
    ]


def _rule(alert: _Alert, namespace: str) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expression.replace(_NAMESPACE, namespace),
        "for": alert.lasts,
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "description": alert.next},
    }
