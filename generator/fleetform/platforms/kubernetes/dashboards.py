"""The dashboard of a namespace, in Grafana's own JSON: a row per question that people who run agents ask.

Queries name metrics of schemas/metrics.json and the series of objectives alone. They select by the namespace, and by the
variables `agent` and `workflow`; ranges are Grafana's `$__rate_interval`. No brace follows a dollar sign anywhere: Flux would
replace what is in it.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from fleetform.platforms.kubernetes.alerting import OF_ANSWERS, OF_WORK
from fleetform.records import NamedTuple

NAMESPACE, UID, TITLE = "@namespace@", "@uid@", "@title@"
"""Stand for what differs between namespaces."""
_OF = 'namespace="@namespace@",agent=~"$agent"'
_WORKFLOW = 'namespace="@namespace@",workflow=~"$workflow"'
_PAGE = 'namespace="@namespace@"'
_I = "[$__rate_interval]"
_DATASOURCE = {"type": "prometheus", "uid": "$datasource"}
_WIDTH, _HEIGHT = 8, 8
_COLUMNS = 24
LONGEST_UID = 40


class Panel(NamedTuple):
    """A panel: each query is an expression, and how a series of it is called."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    description: str = ""
    type: str = "timeseries"


def _rate(metric: str, by: str, *, of: str = _OF, more: str = "") -> str:
    """Return how many events there are in a second, by some labels."""
    return f"sum by ({by}) (rate({metric}{{{of}{more}}}{_I}))"


def _each(metric: str, by: str, *, of: str = _OF) -> str:
    """Return how many events there were between two points of the graph, by some labels."""
    return f"sum by ({by}) (increase({metric}{{{of}}}{_I}))"


def _quantile(share: float, metric: str, by: str = "", *, of: str = _OF, more: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return (
        f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{{{of}{more}}}{_I})))"
    )


def _now(function: str, metric: str, by: str, *, of: str = _OF) -> str:
    return f"{function} by ({by}) ({metric}{{{of}}})"


_BEGUN = _rate("agent_request_total", "agent", more=f",{OF_WORK}")
_OURS = ',error_type!="cancelled"'
_FAILED = _rate("agent_request_errors_total", "agent", more=_OURS)
_BEGUN_OF = _rate("agent_request_total", "agent, variant", more=f",{OF_WORK}")
_FAILED_OF = _rate("agent_request_errors_total", "agent, variant", more=_OURS)
_SLOWEST = _quantile(0.99, "agent_request_duration_seconds", "agent", more=f",{OF_ANSWERS}")
_BAD = f'{{namespace="{NAMESPACE}",agent=~"$agent"}}'

