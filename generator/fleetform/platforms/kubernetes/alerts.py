"""The alert rules of a namespace, one set for all of its agents.

The expressions aggregate by (namespace, agent) and select by the namespace: a new agent is covered
as soon as it appears. Only workloads with thresholds of their own are named. Of the runtime's metrics only those in
schemas/metrics.json are used, of Kubernetes' those of kube-state-metrics and the kubelets, which workloads with an image
of their own have too. The label `namespace` is not among their labels: it comes from the
target, added by the Prometheus operator.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fleetform.platforms.kubernetes import alerting, objectives
from fleetform.platforms.kubernetes.alerting import (
    OF_ANSWERS,
    OF_WORK,
    PAGE,
    SEVERITIES,
    TICKET,
    Alert,
)
from fleetform.platforms.kubernetes.objectives import Objective

# The quotient of two zero rates is NaN, which no comparison selects: an idle agent never alerts. Few
# requests prove little: a ratio only counts from some failures on, or from some answers.
_REQUESTS = (
    Alert(
        name="AgentHighErrorRate",
        severity=PAGE,
        lasts="5m",
        expression=f"""\
clamp_max(
  sum by (namespace, agent) (
    rate(agent_request_errors_total{{namespace="<namespace>",error_type!="cancelled"}}[5m])
  )
    /
  sum by (namespace, agent) (rate(agent_request_total{{namespace="<namespace>",{OF_WORK}}}[5m])),
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
    Alert(
        name="AgentHighLatency",
        severity=TICKET,
        lasts="10m",
        expression=f"""\
(
  histogram_quantile(0.95,
    sum by (namespace, agent, le) (
      rate(agent_request_duration_seconds_bucket{{namespace="<namespace>",{OF_ANSWERS}}}[10m])
    )
  )
    > on (namespace, agent)
  <latencyRatio> * max by (namespace, agent) (agent_run_limit_seconds{{namespace="<namespace>"}})
)
  and on (namespace, agent)
sum by (namespace, agent) (
  increase(agent_request_duration_seconds_count{{namespace="<namespace>",{OF_ANSWERS}}}[10m])
) >= 10
""",
        summary="Agent {{ $labels.agent }} needs {{ $value | humanizeDuration }} for one answer in "
        "twenty, nearly as long as a run may take",
        next="Compare agent_llm_request_duration_seconds with agent_tool_duration_seconds to see "
        "whether the model or a tool is slow; runs that take longer than agent_run_limit_seconds "
        "are ended.",
    ),
    Alert(
        name="AgentSaturated",
        severity=TICKET,
        lasts="10m",
        expression="""\
max by (namespace, agent) (agent_queue_depth{namespace="<namespace>"}) > 0
""",
        summary="Agent {{ $labels.agent }} has had runs waiting for 10 minutes",
        next="Raise maxReplicas, or limits.concurrentRuns if CPU and memory allow it.",
    ),
    Alert(
        name="AgentRateLimited",
        severity=TICKET,
        lasts="15m",
        expression=f"""\
clamp_max(
  sum by (namespace, agent) (rate(agent_rate_limited_total{{namespace="<namespace>"}}[5m]))
    /
  sum by (namespace, agent) (rate(agent_request_total{{namespace="<namespace>",{OF_WORK}}}[5m])),
  1
) > <rateLimitedRatio>
""",
        summary="Agent {{ $labels.agent }} refuses {{ $value | humanizePercentage }} of its "
        "requests by a limit",
        next="Group agent_rate_limited_total by limit; raise that limit or find the caller that "
        "exceeds it.",
    ),
    # A share of the budget, not of the last 24 hours: it starts anew at midnight, as the budget does.
    Alert(
        name="AgentCostBudgetLow",
        severity=TICKET,
        lasts="0m",
        expression="""\
max by (namespace, agent) (
  agent_daily_cost_usd{namespace="<namespace>"}
    /
  (agent_daily_budget_usd{namespace="<namespace>"} > 0)
) >= 0.8
""",
        summary="Agent {{ $labels.agent }} has spent {{ $value | humanizePercentage }} of its budget of the day",
        next="Group agent_llm_cost_usd_total by model; once the budget, limits.dailyCostUsd, is spent, requests are "
        "refused until midnight UTC.",
    ),
    Alert(
        name="AgentCostBudgetSpent",
        severity=TICKET,
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

# What fails now and then, each time, is too rare for the ratios above: a few requests in hours.
_RARE = (
    Alert(
        name="AgentAlwaysFails",
        severity=TICKET,
        lasts="0m",
        expression=f"""\
clamp_max(
  sum by (namespace, agent) (
    increase(agent_request_errors_total{{namespace="<namespace>",error_type!="cancelled"}}[6h])
  )
    /
  sum by (namespace, agent) (increase(agent_request_total{{namespace="<namespace>",{OF_WORK}}}[6h])),
  1
) > 0.5
  and on (namespace, agent)
sum by (namespace, agent) (
  increase(agent_request_errors_total{{namespace="<namespace>",error_type!="cancelled"}}[6h])
) >= 3
""",
        summary="Agent {{ $labels.agent }} has failed {{ $value | humanizePercentage }} of its few requests of the last "
        "6 hours",
        next="Group agent_request_errors_total by error_type, and read the agent's log: what fails each time is rather "
        "a key, an address or a configuration than load.",
    ),
)

_UPSTREAMS = (
    Alert(
        name="AgentModelFallbacks",
        severity=TICKET,
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
    Alert(
        name="AgentModelRetries",
        severity=TICKET,
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
    Alert(
        name="AgentToolErrors",
        severity=TICKET,
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
    Alert(
        name="AgentMcpServerDown",
        severity=TICKET,
        lasts="5m",
        expression="""\
max by (namespace, agent, server) (agent_mcp_server_up{namespace="<namespace>"}) == 0
""",
        summary="No replica of agent {{ $labels.agent }} reaches MCP server {{ $labels.server }}",
        next="Check that the server's pods are ready and that its NetworkPolicy admits the agent; "
        "the agent reconnects by itself.",
    ),
)


def _of_controller(metric: str) -> str:
    """Return a controller's metric about an object, by the object's namespace and name.

    The namespace is that of the object where the controller is scraped with honorLabels, and else has been renamed.
    """
    here = metric.replace("<in>", 'namespace="<namespace>"')
    renamed = metric.replace("<in>", 'exported_namespace="<namespace>"')
    return f"""\
max by (namespace, name) (
  {here}
    or
  label_replace(
    {renamed},
    "namespace", "$1", "exported_namespace", "(.+)"
  )
)"""


def _of_rollouts(metric: str) -> str:
    """Return a number of kube-state-metrics about ReplicaSets, summed by the Rollout that owns them.

    Of a Rollout itself there are metrics only where its controller is scraped; the Deployment beside it has no pods.
    """
    return f"""\
label_replace(
  sum by (namespace, owner_name) (
    max by (namespace, replicaset) ({metric}{{namespace="<namespace>"}})
      * on (namespace, replicaset) group_left (owner_name)
    max by (namespace, replicaset, owner_name) (
      kube_replicaset_owner{{namespace="<namespace>",owner_kind="Rollout"}}
    )
  ),
  "agent", "$1", "owner_name", "(.+)"
)"""


# kube-state-metrics does not say which Deployments are agents: its label series need an allow-list,
# and agent_build_info is missing precisely when an agent never started. So every workload of the
# namespace counts; it is worth knowing that half of a deployed MCP server or store is down, too.
# The metrics of kube-state-metrics carry the namespace of the object as long as they are scraped
# with honorLabels, as its own chart and kube-prometheus do. When scaled to zero, 0 / 0 stays
# silent.
_WORKLOADS = (
    Alert(
        name="AgentNotReady",
        severity=PAGE,
        lasts="5m",
        expression=f"""\
label_replace(
  max by (namespace, deployment) (kube_deployment_status_replicas_ready{{namespace="<namespace>"}})
    /
  max by (namespace, deployment) (kube_deployment_spec_replicas{{namespace="<namespace>"}}),
  "agent", "$1", "deployment", "(.+)"
) < <readyRatio>
  or
label_replace(
  max by (namespace, statefulset) (kube_statefulset_status_replicas_ready{{namespace="<namespace>"}})
    /
  max by (namespace, statefulset) (kube_statefulset_replicas{{namespace="<namespace>"}}),
  "agent", "$1", "statefulset", "(.+)"
) < <readyRatio>
  or
{_of_rollouts("kube_replicaset_status_ready_replicas")}
  / on (namespace, agent)
{_of_rollouts("kube_replicaset_spec_replicas")} < <readyRatio>
""",
        summary="Only {{ $value | humanizePercentage }} of the replicas of {{ $labels.agent }} are "
        "ready",
        next="Describe its pods: a failing start points to a secret or to agent.json, a failing "
        "readiness probe to the memory store, Pending to quota or nodes.",
    ),
    Alert(
        name="AgentAtMaxReplicas",
        severity=TICKET,
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

# Of every workload of the namespace, whatever its image. The reason of a container's last end stays: only a restart
# says that it is news. A loop has moments in which the container runs.
_PODS = (
    Alert(
        name="AgentCrashLoop",
        severity=TICKET,
        lasts="10m",
        expression="""\
max by (namespace, pod, container) (
  max_over_time(
    kube_pod_container_status_waiting_reason{namespace="<namespace>",reason="CrashLoopBackOff"}[5m]
  )
) >= 1
""",
        summary="Container {{ $labels.container }} of {{ $labels.pod }} keeps crashing",
        next="Read the log of its last start with kubectl logs --previous, and its last state with kubectl describe.",
    ),
    Alert(
        name="AgentNotStarting",
        severity=TICKET,
        lasts="10m",
        expression="""\
max by (namespace, pod, container, reason) (
  kube_pod_container_status_waiting_reason{namespace="<namespace>",reason=~"ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull|CreateContainerConfigError|CreateContainerError"}
) >= 1
""",
        summary="Container {{ $labels.container }} of {{ $labels.pod }} does not start: {{ $labels.reason }}",
        next="Describe the pod: its events name the image that cannot be pulled, and why, or the Secret, ConfigMap or key "
        "that is missing.",
    ),
    Alert(
        name="AgentOutOfMemory",
        severity=TICKET,
        lasts="0m",
        expression="""\
max by (namespace, pod, container) (
  kube_pod_container_status_last_terminated_reason{namespace="<namespace>",reason="OOMKilled"}
) >= 1
  and on (namespace, pod, container)
max by (namespace, pod, container) (
  increase(kube_pod_container_status_restarts_total{namespace="<namespace>"}[15m])
) > 0
""",
        summary="Container {{ $labels.container }} of {{ $labels.pod }} was killed, since it ran out of memory",
        next="Raise resources.limits.memory, or let it do less at once: limits.concurrentRuns of an agent.",
    ),
    Alert(
        name="AgentMemoryHigh",
        severity=TICKET,
        lasts="15m",
        expression="""\
max by (namespace, pod, container) (
  container_memory_working_set_bytes{namespace="<namespace>",container!="",container!="POD"}
)
  /
(
  max by (namespace, pod, container) (
    kube_pod_container_resource_limits{namespace="<namespace>",resource="memory"}
  ) > 0
) > 0.9
""",
        summary="Container {{ $labels.container }} of {{ $labels.pod }} has used {{ $value | humanizePercentage }} of the "
        "memory that it may use for 15 minutes",
        next="It is about to be killed: raise resources.limits.memory, or let it do less at once.",
    ),
)

_SHARED = (
    Alert(
        name="AgentQuotaNearlyUsed",
        severity=TICKET,
        lasts="15m",
        expression="""\
max by (namespace, resourcequota, resource) (
  kube_resourcequota{namespace="<namespace>",type="used"}
)
  /
(
  max by (namespace, resourcequota, resource) (
    kube_resourcequota{namespace="<namespace>",type="hard"}
  ) > 0
) > 0.9
""",
        summary="Namespace {{ $labels.namespace }} has used {{ $value | humanizePercentage }} of its quota of "
        "{{ $labels.resource }}",
        next="New pods are refused once it is used up: raise tenants.NAMESPACE.hard, or lower requests or maxReplicas of "
        "those who use most.",
    ),
    # Most classes make a disk with the first pod that wants it: a claim that nobody uses waits for ever.
    Alert(
        name="AgentClaimNotBound",
        severity=TICKET,
        lasts="15m",
        expression="""\
max by (namespace, persistentvolumeclaim, phase) (
  kube_persistentvolumeclaim_status_phase{namespace="<namespace>",phase=~"Pending|Lost"}
) >= 1
  and on (namespace, persistentvolumeclaim)
max by (namespace, persistentvolumeclaim) (
  kube_pod_spec_volumes_persistentvolumeclaims_info{namespace="<namespace>"}
)
""",
        summary="Claim {{ $labels.persistentvolumeclaim }} is {{ $labels.phase }}, and a pod waits for it",
        next="Describe the claim: its storageClass does not exist or cannot make a disk of that size or access mode, or "
        "the disk is gone.",
    ),
    Alert(
        name="AgentVolumeNearlyFull",
        severity=TICKET,
        lasts="15m",
        expression="""\
max by (namespace, persistentvolumeclaim) (
  kubelet_volume_stats_used_bytes{namespace="<namespace>"}
)
  /
(
  max by (namespace, persistentvolumeclaim) (
    kubelet_volume_stats_capacity_bytes{namespace="<namespace>"}
  ) > 0
) > 0.9
""",
        summary="The volume of claim {{ $labels.persistentvolumeclaim }} is {{ $value | humanizePercentage }} full",
        next="Enlarge the claim where its class allows it, or keep less: the session TTL and limits of its store.",
    ),
    Alert(
        name="AgentSecretNotSynced",
        severity=TICKET,
        lasts="10m",
        expression=_of_controller(
            'externalsecret_status_condition{<in>,condition="Ready",status="False"}'
        )
        + " >= 1\n",
        summary="ExternalSecret {{ $labels.name }} is not ready: its Secret is missing or old",
        next="Describe it: the store cannot be reached, its identity may not read the key, or the key does not exist.",
    ),
    Alert(
        name="AgentCertificateNotReady",
        severity=TICKET,
        lasts="15m",
        expression=_of_controller(
            'certmanager_certificate_ready_status{<in>,condition=~"False|Unknown"}'
        )
        + " >= 1\n",
        summary="Certificate {{ $labels.name }} is not ready",
        next="Describe the Certificate and its CertificateRequest: the issuer says what it waits for.",
    ),
    Alert(
        name="AgentCertificateExpires",
        severity=PAGE,
        lasts="60m",
        expression=_of_controller("certmanager_certificate_expiration_timestamp_seconds{<in>}")
        + " - time() < 259200\n",
        summary="Certificate {{ $labels.name }} expires in {{ $value | humanizeDuration }}",
        next="It is renewed long before that, so renewing has failed: describe the Certificate and its "
        "CertificateRequest.",
    ),
)

# A Job that failed is there until another configuration replaces it, and those of a schedule until two more have run:
# only the last one counts. Its name is that of objects/job.py, with a number when a CronJob made it.
_INGESTED = (
    Alert(
        name="AgentIngestionFailed",
        severity=TICKET,
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
    Alert(
        name="WorkflowRunFailed",
        severity=TICKET,
        lasts="1m",
        expression=_RUN,
        summary="The workflow run of Job {{ $labels.job_name }} has failed",
        next="The termination message of its pod says why; its log tells what became of each step. The Job made again does "
        "not repeat the run: give the WorkflowRun another name, or repeat the failed steps where the workflow is served.",
    ),
)
_RUNS = (
    Alert(
        name="WorkflowRunsFailing",
        severity=TICKET,
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
    Alert(
        name="WorkflowRunStuck",
        severity=PAGE,
        lasts="2m",
        expression="""\
max by (namespace, workflow) (workflow_longest_silent_seconds{namespace="<namespace>"}) > 120
""",
        summary="A run of workflow {{ $labels.workflow }} has been without a process for {{ $value | humanizeDuration }}",
        next="Whoever executed it is gone, and nobody goes on: look at the pods of the workflow and of its Jobs, and at what "
        "they say of the store.",
    ),
    Alert(
        name="WorkflowQueueOld",
        severity=TICKET,
        lasts="5m",
        expression="""\
max by (namespace, workflow) (workflow_oldest_pending_seconds{namespace="<namespace>"}) > 1800
""",
        summary="A run of workflow {{ $labels.workflow }} has been waiting for {{ $value | humanizeDuration }}",
        next="As many runs are executed as concurrency.maxConcurrent allows: look for one that waits for a person or hangs, or "
        "raise the limit.",
    ),
    Alert(
        name="WorkflowNotificationLost",
        severity=TICKET,
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

# What names a CronJob is its store's, and plan/backups.py. A run that failed is as old as one that never began: one
# that was due and did not begin, one that began and has not succeeded since, and a schedule that somebody suspended.
_DUE = """\
(
  max by (namespace, cronjob) (kube_cronjob_status_last_schedule_time{<selected>})
    unless on (namespace, cronjob)
  (
    max by (namespace, cronjob) (kube_cronjob_status_last_successful_time{<selected>})
      >=
    max by (namespace, cronjob) (kube_cronjob_status_last_schedule_time{<selected>})
  )
)
  or
(
  max by (namespace, cronjob) (kube_cronjob_next_schedule_time{<selected>}) < time() - 3600
)
  or
(
  max by (namespace, cronjob) (kube_cronjob_spec_suspend{<selected>}) == 1
)
"""
_BACKUPS = (
    Alert(
        name="AgentBackupOld",
        severity=TICKET,
        lasts="300m",
        expression=_DUE.replace("<selected>", 'namespace="<namespace>",cronjob=~".+-backup"'),
        summary="The last backup of CronJob {{ $labels.cronjob }} that was due is not there",
        next="Read the logs of its last Job: container dump says what the store's server refuses or what is wrong with the dump, "
        "container backup what the bucket refuses.",
    ),
    Alert(
        name="AgentDrillFailed",
        severity=TICKET,
        lasts="300m",
        expression=_DUE.replace("<selected>", 'namespace="<namespace>",cronjob=~".+-drill"'),
        summary="The last backup could not be restored by CronJob {{ $labels.cronjob }}",
        next="Read the logs of its last Job: container fetch says whether there is a backup and its password is right, container "
        "drill what did not come back. Until it succeeds, treat the store as one without a backup.",
    ),
)

_READY_REPLICA_SETS = _of_rollouts("kube_replicaset_status_ready_replicas").replace("\n", "\n  ")
"""As a part of an expression that is indented."""

_SCRAPING = (
    # An agent that was scraped within the last day, still has ready pods, and is gone: a broken
    # ServiceMonitor or NetworkPolicy would silence all rules above. A deleted agent or one scaled
    # to zero has no ready pods. This relies on the workload having the name of its agent.
    Alert(
        name="AgentMetricsMissing",
        severity=TICKET,
        lasts="10m",
        expression=f"""\
(
  max by (namespace, agent) (max_over_time(agent_build_info{{namespace="<namespace>"}}[1d]))
    unless on (namespace, agent)
  agent_build_info{{namespace="<namespace>"}}
)
  and on (namespace, agent)
(
  label_replace(
    kube_deployment_status_replicas_ready{{namespace="<namespace>"}},
    "agent", "$1", "deployment", "(.+)"
  ) > 0
    or
  label_replace(
    kube_statefulset_status_replicas_ready{{namespace="<namespace>"}},
    "agent", "$1", "statefulset", "(.+)"
  ) > 0
    or
  {_READY_REPLICA_SETS} > 0
)
""",
        summary="Agent {{ $labels.agent }} is ready but no longer scraped",
        next="Look for it among the targets of Prometheus; check its ServiceMonitor and the "
        "NetworkPolicy rule that admits Prometheus to the metrics port.",
    ),
)

# Of a namespace whose tenant has a budget. Nothing ends at it, so the window slides: no midnight hides what was spent before.
_OF_A_BUDGET = (
    Alert(
        name="AgentTenantBudgetLow",
        severity=TICKET,
        lasts="15m",
        expression="""\
sum by (namespace) (
  increase(agent_llm_cost_usd_total{namespace="<namespace>"}[1d])
    or
  label_replace(
    increase(agent_embedding_cost_usd_total{namespace="<namespace>"}[1d]), "of", "vectors", "", ""
  )
)
  / <dailyBudgetUsd> >= 0.8
""",
        summary="Agents of {{ $labels.namespace }} have spent {{ $value | humanizePercentage }} of the namespace's budget "
        "in 24 hours",
        next="`fleetform usage --days 1 --by agent,model` says on what; the budget is tenants.dailyBudgetUsd, and what must "
        "end at a sum has a limit of its own, rateLimits.dailyCostUsd.",
    ),
)

# Of the OpenTelemetry Collector, in its own namespace. What it refuses, agents send again for a while, and then drop.
_OF_A_COLLECTOR = (
    Alert(
        name="CollectorSpansLost",
        severity=TICKET,
        lasts="15m",
        expression="""\
sum by (namespace, exporter) (
  rate(otelcol_exporter_send_failed_spans_total{namespace="<namespace>"}[10m])
    or
  label_replace(
    rate(otelcol_exporter_enqueue_failed_spans_total{namespace="<namespace>"}[10m]),
    "of", "queue", "", ""
  )
) > 0
""",
        summary="The collector loses {{ $value | humanize }} spans a second that were for {{ $labels.exporter }}",
        next="Read its log for the exporter's name: it has the backend's answer. A key, an address or a NetworkPolicy fails "
        "each time, a backend that is overloaded now and then.",
    ),
    Alert(
        name="CollectorQueueFull",
        severity=TICKET,
        lasts="10m",
        expression="""\
max by (namespace, exporter) (otelcol_exporter_queue_size{namespace="<namespace>"})
  / on (namespace, exporter)
(max by (namespace, exporter) (otelcol_exporter_queue_capacity{namespace="<namespace>"}) > 0)
> 0.8
""",
        summary="The queue of the collector for {{ $labels.exporter }} is {{ $value | humanizePercentage }} full",
        next="The backend is away or too slow: until it is back, spans beyond the queue are lost. Restarting the collector "
        "loses what waits.",
    ),
    Alert(
        name="CollectorRefusesSpans",
        severity=TICKET,
        lasts="10m",
        expression="""\
sum by (namespace) (rate(otelcol_receiver_refused_spans_total{namespace="<namespace>"}[10m])) > 0
""",
        summary="The collector refuses {{ $value | humanize }} spans a second, since its memory is used up",
        next="Raise monitoring.collector.resources.limits.memory or its replicas of the environment; a backend that is away "
        "fills the memory, too.",
    ),
)

_OF_THE_RUNTIME = {
    "requests": (*_REQUESTS, *_RARE),
    "upstreams": _UPSTREAMS,
    "workflows": _RUNS,
    "scraping": _SCRAPING,
}
_OF_KUBERNETES = {
    "workloads": (*_WORKLOADS, *_PODS, *_SHARED, *_INGESTED, *_JOBS_OF_RUNS, *_BACKUPS)
}


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


BUDGET = "dailyBudgetUsd"
"""The number of a tenant, by its name in an environment's `tenants`."""


Thresholds = Mapping[str, float | str]
"""Numbers by their names in THRESHOLDS, or the texts that stand for them."""


def groups(
    namespace: str,
    runbooks: str = "",
    *,
    runtime: bool = True,
    thresholds: Thresholds = THRESHOLDS,
    own: Mapping[str, Thresholds] = MappingProxyType({}),
    severities: Mapping[str, str] = SEVERITIES,
    promised: Mapping[str, Objective] = MappingProxyType({}),
    budget: float | str | None = None,
    collector: bool = False,
) -> list[dict[str, Any]]:
    """Return the rule groups of a PrometheusRule for all agents of a namespace.

    `thresholds` has all of THRESHOLDS; `own` has those of single workloads that differ, by the workload. `runbooks` is
    the URL of docs/alerts.md, or of a page of one's own with the same headings, or has `{alert}` in it; without `runtime`, only rules that need
    nothing but kube-state-metrics are returned. `promised` has the objectives of agents, by their names; `budget` is what the
    agents should spend in 24 hours, in US dollars; `collector` tells whether the OpenTelemetry Collector is in the namespace.
    """
    chosen = {**(_OF_THE_RUNTIME if runtime else {}), **_OF_KUBERNETES}
    if budget is not None and runtime:
        chosen["budget"] = _OF_A_BUDGET
        thresholds = {**thresholds, BUDGET: budget}
    if collector:
        chosen["collector"] = _OF_A_COLLECTOR
    made = [
        {
            "name": f"{namespace}.{name}",
            "rules": [
                _rule(alert, namespace, runbooks, thresholds, own, severities) for alert in alerts
            ],
        }
        for name, alerts in chosen.items()
    ]
    if promised:
        made.append(
            {
                "name": f"{namespace}.objectives",
                "rules": [
                    *objectives.constants(namespace, promised),
                    *objectives.rules(namespace, runbooks, severities),
                ],
            }
        )
    return made


def _rule(
    alert: Alert,
    namespace: str,
    runbooks: str,
    thresholds: Thresholds,
    own: Mapping[str, Thresholds],
    severities: Mapping[str, str],
) -> dict[str, Any]:
    expression = alert.expression
    for name, value in thresholds.items():
        if f"<{name}>" in expression:
            expression = _compared(expression, name, value, own)
    return alerting.rule(alert._replace(expression=expression), namespace, runbooks, severities)


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
    # Of a Rollout's ReplicaSets the owner is named like the workload.
    expression = re.sub(r"\bkube_replicaset_owner\{", rf"\g<0>owner_name{names},", expression)
    of_kinds = r"\b(kube_(deployment|statefulset)_\w+)\{"
    return re.sub(of_kinds, rf"\1{{\2{names},", expression)
