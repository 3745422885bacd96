"""Rules of prometheus-adapter, by which a HorizontalPodAutoscaler scales on metrics of the runtime."""

from __future__ import annotations

from typing import Any

_PODS = {
    "overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}},
}
_BY = "by (<<.GroupBy>>)"


def rules() -> dict[str, Any]:
    """Return the rules: one file for the whole cluster, to be merged with those of others."""
    return {
        "rules": [
            {
                "seriesQuery": 'agent_request_total{namespace!="",pod!=""}',
                "resources": _PODS,
                "name": {"matches": "^agent_request_total$", "as": "agent_requests_per_second"},
                "metricsQuery": f"sum(rate(<<.Series>>{{<<.LabelMatchers>>}}[2m])) {_BY}",
            },
            {
                "seriesQuery": 'agent_inflight_runs{namespace!="",pod!=""}',
                "resources": _PODS,
                "name": {"matches": "^agent_inflight_runs$", "as": "agent_inflight_runs"},
                "metricsQuery": f"sum(<<.Series>>{{<<.LabelMatchers>>}}) {_BY}",
            },
        ]
    }
