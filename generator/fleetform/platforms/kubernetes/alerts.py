"""The alert rules of a namespace, one set for all of its agents.

The expressions aggregate by (namespace, agent) and select by the namespace: a new agent is covered
as soon as it appears. Only workloads with thresholds of their own are named. Of the runtime's metrics only those in
schemas/metrics.json are used, of Kubernetes' those of kube-state-metrics, which agents with an image of
their own have too. The label `namespace` is not among their labels: it comes from the
target, added by the Prometheus operator.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
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


# Requests that let the agent work. What only looks at a run, such as a poll for its status, is as cheap
# as it is frequent: counted too, it would hide that every run fails.
_WORK = 'route=~"/chat|/agents/{name}/chat|/v1/chat/completions|/v1/responses|/ws"'
# The time of a WebSocket is that of its client, not of an answer.
_ANSWERS = 'route=~"/chat|/agents/{name}/chat|/v1/chat/completions|/v1/responses"'

# The quotient of two zero rates is NaN, which no comparison selects: an idle agent never alerts. Few
# requests prove little: a ratio only counts from some failures on, or from some answers.
_REQUESTS = (
    _Alert(
        name="AgentHighErrorRate",
        severity="critical",
        lasts="5m",
        expression=f"""\
clamp_max(
  sum by (namespace, agent) (
    rate(agent_request_errors_total{{namespace="<namespace>",error_type!="cancelled"}}[5m])
  )
    /
  sum by (namespace, agent) (rate(agent_request_total{{namespace="<namespace>",{_WORK}}}[5m])),
  1
) > <errorRatio>
  and on (namespace, agent)
sum by (namespace, agent) (
  increase(agent_request_errors_total{{namespace="<namespace>",error_type!="cancelled"}}[15m])
) >= 5
""",
        summary="Agent {{ $labels.agent }} fails {{ $value | humanizePercentage }} of its requests",
        next="Group agent_request_errors_total by error_type: model and tool name an upstream, "
        "memory the store, overload a lack of replicas.",
    ),
    # What is slow depends on the agent: each exports how long its runs may take.
    _Alert(
        name="AgentHighLatency",
        severity="warning",
        lasts="10m",
        expression=f"""\
(
  histogram_quantile(0.95,
    sum by (namespace, agent, le) (
      rate(agent_request_duration_seconds_bucket{{namespace="<namespace>",{_ANSWERS}}}[10m])
    )
  )
    > on (namespace, agent)
  <latencyRatio> * max by (namespace, agent) (agent_run_limit_seconds{{namespace="<namespace>"}})
)
  and on (namespace, agent)
sum by (namespace, agent) (
  increase(agent_request_duration_seconds_count{{namespace="<namespace>",{_ANSWERS}}}[10m])
) >= 10
""",
        summary="Agent {{ $labels.agent }} needs {{ $value | humanizeDuration }} for one answer in "
        "twenty, nearly as long as a run may take",
        next="Compare agent_llm_request_duration_seconds with agent_tool_duration_seconds to see "
        "whether the model or a tool is slow; runs that take longer than agent_run_limit_seconds "
        "are ended.",
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
  > <rateLimitedRatio>
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
  > <fallbackRatio>
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
  > <retryRatio>
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
  > <toolErrorRatio>
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
) < <readyRatio>
  or
label_replace(
  max by (namespace, statefulset) (kube_statefulset_status_replicas_ready{namespace="<namespace>"})
    /
  max by (namespace, statefulset) (kube_statefulset_replicas{namespace="<namespace>"}),
  "agent", "$1", "statefulset", "(.+)"
) < <readyRatio>
""",
        summary="Only {{ $value | humanizePercentage }} of the replicas of {{ $labels.agent }} are "
        "ready",
        next="Describe its pods: a failing start points to a secret or to agent.json, a failing "
        "readiness probe to the memory store, Pending to quota or nodes.",
    ),
    _Alert(
        name="AgentAtMaxReplicas",
        severity="warning",
        lasts="15m",
        expression="""\
label_replace(
  max by (namespace, horizontalpodautoscaler) (
    kube_horizontalpodautoscaler_status_current_replicas{namespace="<namespace>"}
  )
    >=
  max by (namespace, horizontalpodautoscaler) (
    kube_horizontalpodautoscaler_spec_max_replicas{namespace="<namespace>"}
  ),
  "agent", "$1", "horizontalpodautoscaler", "(?:keda-hpa-)?(.+)"
)
""",
        summary="Agent {{ $labels.agent }} has had all of its {{ $value }} replicas for 15 minutes",
        next="If it is still busy, raise scaling.maxReplicas; if its metric never falls, check the "
        "target of the metric.",
    ),
)

