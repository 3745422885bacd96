"""Objectives are data that one set of rules is joined with, and compare what the runtime exports."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fleetform.contract import REQUEST_BUCKETS
from fleetform.platforms.kubernetes import alerts
from fleetform.platforms.kubernetes.objectives import BURNS, Objective, constants, label
from fleetform_runtime.telemetry.metrics import Metrics
from tests.fleet import API, fleetform, read_yaml, write
from tests.promql import families, read

ROOT = Path(__file__).parents[2]
SERIES = families(json.loads((ROOT / "schemas/metrics.json").read_text("utf-8"))["metrics"])
PROMISED = {"shop": Objective(99.5, 95, "30.0", 20, 30), "bulk": Objective(99, None, "", 5, 90)}
(RULES,) = [
    group["rules"]
    for group in alerts.groups("ns", promised=PROMISED)
    if group["name"] == "ns.objectives"
]


def test_each_rule_reads_series_that_are_recorded_before_it_or_exported():
    known = dict(SERIES)
    for rule in RULES:
        labels = read(rule["expr"], known)
        if "record" in rule:
            found = (labels or frozenset()) | set(rule["labels"])
            assert {"namespace", "agent"} <= found
            # Several rules record one name, for both objectives.
            assert known.setdefault(rule["record"], found) == found
        else:
            assert labels == {"namespace", "agent", "objective"}


def test_what_is_recorded_is_used():
    text = " ".join(rule["expr"] for rule in RULES)
    names = {rule["record"] for rule in RULES if "record" in rule}
    assert all(f"{name}{{" in text for name in names)


def test_rules_name_no_agent_but_in_the_constants():
    for rule in RULES:
        if not rule["expr"].startswith("vector("):
            assert "shop" not in json.dumps(rule)
            assert 'namespace="ns"' in rule["expr"]
    assert [rule for rule in RULES if rule["expr"].startswith("vector(")] == constants(
        "ns", PROMISED
    )


def constant(agent: str, record: str, objective: str) -> Any:
    (found,) = [
        rule["expr"]
        for rule in constants("ns", PROMISED)
        if (rule["record"], rule["labels"]["agent"]) == (record, agent)
        and rule["labels"].get("objective") == objective
    ]
    return eval(found.removeprefix("vector"), {"__builtins__": {}})


def test_an_objective_is_what_the_spec_says():
    assert constant("shop", "agent:slo_objective:ratio", "availability") == 0.995
    assert constant("shop", "agent:slo_objective:ratio", "latency") == 0.95
    assert constant("shop", "agent:slo_allowed:ratio", "availability") == pytest.approx(0.005)
    # Of a window three times as long as the factors are for, three times as much may be spent in an hour.
    assert constant("bulk", "agent:slo_allowed:ratio", "availability") == pytest.approx(0.03)
    assert constant("bulk", "agent:slo_requests:min", "availability") == 5


def test_an_alert_fires_when_its_part_of_the_budget_of_a_month_is_spent():
    hours = {"1h": 1, "6h": 6, "1d": 24, "3d": 72}
    spent = [round(burn.factor * hours[burn.long] / (30 * 24), 4) for burn in BURNS]
    assert spent == [0.02, 0.05, 0.1, 0.1]


def test_the_label_of_a_bucket_is_the_one_that_the_runtime_exports():
    metrics = Metrics("a")
    metrics.observe("agent_request_duration_seconds", 1, "/chat")
    text = metrics.text().decode()
    exported = set(re.findall(r'agent_request_duration_seconds_bucket\{.*le="([^"]+)"', text))
    assert {label(bound) for bound in REQUEST_BUCKETS} == exported - {"+Inf"}


PROD = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  capabilities: [prometheus-operator]
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
  defaults: {{Agent: {{slo: {{availability: 99, minRequests: 50}}}}}}
"""


def agent(name: str, spec: str = "") -> str:
    return f"""{API}
kind: Agent
metadata: {{name: {name}}}
spec:
  systemPrompt: hi
  model: {{provider: openai, name: gpt-4o, apiKeySecretRef: {{name: openai, key: key}}}}
  auth: {{type: none}}
  memory: {{type: redis, redis: {{host: redis.example.com, tls: {{enabled: true}}}}}}
{spec}---
"""


def promised(folder: Path, *agents: str, prod: str = PROD) -> dict[tuple[str, str], str]:
    """Render; return the objective of each agent, as an expression."""
    write(folder, {"agents/a.yaml": "".join(agents), "environments/prod.yaml": prod})
    done = fleetform("render", "--env", "prod", cwd=folder)
    assert done.code == 0, done.err
    (file,) = folder.rglob("rendered/**/fleetform-alerts.prometheusrule.yaml")
    (rule,) = read_yaml(file.read_text("utf-8"))
    return {
        (found["labels"]["agent"], found["labels"]["objective"]): found["expr"]
        for group in rule["spec"]["groups"]
        for found in group["rules"]
        if found.get("record") == "agent:slo_objective:ratio"
    }


def test_an_environment_has_defaults_and_an_agent_its_own(tmp_path):
    own = "  slo: {availability: 99.9, latency: {seconds: 2.5, percent: 95}}\n"
    assert promised(tmp_path, agent("plain"), agent("own", own)) == {
        ("plain", "availability"): "vector(99 / 100)",
        ("own", "availability"): "vector(99.9 / 100)",
        ("own", "latency"): "vector(95 / 100)",
    }


def test_who_is_not_counted_under_its_own_name_promises_nothing(tmp_path):
    silent = "  observability: {metrics: {enabled: false}}\n"
    image = (
        '{image: {repository: example.com/own, tag: "1"}, ports: [{name: http, containerPort: 80}]}'
    )
    own = f"{API}\nkind: Agent\nmetadata: {{name: own}}\nspec: {{container: {image}}}\n---\n"
    canary = f"{API}\nkind: Agent\nmetadata: {{name: next}}\nspec: {{canaryOf: plain}}\n---\n"
    gateway = "{host: a.example.com, gateway: {name: public, namespace: gateways}}"
    prod = PROD.replace("[prometheus-operator]", "[prometheus-operator, gateway-api]")
    exposed = agent("plain", "  expose: {}\n")
    found = promised(
        tmp_path,
        exposed,
        agent("silent", silent),
        own,
        canary,
        prod=prod + f"  expose: {gateway}\n",
    )
    assert found == {("plain", "availability"): "vector(99 / 100)"}
    write(
        tmp_path, {"agents/next.yaml": canary.replace("plain}", "plain, slo: {availability: 99}}")}
    )
    (tmp_path / "agents/a.yaml").write_text(exposed, "utf-8")
    said = fleetform("validate", "agents", "--env", "prod", cwd=tmp_path).err
    assert "`slo` has no effect: requests to a canary are counted as those of `plain`" in said