ROWS: Mapping[str, tuple[Panel, ...]] = {
    "Overview": (
        Panel(
            "Requests",
            "reqps",
            ((_BEGUN, "{{agent}}"),),
            "Requests that begin a run, in a second.",
        ),
        Panel(
            "Failed requests",
            "percentunit",
            ((f"clamp_max({_FAILED} / {_BEGUN}, 1)", "{{agent}}"),),
            "Of those that begin a run; what users cancel is no failure.",
        ),
        Panel(
            "Time of an answer",
            "s",
            (
                (
                    _quantile(0.5, "agent_request_duration_seconds", more=f",{OF_ANSWERS}"),
                    "half within",
                ),
                (_quantile(0.95, "agent_request_duration_seconds", more=f",{OF_ANSWERS}"), "95 %"),
            ),
        ),
        Panel(
            "Failures by cause",
            "short",
            ((_each("agent_request_errors_total", "error_type"), "{{error_type}}"),),
        ),
        Panel(
            "Requests by status",
            "reqps",
            ((_rate("agent_request_total", "status"), "{{status}}"),),
            "All requests, polls and lists too.",
        ),
        Panel(
            "Sessions",
            "short",
            ((_now("sum", "agent_active_sessions", "agent"), "{{agent}}"),),
            "With a run or an open stream.",
        ),
    ),
    "Objectives": (
        Panel(
            "Missed within an hour",
            "percentunit",
            ((f"agent:slo_bad:ratio_rate1h{_BAD}", "{{agent}} {{objective}}"),),
            "Requests that fail, and answers that are too slow, of agents with objectives.",
        ),
        Panel(
            "May be missed",
            "percentunit",
            ((f"1 - agent:slo_objective:ratio{_BAD}", "{{agent}} {{objective}}"),),
        ),
    ),
    "Model": (
        Panel(
            "Time of a request, 95 %",
            "s",
            ((_quantile(0.95, "agent_llm_request_duration_seconds", "model"), "{{model}}"),),
        ),
        Panel(
            "Time to the first token, 95 %",
            "s",
            ((_quantile(0.95, "agent_llm_time_to_first_token_seconds", "model"), "{{model}}"),),
        ),
        Panel(
            "Tokens in a second",
            "short",
            ((_rate("agent_llm_tokens_total", "model, type"), "{{model}} {{type}}"),),
        ),
        Panel(
            "Repeated requests",
            "short",
            ((_each("agent_llm_retries_total", "model, reason"), "{{model}} {{reason}}"),),
        ),
        Panel(
            "Answered by a fallback",
            "short",
            ((_each("agent_llm_fallbacks_total", "model"), "instead of {{model}}"),),
        ),
        Panel(
            "Compacted conversations",
            "short",
            (
                (_each("agent_compactions_total", "reason, outcome"), "{{reason}}: {{outcome}}"),
                (_each("agent_compaction_tokens_total", "agent"), "tokens saved, {{agent}}"),
            ),
        ),
    ),
    "Tools": (
        Panel(
            "Calls that did not succeed",
            "short",
            ((_each("agent_tool_calls_total", "tool, outcome"), "{{tool}} {{outcome}}"),),
        ),
        Panel(
            "Time of a call, 95 %",
            "s",
            ((_quantile(0.95, "agent_tool_duration_seconds", "tool"), "{{tool}}"),),
        ),
        Panel(
            "MCP servers that answer",
            "short",
            ((_now("min", "agent_mcp_server_up", "agent, server"), "{{agent}} → {{server}}"),),
            "1 while every replica reaches the server.",
        ),
        Panel(
            "Searches in documents",
            "short",
            (
                (
                    _quantile(0.5, "agent_retrieval_passages", "tool"),
                    "{{tool}}: passages, half",
                ),
                (
                    _each("agent_retrieval_below_threshold_total", "tool"),
                    "{{tool}}: all below the threshold",
                ),
            ),
        ),
        Panel(
            "Called by other agents",
            "short",
            ((_each("agent_called_total", "agent, caller"), "{{caller}} → {{agent}}"),),
        ),
        Panel(
            "Notices of approvals",
            "short",
            ((_each("agent_approval_notices_total", "outcome"), "{{outcome}}"),),
        ),
    ),
    "Memory": (
        Panel(
            "Time of an operation, 95 %",
            "s",
            (
                (
                    _quantile(0.95, "agent_memory_operation_seconds", "backend, op"),
                    "{{backend}} {{op}}",
                ),
            ),
        ),
        Panel(
            "Connections given up",
            "short",
            ((_each("agent_memory_reconnects_total", "agent"), "{{agent}}"),),
        ),
        Panel(
            "Sessions removed",
            "short",
            ((_each("agent_sessions_removed_total", "reason"), "{{reason}}"),),
        ),
        Panel(
            "Memories recalled",
            "short",
            ((_quantile(0.5, "agent_memories_recalled", "agent"), "{{agent}}: half"),),
        ),
        Panel(
            "Memories changed",
            "short",
            ((_each("agent_memories_changed_total", "change"), "{{change}}"),),
        ),
        Panel(
            "Conversations looked through",
            "short",
            ((_each("agent_memory_extractions_total", "outcome"), "{{outcome}}"),),
        ),
    ),
    "Saturation": (
        Panel(
            "Runs in flight, of those that may be",
            "percentunit",
            (
                (
                    f"{_now('sum', 'agent_inflight_runs', 'agent')} / {_now('sum', 'agent_run_limit', 'agent')}",
                    "{{agent}}",
                ),
            ),
        ),
        Panel(
            "Runs that wait", "short", ((_now("sum", "agent_queue_depth", "agent"), "{{agent}}"),)
        ),
        Panel(
            "Refused by a limit",
            "short",
            ((_each("agent_rate_limited_total", "agent, limit"), "{{agent}} {{limit}}"),),
        ),
        Panel(
            "Open streams",
            "short",
            ((_now("sum", "agent_inflight_streams", "agent"), "{{agent}}"),),
        ),
        Panel(
            "Slowest answers, of the time of a run",
            "percentunit",
            (
                (
                    f"{_SLOWEST} / {_now('max', 'agent_run_limit_seconds', 'agent')}",
                    "{{agent}}: 99 %",
                ),
            ),
            "At 1, runs are ended.",
        ),
    ),
    "Cost": (
        Panel(
            "USD in an hour, by agent",
            "currencyUSD",
            ((f"3600 * {_rate('agent_llm_cost_usd_total', 'agent')}", "{{agent}}"),),
            "Only models with a price count.",
        ),
        Panel(
            "USD in an hour, by model",
            "currencyUSD",
            (
                (f"3600 * {_rate('agent_llm_cost_usd_total', 'model')}", "{{model}}"),
                (f"3600 * {_rate('agent_embedding_cost_usd_total', 'model')}", "{{model}}"),
            ),
        ),
        Panel(
            "Spent of the budget of the day",
            "percentunit",
            (
                (
                    f"max by (agent) (agent_daily_cost_usd{{{_OF}}} / (agent_daily_budget_usd{{{_OF}}} > 0))",
                    "{{agent}}",
                ),
            ),
        ),
        Panel(
            "Tokens of embeddings in a second",
            "short",
            ((_rate("agent_embedding_tokens_total", "model"), "{{model}}"),),
        ),
    ),
    "Revisions and variants": (
        Panel(
            "Replicas by revision",
            "short",
            (
                (
                    _now("sum", "agent_build_info", "agent, version, config"),
                    "{{agent}} {{config}} ({{version}})",
                ),
            ),
            "During a rollout there are two of an agent.",
        ),
        Panel(
            "Requests by variant",
            "reqps",
            ((_BEGUN_OF, "{{agent}} {{variant}}"),),
        ),
        Panel(
            "Failed requests by variant",
            "percentunit",
            (
                (
                    f"clamp_max({_FAILED_OF} / {_BEGUN_OF}, 1)",
                    "{{agent}} {{variant}}",
                ),
            ),
        ),
        Panel(
            "Time of an answer by variant, 95 %",
            "s",
            (
                (
                    _quantile(
                        0.95,
                        "agent_request_duration_seconds",
                        "agent, variant",
                        more=f",{OF_ANSWERS}",
                    ),
                    "{{agent}} {{variant}}",
                ),
            ),
        ),
        Panel(
            "USD in an hour by variant",
            "currencyUSD",
            (
                (
                    f"3600 * {_rate('agent_llm_cost_usd_total', 'agent, variant')}",
                    "{{agent}} {{variant}}",
                ),
            ),
        ),
    ),
    "Workflows": (
        Panel(
            "Runs that ended",
            "short",
            (
                (
                    _each("workflow_runs_total", "workflow, phase, reason", of=_WORKFLOW),
                    "{{workflow}} {{phase}} {{reason}}",
                ),
            ),
        ),
        Panel(
            "Runs that are not over",
            "short",
            (
                (
                    _now("max", "workflow_runs_open", "workflow, phase", of=_WORKFLOW),
                    "{{workflow}} {{phase}}",
                ),
            ),
        ),
        Panel(
            "Waiting, and without a process",
            "s",
            (
                (
                    _now("max", "workflow_oldest_pending_seconds", "workflow", of=_WORKFLOW),
                    "{{workflow}}: waiting",
                ),
                (
                    _now("max", "workflow_longest_silent_seconds", "workflow", of=_WORKFLOW),
                    "{{workflow}}: silent",
                ),
            ),
        ),
        Panel(
            "Time of a run and of its steps, 95 %",
            "s",
            (
                (
                    _quantile(0.95, "workflow_run_duration_seconds", "workflow", of=_WORKFLOW),
                    "{{workflow}}",
                ),
                (
                    _quantile(
                        0.95, "workflow_step_duration_seconds", "workflow, step", of=_WORKFLOW
                    ),
                    "{{workflow}} {{step}}",
                ),
            ),
        ),
        Panel(
            "Attempts at steps",
            "short",
            (
                (
                    _each("workflow_step_attempts_total", "workflow, step, outcome", of=_WORKFLOW),
                    "{{workflow}} {{step}} {{outcome}}",
                ),
            ),
        ),
        Panel(
            "Taken over, left to others, told",
            "short",
            (
                (
                    _each("workflow_takeovers_total", "workflow", of=_WORKFLOW),
                    "{{workflow}}: taken over",
                ),
                (
                    _each("workflow_fenced_writes_total", "workflow", of=_WORKFLOW),
                    "{{workflow}}: left to another process",
                ),
                (
                    _each("workflow_notifications_total", "workflow, outcome", of=_WORKFLOW),
                    "{{workflow}}: {{outcome}}",
                ),
            ),
        ),
        Panel(
            "Requests to the API",
            "reqps",
            (
                (
                    _rate("workflow_request_total", "workflow, status", of=_WORKFLOW),
                    "{{workflow}} {{status}}",
                ),
                (
                    _rate("workflow_request_errors_total", "workflow, error_type", of=_WORKFLOW),
                    "{{workflow}} {{error_type}}",
                ),
            ),
        ),
        Panel(
            "Time of a request to the API, 95 %",
            "s",
            (
                (
                    _quantile(0.95, "workflow_request_duration_seconds", "workflow", of=_WORKFLOW),
                    "{{workflow}}",
                ),
            ),
        ),
        Panel(
            "Processes by revision",
            "short",
            (
                (
                    _now("sum", "workflow_build_info", "workflow, version, config", of=_WORKFLOW),
                    "{{workflow}} {{config}} ({{version}})",
                ),
            ),
        ),
    ),
    "Page of the fleet": (
        Panel(
            "Requests to the page",
            "reqps",
            (
                (_rate("page_request_total", "page, status", of=_PAGE), "{{page}} {{status}}"),
                (
                    _rate("page_request_errors_total", "page, error_type", of=_PAGE),
                    "{{page}} {{error_type}}",
                ),
            ),
        ),
        Panel(
            "Time of a request to the page, 95 %",
            "s",
            ((_quantile(0.95, "page_request_duration_seconds", "page", of=_PAGE), "{{page}}"),),
        ),
        Panel(
            "Processes of the page by version",
            "short",
            ((_now("sum", "page_build_info", "page, version", of=_PAGE), "{{page}} {{version}}"),),
        ),
    ),
}
"""Panels by the row that they are in; only the first row is open."""