# A Job that failed is there until another configuration replaces it, and those of a schedule until two more have run:
# only the last one counts. Its name is that of objects/job.py, with a number when a CronJob made it.
_INGESTED = (
    _Alert(
        name="AgentIngestionFailed",
        severity="warning",
        lasts="1m",
        expression=r"""
max by (namespace, agent, job_name) (
  <jobs>
    == on (namespace, agent) group_left
  max by (namespace, agent) (<jobs>)
)
  and on (namespace, job_name)
max by (namespace, job_name) (kube_job_failed{namespace="<namespace>",condition="true"}) > 0
""".lstrip().replace(
            "<jobs>",
            r"""label_replace(
    kube_job_created{namespace="<namespace>",job_name=~".+-knowledge-[0-9a-f]{8}(-[0-9]+)?"},
    "agent", "$1", "job_name", "(.+)-knowledge-[0-9a-f]{8}(?:-[0-9]+)?"
  )""",
        ),
        summary="The documents of agent {{ $labels.agent }} were not all taken in: it answers from older ones",
        next="Read the logs of Job {{ $labels.job_name }}: they name each document that failed, and why. "
        "Delete the Job to run it again, or wait for its schedule.",
    ),
)

# Of the Jobs of a schedule only the last one counts, as above; a run with a Job of its own is one.
_SCHEDULED = """\
label_replace(
    max by (namespace, job_name) (
      kube_job_created{namespace="<namespace>",job_name=~".+-[0-9a-f]{8}-[0-9]+"}
    ),
    "schedule", "$1", "job_name", "(.+)-[0-9a-f]{8}-[0-9]+"
  )"""
_RUN = f"""\
max by (namespace, job_name) (kube_job_failed{{namespace="<namespace>",condition="true"}}) > 0
  and on (namespace, job_name)
label_replace(
  max by (namespace, owner_name) (
    kube_pod_owner{{namespace="<namespace>",owner_kind="Job"}}
      * on (namespace, pod) group_left
    max by (namespace, pod) (kube_pod_container_info{{namespace="<namespace>",container="workflow-run"}})
  ),
  "job_name", "$1", "owner_name", "(.+)"
)
  unless on (namespace, job_name)
(
  {_SCHEDULED}
    < on (namespace, schedule) group_left
  max by (namespace, schedule) (
    {_SCHEDULED}
  )
)
"""
_JOBS_OF_RUNS = (
    _Alert(
        name="WorkflowRunFailed",
        severity="warning",
        lasts="1m",
        expression=_RUN,
        summary="The workflow run of Job {{ $labels.job_name }} has failed",
        next="The termination message of its pod says why; its log tells what became of each step. The Job made again does "
        "not repeat the run: give the WorkflowRun another name, or repeat the failed steps where the workflow is served.",
    ),
)
_RUNS = (
    _Alert(
        name="WorkflowRunsFailing",
        severity="warning",
        lasts="1m",
        expression="""\
sum by (namespace, workflow) (
  increase(workflow_runs_total{namespace="<namespace>",phase="Failed",reason!~"Cancelled|Replaced"}[15m])
) > 0
""",
        summary="Runs of workflow {{ $labels.workflow }} have failed within the last 15 minutes",
        next="List them with GET /runs?phase=Failed: each says which step failed, and why. Repeat one with POST "
        "/runs/{name}/retry, which leaves as they are the steps that have succeeded.",
    ),
    _Alert(
        name="WorkflowRunStuck",
        severity="critical",
        lasts="2m",
        expression="""\
max by (namespace, workflow) (workflow_longest_silent_seconds{namespace="<namespace>"}) > 120
""",
        summary="A run of workflow {{ $labels.workflow }} has been without a process for {{ $value | humanizeDuration }}",
        next="Whoever executed it is gone, and nobody goes on: look at the pods of the workflow and of its Jobs, and at what "
        "they say of the store.",
    ),
    _Alert(
        name="WorkflowQueueOld",
        severity="warning",
        lasts="5m",
        expression="""\
max by (namespace, workflow) (workflow_oldest_pending_seconds{namespace="<namespace>"}) > 1800
""",
        summary="A run of workflow {{ $labels.workflow }} has been waiting for {{ $value | humanizeDuration }}",
        next="As many runs are executed as concurrency.maxConcurrent allows: look for one that waits for a person or hangs, or "
        "raise the limit.",
    ),
    _Alert(
        name="WorkflowNotificationLost",
        severity="warning",
        lasts="1m",
        expression="""\
sum by (namespace, workflow) (
  increase(workflow_notifications_total{namespace="<namespace>",outcome="lost"}[15m])
) > 0
""",
        summary="Nobody was told of a failed run of workflow {{ $labels.workflow }}",
        next="The webhook refused it or cannot be reached: the log says which; check the Secret with its URL, and the "
        "NetworkPolicy.",
    ),
)

