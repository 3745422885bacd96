"""Which triggers can wake a workload from zero replicas."""

import pytest

from fleetform.platforms.kubernetes.rules.waking import blind
from fleetform.resolve import Fleet
from tests.fleet import AGENT, ENVIRONMENT, fleet, write


class Trigger:
    """As much of a trigger as the check reads."""

    def __init__(self, kind: str, **metadata: str) -> None:
        self.type, self.metadata = kind, metadata


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Fleet:
    other = AGENT.replace("name: helper", "name: other")
    files = {"agents/a.yaml": AGENT, "agents/b.yaml": other, "environments/prod.yaml": ENVIRONMENT}
    return fleet(write(tmp_path_factory.mktemp("fleet"), files))[0]


def is_blind(found: Fleet, kind: str, **metadata: str) -> bool:
    return bool(blind(found, found.specs["Agent"]["default", "helper"], Trigger(kind, **metadata)))


@pytest.mark.parametrize(
    "query",
    [
        'sum(agent_active_sessions{agent="helper"})',
        'sum(rate(agent_requests_total{agent="helper", status=~"2.."}[5m])) or vector(0)',
        'max_over_time(agent_active_sessions{agent=~"help.*"}[10m]) > 0',
        'sum by (agent) (agent_active_sessions{agent!="other"})',
        'agent_active_sessions{agent="helper"} / on (pod) agent_uptime_seconds{agent="helper"} offset 5m',
        "sum(agent_active_sessions{agent='helper'})",
    ],
)
def test_the_metrics_of_an_agent_are_gone_with_its_pods(found, query):
    assert is_blind(found, "prometheus", query=query)


@pytest.mark.parametrize(
    "query",
    [
        'sum(agent_active_sessions{agent="other"})',
        "sum(agent_active_sessions)",
        'sum(rabbitmq_queue_messages{queue="helper"})',
        'sum(rate(gateway_requests_total{service="helper"}[1m]))',
        'agent_active_sessions{agent="helper"} or queue_length',
        'sum(agent_active_sessions{agent=~"[broken"})',
        "vector(1)",
        "",
    ],
)
def test_other_metrics_are_there_without_it(found, query):
    assert not is_blind(found, "prometheus", query=query)


@pytest.mark.parametrize(
    ("kind", "metadata", "expected"),
    [
        ("cpu", {"value": "50"}, True),
        ("memory", {"value": "50"}, True),
        ("cron", {"start": "0 8 * * *"}, False),
        ("redis", {"address": "redis.data.svc:6379"}, False),
        ("metrics-api", {"url": "http://helper.default.svc/load"}, True),
        ("metrics-api", {"url": "http://helper.default:80/load"}, True),
        ("metrics-api", {"url": "http://other.default.svc/load"}, False),
        ("metrics-api", {"url": "not a URL"}, False),
        ("kubernetes-workload", {"podSelector": "app.kubernetes.io/name=helper"}, True),
        ("kubernetes-workload", {"podSelector": "app=x, app.kubernetes.io/instance=helper"}, True),
        ("kubernetes-workload", {"podSelector": "app.kubernetes.io/name=other"}, False),
    ],
)
def test_a_trigger_is_blind_if_it_measures_the_workload_itself(found, kind, metadata, expected):
    assert is_blind(found, kind, **metadata) is expected
