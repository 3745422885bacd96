"""The catalogue of metrics: everything that the runtime exports.

Alerts and dashboards are based on it. Label names must not be those that the Prometheus operator
gives the target (namespace, pod, service, endpoint, job, instance, container), which would turn
ours into `exported_…`. Nor may a label contain a session, a user or free text, since each value is
a series that never goes away.

A counter whose labels besides `agent` are closed sets is exported as 0 from the start: without the
zero, `rate` and `increase` miss its first event.
"""

from dataclasses import dataclass, field
from typing import Literal

from fleetform_runtime.sections.memory import STORE_TYPES
from fleetform_runtime.sections.tools import TOOL_TYPES

TARGET_LABELS = frozenset(
    ("namespace", "pod", "service", "endpoint", "job", "instance", "container")
)

# Objectives for latency are bounds of these: only there is known how many answers were faster.
REQUEST_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
"""Upper bounds of the time of a request, in seconds."""
_CALL = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_STORE = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label; `values` is the closed set of its values, empty if they come from a spec."""

    name: str
    help: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric family; `name` is that of the exposition, including a counter's `_total`."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    unit: str
    labels: tuple[Label, ...]
    buckets: tuple[float, ...] = field(default=())


_AGENT = Label(name="agent", help="Name of the agent.")
_MODEL = Label(name="model", help="Name by which sessions choose the model.")
_TOOL = Label(
    name="tool", help="Name of the tool; `other` after the first 500, `unknown` for none."
)
_EMBEDDING = Label(name="model", help="The provider's name for the model of the vectors.")
_ROUTE = Label(
    name="route",
    help="Template of the path, never the path itself.",
    values=(
        "/chat",
        "/agents/{name}/chat",
        "/ws",
        "/v1/chat/completions",
        "/v1/responses",
        "/ag-ui",
        "/v1/models",
        "/v1/models/{id}",
        "/sessions",
        "/sessions/{id}",
        "/sessions/{id}/messages",
        "/.well-known/agent-card.json",
        "/.well-known/agent.json",
        "/a2a",
        "/a2a/tasks",
        *(
            f"/a2a{prefix}{path}"
            for prefix, card in (("", "/extendedAgentCard"), ("/v1", "/card"))
            for path in (
                "/message:send",
                "/message:stream",
                "/tasks/{id}",
                "/tasks/{id}:cancel",
                "/tasks/{id}:subscribe",
                "/tasks/{id}/pushNotificationConfigs",
                "/tasks/{id}/pushNotificationConfigs/{config}",
                card,
            )
        ),
        "/memories",
        "/memories/{id}",
        "/runs",
        "/runs/{id}",
        "/runs/{id}/events",
        "/runs/{id}/cancel",
        "/runs/{id}/approvals",
        "/info",
        "/",
        "/assets/{file}",
        "/ui.json",
        "other",
    ),
)
WORK = frozenset(
    (
        *("/chat", "/agents/{name}/chat", "/ws", "/v1/chat/completions", "/v1/responses", "/ag-ui"),
        *("/a2a", "/a2a/message:send", "/a2a/message:stream"),
        *("/a2a/v1/message:send", "/a2a/v1/message:stream"),
    )
)
"""Routes on which runs begin."""
ANSWERS = WORK - {"/ws"}
"""Those of which the time is that of an answer: a WebSocket stays as long as its client."""
RESTING = frozenset(_ROUTE.values) - WORK
VARIANT = Label(
    name="variant",
    help="Variant of the session, `base` for the agent itself, empty where no run began; only of agents with variants.",
)
_STATUS = Label(
    name="status",
    help="Class of the HTTP status; a stream that ends in an error event counts as 5xx.",
    values=("2xx", "3xx", "4xx", "5xx"),
)
_ERROR = Label(
    name="error_type",
    help="Cause of a failure that is not the caller's fault.",
    values=("model", "tool", "memory", "timeout", "overload", "cancelled", "internal"),
)

METRICS: tuple[Metric, ...] = (
    Metric(
        name="agent_build_info",
        type="gauge",
        help="Always 1; its labels identify the agent's runtime and configuration.",
        unit="",
        labels=(
            _AGENT,
            Label(name="version", help="Version of the runtime."),
            Label(name="config", help="First 8 hex digits of the configuration's hash."),
        ),
    ),
    Metric(
        name="agent_run_limit_seconds",
        type="gauge",
        help="How long a run may take: `limits.runSeconds`.",
        unit="seconds",
        labels=(_AGENT,),
    ),
    Metric(
        name="agent_request_total",
        type="counter",
        help="Answered requests, without probes and metrics.",
        unit="requests",
        labels=(_AGENT, _ROUTE, _STATUS, VARIANT),
    ),
    Metric(
        name="agent_request_errors_total",
        type="counter",
        help="Requests that failed through no fault of the caller.",
        unit="requests",
        labels=(_AGENT, _ERROR, VARIANT),
    ),
    Metric(
        name="agent_request_duration_seconds",
        type="histogram",
        help="Time from the first byte of a request to the last byte of its response.",
        unit="seconds",
        labels=(_AGENT, _ROUTE, VARIANT),
        buckets=REQUEST_BUCKETS,
    ),
    Metric(
        name="agent_active_sessions",
        type="gauge",
        help="Sessions with a run or an open stream in this replica.",
        unit="sessions",
        labels=(_AGENT,),
    ),
    Metric(
        name="agent_inflight_streams",
        type="gauge",
        help="Open event streams and WebSockets.",
        unit="streams",
        labels=(_AGENT,),
    ),
    Metric(
        name="agent_inflight_runs",
        type="gauge",
        help="Runs that are being executed; one that waits for a person is none.",
        unit="runs",
        labels=(_AGENT,),
    ),
    Metric(
        name="agent_run_limit",
        type="gauge",
        help="How many runs may be executed at once: `limits.concurrentRuns`.",
        unit="runs",
        labels=(_AGENT,),
    ),
    Metric(
        name="agent_queue_depth",
        type="gauge",
        help="Runs waiting in the queue.",
        unit="runs",
        labels=(_AGENT,),
    ),
    Metric(
        name="agent_approval_notices_total",
        type="counter",
        help="What the webhook of approvals was told, or could not be.",
        unit="notices",
        labels=(
            _AGENT,
            Label(
                name="outcome",
                help="Whether the webhook took it; what waits and was `lost` is tried again.",
                values=("told", "lost"),
            ),
        ),
    ),
    Metric(
        name="agent_called_total",
        type="counter",
        help="Runs that another agent asked for.",
        unit="runs",
        labels=(
            _AGENT,
            Label(
                name="caller",
                help="Name of that agent as it says; `other` after the first 100.",
            ),
        ),
    ),
    Metric(
        name="agent_rate_limited_total",
        type="counter",
        help="Requests refused by a limit.",
        unit="requests",
        labels=(
            _AGENT,
            Label(
                name="limit",
                help="Limit that refused the request.",
                values=("requests", "tokens", "cost", "concurrency", "queue", "streams", "share"),
            ),
        ),
    ),
    Metric(
        name="agent_daily_budget_usd",
        type="gauge",
        help="What the agent may spend in a day: `limits.dailyCostUsd`, 0 without a budget.",
        unit="USD",
        labels=(_AGENT,),
    ),
    Metric(
        name="agent_daily_cost_usd",
        type="gauge",
        help="What was spent of the budget since midnight UTC, as far as this replica has seen; 0 without a budget.",
        unit="USD",
        labels=(_AGENT,),
    ),
    Metric(
        name="agent_llm_request_duration_seconds",
        type="histogram",
        help="Duration of one request to a model, including its stream.",
        unit="seconds",
        labels=(_AGENT, _MODEL),
        buckets=REQUEST_BUCKETS,
    ),
    Metric(
        name="agent_llm_time_to_first_token_seconds",
        type="histogram",
        help="Time from a request to a model to the first event of its response.",
        unit="seconds",
        labels=(_AGENT, _MODEL),
        buckets=_CALL,
    ),
    Metric(
        name="agent_llm_tokens_total",
        type="counter",
        help="Tokens reported by models.",
        unit="tokens",
        labels=(
            _AGENT,
            _MODEL,
            Label(name="type", help="Direction.", values=("input", "output")),
            VARIANT,
        ),
    ),
    Metric(
        name="agent_llm_cost_usd_total",
        type="counter",
        help="Cost of the tokens, from the configured prices.",
        unit="USD",
        labels=(_AGENT, _MODEL, VARIANT),
    ),
    Metric(
        name="agent_llm_retries_total",
        type="counter",
        help="Retried requests to a model.",
        unit="requests",
        labels=(
            _AGENT,
            _MODEL,
            Label(
                name="reason",
                help="Reason for the retry.",
                values=("rate_limited", "server_error", "timeout", "connection", "invalid"),
            ),
        ),
    ),
    Metric(
        name="agent_llm_fallbacks_total",
        type="counter",
        help="Responses from a fallback; model is the one that failed.",
        unit="requests",
        labels=(_AGENT, _MODEL),
    ),
    Metric(
        name="agent_tool_calls_total",
        type="counter",
        help="Tool calls.",
        unit="calls",
        labels=(
            _AGENT,
            _TOOL,
            Label(name="type", help="Type of tool.", values=(*TOOL_TYPES, "mcp", "memory")),
            Label(
                name="outcome",
                help="How the call ended.",
                values=("ok", "error", "timeout", "invalid", "denied"),
            ),
        ),
    ),
    Metric(
        name="agent_tool_duration_seconds",
        type="histogram",
        help="Duration of one tool call, without waiting for approval.",
        unit="seconds",
        labels=(_AGENT, _TOOL),
        buckets=_CALL,
    ),
    Metric(
        name="agent_retrieval_passages",
        type="histogram",
        help="Passages that one search in documents has returned.",
        unit="passages",
        labels=(_AGENT, _TOOL),
        buckets=(0, 1, 2, 3, 5, 10, 20, 50, 100),
    ),
    Metric(
        name="agent_retrieval_below_threshold_total",
        type="counter",
        help="Searches of which `scoreThreshold` has hidden every passage.",
        unit="searches",
        labels=(_AGENT, _TOOL),
    ),
    Metric(
        name="agent_embedding_tokens_total",
        type="counter",
        help="Tokens of questions and memories that were turned into vectors.",
        unit="tokens",
        labels=(_AGENT, _EMBEDDING),
    ),
    Metric(
        name="agent_embedding_cost_usd_total",
        type="counter",
        help="Cost of those tokens, from the configured price.",
        unit="USD",
        labels=(_AGENT, _EMBEDDING),
    ),
    Metric(
        name="agent_compactions_total",
        type="counter",
        help="Compactions of conversations; their requests to models count among those of models.",
        unit="",
        labels=(
            _AGENT,
            Label(
                name="reason",
                help="What was exceeded: tokens, the number of messages, or what the model takes.",
                values=("tokens", "messages", "refused"),
            ),
            Label(
                name="outcome",
                help="What was done: old results cut, old messages summarised, or no summary could be written.",
                values=("cut", "summarised", "failed"),
            ),
        ),
    ),
    Metric(
        name="agent_compaction_tokens_total",
        type="counter",
        help="Tokens that models did not have to read, of the requests before which a conversation was compacted.",
        unit="tokens",
        labels=(_AGENT,),
    ),
    Metric(
        name="agent_memories_recalled",
        type="histogram",
        help="Memories that were put beside one question.",
        unit="memories",
        labels=(_AGENT,),
        buckets=(0, 1, 2, 3, 5, 10, 20, 50),
    ),
    Metric(
        name="agent_memories_changed_total",
        type="counter",
        help="What became of memories, but for those that have expired.",
        unit="memories",
        labels=(
            _AGENT,
            Label(
                name="change",
                help="`outdated` and `evicted` were removed unasked, `deleted` since a user wanted it.",
                values=("added", "updated", "outdated", "evicted", "deleted"),
            ),
        ),
    ),
    Metric(
        name="agent_memory_extractions_total",
        type="counter",
        help="Conversations that were looked through for what to remember.",
        unit="conversations",
        labels=(
            _AGENT,
            Label(
                name="outcome",
                help="`dropped`: its user has had something deleted meanwhile, or the conversation.",
                values=("learned", "nothing", "dropped", "failed"),
            ),
        ),
    ),
    Metric(
        name="agent_mcp_server_up",
        type="gauge",
        help="1 while the MCP server answers, else 0.",
        unit="",
        labels=(_AGENT, Label(name="server", help="Name of the MCP server.")),
    ),
    Metric(
        name="agent_memory_operation_seconds",
        type="histogram",
        help="Duration of one operation of the conversation store.",
        unit="seconds",
        labels=(
            _AGENT,
            Label(
                name="backend",
                help="Type of store.",
                values=STORE_TYPES,
            ),
            Label(
                name="op", help="Operation.", values=("load", "append", "list", "update", "delete")
            ),
        ),
        buckets=_STORE,
    ),
    Metric(
        name="agent_memory_reconnects_total",
        type="counter",
        help="How often all connections to the store were given up for new ones, as behind a failover.",
        unit="",
        labels=(_AGENT,),
    ),
    Metric(
        name="agent_sessions_removed_total",
        type="counter",
        help="Sessions that were deleted without being asked to; Redis deletes expired ones uncounted.",
        unit="sessions",
        labels=(
            _AGENT,
            Label(
                name="reason",
                help="What the session had to give way to: its age, or a limit.",
                values=("expired", "user", "sessions", "bytes"),
            ),
        ),
    ),
)
"""Every metric, in the order in which a request meets them."""

_WORKFLOW = Label(name="workflow", help="Name of the workflow.")
_STEP = Label(name="step", help="Name of the step.")
_RUN = (1, 5, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400)

WORKFLOW_METRICS: tuple[Metric, ...] = (
    Metric(
        name="workflow_build_info",
        type="gauge",
        help="Always 1; its labels identify the runtime and the configuration.",
        unit="",
        labels=(
            _WORKFLOW,
            Label(name="version", help="Version of the runtime."),
            Label(name="config", help="First 8 hex digits of the configuration's hash."),
        ),
    ),
    Metric(
        name="workflow_request_total",
        type="counter",
        help="Answered requests, without probes and metrics.",
        unit="requests",
        labels=(
            _WORKFLOW,
            Label(
                name="route",
                help="Template of the path, never the path itself.",
                values=(
                    "/",
                    "/assets/{file}",
                    "/ui.json",
                    "/info",
                    "/workflows/{name}/runs",
                    "/runs",
                    "/runs/{id}",
                    "/runs/{id}/events",
                    "/runs/{id}/cancel",
                    "/runs/{id}/retry",
                    "/runs/{id}/steps/{step}",
                    "/runs/{id}/steps/{step}/approvals",
                    "other",
                ),
            ),
            _STATUS,
        ),
    ),
    Metric(
        name="workflow_request_errors_total",
        type="counter",
        help="Requests that failed through no fault of the caller.",
        unit="requests",
        labels=(
            _WORKFLOW,
            Label(
                name="error_type",
                help="Cause of a failure that is not the caller's fault.",
                values=("memory", "timeout", "overload", "internal"),
            ),
        ),
    ),
    Metric(
        name="workflow_request_duration_seconds",
        type="histogram",
        help="Duration of a request, to the end of its answer.",
        unit="seconds",
        labels=(_WORKFLOW, Label(name="route", help="As of workflow_request_total.")),
        buckets=REQUEST_BUCKETS,
    ),
    Metric(
        name="workflow_runs_total",
        type="counter",
        help="Runs that this process has carried to their end.",
        unit="runs",
        labels=(
            _WORKFLOW,
            Label(name="phase", help="How they ended.", values=("Succeeded", "Failed")),
            Label(
                name="reason",
                help="Why; empty for those that succeeded.",
                values=(
                    "",
                    "Timeout",
                    "Cancelled",
                    "Replaced",
                    "StepFailed",
                    "OutputMissing",
                    "OutputTooLarge",
                ),
            ),
        ),
    ),
    Metric(
        name="workflow_runs_open",
        type="gauge",
        help="Runs that are not over, of all processes together: each of them tells the same number.",
        unit="runs",
        labels=(
            _WORKFLOW,
            Label(
                name="phase",
                help="`Pending` if nobody has begun.",
                values=("Pending", "Running"),
            ),
        ),
    ),
    Metric(
        name="workflow_oldest_pending_seconds",
        type="gauge",
        help="How long the oldest run that nobody has begun has been waiting.",
        unit="seconds",
        labels=(_WORKFLOW,),
    ),
    Metric(
        name="workflow_longest_silent_seconds",
        type="gauge",
        help="For how long a run that was begun has been without a process that is at work on it.",
        unit="seconds",
        labels=(_WORKFLOW,),
    ),
    Metric(
        name="workflow_run_duration_seconds",
        type="histogram",
        help="Duration of a run from when it was asked for.",
        unit="seconds",
        labels=(_WORKFLOW,),
        buckets=_RUN,
    ),
    Metric(
        name="workflow_step_duration_seconds",
        type="histogram",
        help="Duration of a step with all of its attempts.",
        unit="seconds",
        labels=(
            _WORKFLOW,
            _STEP,
            Label(
                name="outcome",
                help="How it ended.",
                values=("Succeeded", "Failed", "Skipped"),
            ),
        ),
        buckets=_RUN,
    ),
    Metric(
        name="workflow_step_attempts_total",
        type="counter",
        help="Attempts at a step.",
        unit="attempts",
        labels=(
            _WORKFLOW,
            _STEP,
            Label(
                name="outcome",
                help="`crashed`: the agent's process ended meanwhile, which is no failure of the step's.",
                values=("succeeded", "failed", "crashed"),
            ),
        ),
    ),
    Metric(
        name="workflow_takeovers_total",
        type="counter",
        help="Runs that went on here after another process had begun them.",
        unit="runs",
        labels=(_WORKFLOW,),
    ),
    Metric(
        name="workflow_fenced_writes_total",
        type="counter",
        help="Runs that this process had to leave to another one.",
        unit="runs",
        labels=(_WORKFLOW,),
    ),
    Metric(
        name="workflow_notifications_total",
        type="counter",
        help="Failed runs of which the webhook was told, or could not be told.",
        unit="runs",
        labels=(
            _WORKFLOW,
            Label(name="outcome", help="Whether it has taken it.", values=("told", "lost")),
        ),
    ),
)
"""What processes export that execute workflows."""

_PAGE = Label(name="page", help="Name of the page of the fleet.")

PAGE_METRICS: tuple[Metric, ...] = (
    Metric(
        name="page_build_info",
        type="gauge",
        help="Always 1; its label identifies the runtime.",
        unit="",
        labels=(_PAGE, Label(name="version", help="Version of the runtime.")),
    ),
    Metric(
        name="page_request_total",
        type="counter",
        help="Answered requests to the page of a fleet, without probes and metrics.",
        unit="requests",
        labels=(
            _PAGE,
            Label(
                name="route",
                help="Template of the path, never the path itself.",
                values=("/", "/assets/{file}", "/ui.json", "/agents.json", "other"),
            ),
            _STATUS,
        ),
    ),
    Metric(
        name="page_request_errors_total",
        type="counter",
        help="Requests to the page of a fleet that failed through no fault of the caller.",
        unit="requests",
        labels=(
            _PAGE,
            Label(name="error_type", help="Cause.", values=("internal",)),
        ),
    ),
    Metric(
        name="page_request_duration_seconds",
        type="histogram",
        help="Duration of a request to the page of a fleet.",
        unit="seconds",
        labels=(_PAGE, Label(name="route", help="As of page_request_total.")),
        buckets=REQUEST_BUCKETS,
    ),
)
"""What the page of a fleet exports."""