def text(namespace: str, uid: str, title: str) -> str:
    """Return the dashboard of a namespace as JSON, a panel per line."""
    return template().replace(NAMESPACE, namespace).replace(UID, uid).replace(TITLE, title)


@cache
def template() -> str:
    """Return the dashboard with what stands for a namespace, its uid and its title."""
    board = _board()
    panels = board.pop("panels")
    head = ",\n  ".join(f"{json.dumps(key)}: {_compact(value)}" for key, value in board.items())
    rows = ",\n    ".join(_shown(panel) for panel in panels)
    return f'{{\n  {head},\n  "panels": [\n    {rows}\n  ]\n}}\n'


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _shown(panel: dict[str, Any]) -> str:
    if not panel.get("panels"):
        return _compact(panel)
    inner = ",\n      ".join(map(_compact, panel["panels"]))
    head = _compact({**panel, "panels": []})
    return head.replace('"panels": []', f'"panels": [\n      {inner}\n    ]')


def _board() -> dict[str, Any]:
    variables = [
        {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "hide": 0,
        },
        _variable(
            "agent", "Agent", f'label_values(agent_build_info{{namespace="{NAMESPACE}"}}, agent)'
        ),
        _variable(
            "workflow",
            "Workflow",
            f'label_values(workflow_build_info{{namespace="{NAMESPACE}"}}, workflow)',
        ),
    ]
    return {
        "uid": UID,
        "title": TITLE,
        "description": "Written by fleetform from the metrics of its runtime: changes made here are lost.",
        "tags": ["fleetform", "agents"],
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": 42,
        "timezone": "browser",
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "annotations": {"list": []},
        "templating": {"list": variables},
        "panels": _panels(),
    }


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _DATASOURCE,
        "query": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "hide": 0,
    }