_SCRAPING = (
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

_OF_THE_RUNTIME = {
    "requests": _REQUESTS,
    "upstreams": _UPSTREAMS,
    "workflows": _RUNS,
    "scraping": _SCRAPING,
}
_OF_KUBERNETES = {"workloads": (*_WORKLOADS, *_INGESTED, *_JOBS_OF_RUNS)}


THRESHOLDS: Mapping[str, float] = {
    "errorRatio": 0.05,
    "latencyRatio": 0.8,
    "rateLimitedRatio": 0.1,
    "fallbackRatio": 0.05,
    "retryRatio": 0.2,
    "toolErrorRatio": 0.2,
    "readyRatio": 0.5,
}
"""What the alerts compare with, by the names in an environment's `monitoring.alertThresholds`."""


Thresholds = Mapping[str, float | str]
"""Numbers by their names in THRESHOLDS, or the texts that stand for them."""


def groups(
    namespace: str,
    runbooks: str = "",
    *,
    runtime: bool = True,
    thresholds: Thresholds = THRESHOLDS,
    own: Mapping[str, Thresholds] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Return the rule groups of a PrometheusRule for all agents of a namespace.

    `thresholds` has all of THRESHOLDS; `own` has those of single workloads that differ, by the workload. `runbooks` is
    the URL of docs/alerts.md, or of a page of one's own with the same headings; without `runtime`, only rules that need
    nothing but kube-state-metrics are returned.
    """
    chosen = {**(_OF_THE_RUNTIME if runtime else {}), **_OF_KUBERNETES}
    return [
        {
            "name": f"{namespace}.{name}",
            "rules": [_rule(alert, namespace, runbooks, thresholds, own) for alert in alerts],
        }
        for name, alerts in chosen.items()
    ]


def _rule(
    alert: _Alert,
    namespace: str,
    runbooks: str,
    thresholds: Thresholds,
    own: Mapping[str, Thresholds],
) -> dict[str, Any]:
    expression = alert.expression.replace(_NAMESPACE, namespace)
    for name, value in thresholds.items():
        if f"<{name}>" in expression:
            expression = _compared(expression, name, value, own)
    annotations = {"summary": alert.summary, "description": alert.next}
    if runbooks:
        annotations["runbook_url"] = f"{runbooks}#{alert.name.lower()}"
    return {
        "alert": alert.name,
        "expr": expression,
        "for": alert.lasts,
        "labels": {"severity": alert.severity},
        "annotations": annotations,
    }


def _compared(expression: str, name: str, value: float | str, own: Mapping[str, Thresholds]) -> str:
    """Return an expression with a threshold filled in, once for each number that workloads have instead."""
    others: dict[str, list[str]] = {}
    for workload, found in sorted(own.items()):
        if name in found:
            others.setdefault(str(found[name]), []).append(workload)
    named = [workload for found in others.values() for workload in found]
    parts = [_of("!~", named, expression).replace(f"<{name}>", str(value))]
    parts += [
        _of("=~", found, expression).replace(f"<{name}>", n) for n, found in sorted(others.items())
    ]
    return "  or\n".join(parts)


def _of(operator: str, workloads: list[str], expression: str) -> str:
    """Return an expression whose selectors choose workloads by their names."""
    if not workloads:
        return expression
    names = f'{operator}"{"|".join(sorted(workloads))}"'
    expression = re.sub(r"\b(agent_\w+)\{", rf"\1{{agent{names},", expression)
    return re.sub(r"\b(kube_([a-z]+)_\w+)\{", rf"\1{{\2{names},", expression)