def _panels() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    number, top = 1, 0
    for title, panels in ROWS.items():
        is_open = not made
        row: dict[str, Any] = {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": not is_open,
            "gridPos": {"x": 0, "y": top, "w": _COLUMNS, "h": 1},
        }
        top += 1
        inside = []
        for place, panel in enumerate(panels):
            line, column = divmod(place, _COLUMNS // _WIDTH)
            inside.append(_panel(panel, number + 1 + place, column * _WIDTH, top + line * _HEIGHT))
        number += 1 + len(panels)
        if is_open:
            top += -(-len(panels) // (_COLUMNS // _WIDTH)) * _HEIGHT
        made.append({**row, "panels": [] if is_open else inside})
        made += inside if is_open else []
    return made


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    about = {"description": panel.description} if panel.description else {}
    return {
        "id": number,
        "type": panel.type,
        "title": panel.title,
        **about,
        "datasource": _DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "custom": {"fillOpacity": 10, "showPoints": "never", "spanNulls": False},
            },
            "overrides": [],
        },
        "options": {
            "legend": {
                "displayMode": "list",
                "placement": "bottom",
                "showLegend": True,
                "calcs": [],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": _DATASOURCE,
                "expr": expression,
                "legendFormat": legend,
                "range": True,
            }
            for place, (expression, legend) in enumerate(panel.queries)
        ],
    }
