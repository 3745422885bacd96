"""Alerts use metrics and labels that exist, and cover a namespace without naming an agent."""

import json
import re
from pathlib import Path

import pytest
import yaml

from fleetform.contract import WORK as ROUTES
from fleetform.models.environment import AlertThresholds
from fleetform.models.observability import OwnThresholds
from fleetform.platforms.kubernetes.alerts import THRESHOLDS, groups
from fleetform.platforms.kubernetes.objectives import BURNS, Objective
from tests.promql import TARGET_LABELS, PromqlError, families, read

CATALOGUE = json.loads((Path(__file__).parents[2] / "schemas/metrics.json").read_text("utf-8"))
# Not ours, so listed by hand: metrics of kube-state-metrics, the kubelets and two controllers that the rules rely on.
OF_CONTROLLERS = TARGET_LABELS | {"exported_namespace", "name"}
OF_KUBERNETES = {
    "certmanager_certificate_expiration_timestamp_seconds": OF_CONTROLLERS,
    "certmanager_certificate_ready_status": OF_CONTROLLERS | {"condition"},
    "container_memory_working_set_bytes": TARGET_LABELS,
    "externalsecret_status_condition": OF_CONTROLLERS | {"condition", "status"},
    "kube_cronjob_next_schedule_time": TARGET_LABELS | {"cronjob"},
    "kube_cronjob_spec_suspend": TARGET_LABELS | {"cronjob"},
    "kube_cronjob_status_last_schedule_time": TARGET_LABELS | {"cronjob"},
    "kube_cronjob_status_last_successful_time": TARGET_LABELS | {"cronjob"},
    "kube_deployment_spec_replicas": TARGET_LABELS | {"deployment"},
    "kube_deployment_status_replicas_ready": TARGET_LABELS | {"deployment"},
    "kube_horizontalpodautoscaler_spec_max_replicas": TARGET_LABELS | {"horizontalpodautoscaler"},
    "kube_horizontalpodautoscaler_status_current_replicas": TARGET_LABELS
    | {"horizontalpodautoscaler"},
    "kube_job_created": TARGET_LABELS | {"job_name"},
    "kube_job_failed": TARGET_LABELS | {"job_name", "condition"},
    "kube_persistentvolumeclaim_status_phase": TARGET_LABELS | {"persistentvolumeclaim", "phase"},
    "kube_pod_container_info": TARGET_LABELS,
    "kube_pod_container_resource_limits": TARGET_LABELS | {"resource"},
    "kube_pod_container_status_last_terminated_reason": TARGET_LABELS | {"reason"},
    "kube_pod_container_status_restarts_total": TARGET_LABELS,
    "kube_pod_container_status_waiting_reason": TARGET_LABELS | {"reason"},
    "kube_pod_owner": TARGET_LABELS | {"owner_kind", "owner_name"},
    "kube_pod_spec_volumes_persistentvolumeclaims_info": TARGET_LABELS | {"persistentvolumeclaim"},
    "kube_replicaset_owner": TARGET_LABELS | {"replicaset", "owner_kind", "owner_name"},
    "kube_replicaset_spec_replicas": TARGET_LABELS | {"replicaset"},
    "kube_replicaset_status_ready_replicas": TARGET_LABELS | {"replicaset"},
    "kube_resourcequota": TARGET_LABELS | {"resourcequota", "resource", "type"},
    "kube_statefulset_replicas": TARGET_LABELS | {"statefulset"},
    "kube_statefulset_status_replicas_ready": TARGET_LABELS | {"statefulset"},
    "kubelet_volume_stats_capacity_bytes": TARGET_LABELS | {"persistentvolumeclaim"},
    "kubelet_volume_stats_used_bytes": TARGET_LABELS | {"persistentvolumeclaim"},
}
# Of the OpenTelemetry Collector, as the real one exports them: tests/integration/test_collector.py.
OF_COLLECTOR = {
    "otelcol_exporter_enqueue_failed_spans_total": {"exporter"},
    "otelcol_exporter_queue_capacity": {"exporter"},
    "otelcol_exporter_queue_size": {"exporter"},
    "otelcol_exporter_send_failed_spans_total": {"exporter"},
    "otelcol_receiver_refused_spans_total": {"receiver"},
}
SERIES = (
    families(CATALOGUE["metrics"])
    | OF_KUBERNETES
    | {name: TARGET_LABELS | labels for name, labels in OF_COLLECTOR.items()}
)
# What an alert is about, of which the summary has the name.
ABOUT = {
    "agent",
    "cronjob",
    "workflow",
    "job_name",
    "pod",
    "resourcequota",
    "persistentvolumeclaim",
    "name",
    "exporter",
}
WORK = set(ROUTES)
RULES = [
    rule for group in groups("ai-agents", budget=40, collector=True) for rule in group["rules"]
]
OF_A_NAMESPACE = {"AgentTenantBudgetLow", "CollectorRefusesSpans"}
"""Alerts about nothing smaller than a namespace."""

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])


@each_rule
def test_metrics_and_labels_of_a_rule_exist(rule):
    labels = read(rule["expr"], SERIES)
    assert labels is not None
    assert "namespace" in labels
    assert labels & ABOUT or rule["alert"] in OF_A_NAMESPACE


def test_every_threshold_is_compared_with_and_nothing_is_left_open():
    for name in THRESHOLDS:
        other = groups("ai-agents", thresholds={**THRESHOLDS, name: 0.375})
        assert "0.375" in json.dumps(other), name
    assert not re.search(r"<\w+>", json.dumps(groups("ai-agents")))


def test_the_models_defaults_are_those_of_the_alerts():
    own = AlertThresholds().model_dump(by_alias=True)
    assert own == THRESHOLDS
    assert {*OwnThresholds().model_dump(by_alias=True)} == {*THRESHOLDS}


OWN = {"billing": {"errorRatio": 0.2, "readyRatio": 0.9}, "chat-2": {"errorRatio": 0.2}}


def test_a_threshold_of_its_own_names_the_workload_once_for_and_once_against():
    rules = {r["alert"]: r["expr"] for group in groups("a", own=OWN) for r in group["rules"]}
    plain = {r["alert"]: r["expr"] for group in groups("a") for r in group["rules"]}
    changed = {name for name in rules if rules[name] != plain[name]}
    assert changed == {"AgentHighErrorRate", "AgentNotReady"}
    error = rules["AgentHighErrorRate"]
    others, chosen = error.split("\n  or\n")
    assert "> 0.05" in others
    assert "> 0.2" in chosen
    assert others.count('{agent!~"billing|chat-2",namespace="a"') == 3
    assert chosen.count('{agent=~"billing|chat-2",namespace="a"') == 3
    ready = rules["AgentNotReady"]
    assert ready.count('{owner_name!~"billing",') == ready.count('{owner_name=~"billing",') == 2
    assert ready.count('{deployment!~"billing",') == ready.count('{statefulset=~"billing",') == 2
    assert {"namespace", "agent"} <= (read(ready, SERIES) or set()) & (read(error, SERIES) or set())


@each_rule
def test_texts_use_only_labels_that_the_alert_carries(rule):
    labels = read(rule["expr"], SERIES) or frozenset()
    text = " ".join(rule["annotations"].values())
    assert set(re.findall(r"\$labels\.(\w+)", text)) <= labels
    named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    assert named & ABOUT or {"namespace", "resource"} <= named or rule["alert"] in OF_A_NAMESPACE


@each_rule
def test_every_selector_names_the_namespace_and_no_agent(rule):
    known = "|".join(sorted(SERIES))
    selectors = re.findall(rf"\b(?:{known})\{{(.*?)\}}[\s)\[,]", rule["expr"] + "\n")
    metrics = [name for name in re.findall(r"\w+", rule["expr"]) if name in SERIES]
    assert len(selectors) == len(metrics) > 0
    for selector in selectors:
        assert 'namespace="ai-agents"' in selector
        assert not re.search(r"\b(agent|deployment|statefulset|pod)[=!]", selector)


@each_rule
def test_ratios_of_requests_count_those_on_which_runs_begin(rule):
    """What only looks at runs is frequent and cheap, and would hide that they fail; agents call each other on A2A."""
    denominators = re.findall(r"\bagent_request_total\{(.*?)\}[\s\[)]", rule["expr"])
    for selector in denominators:
        (routes,) = re.findall(r'route=~"([^"]*)"', selector)
        assert set(routes.split("|")) == WORK
    times = re.findall(r"\bagent_request_duration_seconds_\w+\{(.*?)\}[\s\[)]", rule["expr"])
    for selector in times:
        (routes,) = re.findall(r'route=~"([^"]*)"', selector)
        assert set(routes.split("|")) == WORK - {"/ws"}


@each_rule
def test_what_may_be_redone_is_no_page(rule):
    pages = {"AgentHighErrorRate", "AgentNotReady", "AgentCertificateExpires", "WorkflowRunStuck"}
    assert (rule["labels"]["severity"] == "critical") == (rule["alert"] in pages)


def test_severities_and_runbooks_are_those_of_the_environment():
    urgent = {"page": "p1", "ticket": "p3"}
    made = groups(
        "a",
        "https://runbooks.example/{alert}#{alert}",
        severities=urgent,
        budget=40,
        collector=True,
    )
    for rule, plain in zip((r for g in made for r in g["rules"]), RULES, strict=True):
        expected = {"critical": "p1", "warning": "p3"}[plain["labels"]["severity"]]
        assert rule["labels"]["severity"] == expected
        name = rule["alert"]
        assert rule["annotations"]["runbook_url"] == f"https://runbooks.example/{name}#{name}"


@each_rule
def test_values_of_closed_labels_exist(rule):
    closed = {
        label["name"]: set(label["values"])
        for metric in CATALOGUE["metrics"]
        for label in metric["labels"]
        if "values" in label and metric["name"] in rule["expr"]
    }
    for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', rule["expr"]):
        if label in closed:
            wanted = set(value.split("|")) if "~" in operator else {value}
            assert wanted <= closed[label]


@each_rule
def test_a_rule_says_how_bad_it_is_and_what_to_do(rule):
    assert re.fullmatch(r"(Agent|Collector|Workflow)[A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert re.fullmatch(r"\d+m", rule["for"])
    assert rule["annotations"]["description"].endswith(".")


@each_rule
def test_metrics_that_texts_tell_to_look_at_exist(rule):
    names = re.findall(r"\bagent_\w+", rule["annotations"]["description"])
    assert set(names) <= {metric["name"] for metric in CATALOGUE["metrics"]}


def test_names_occur_once_and_groups_belong_to_their_namespace():
    names = [rule["alert"] for rule in RULES]
    assert sorted(set(names)) == sorted(names)
    here = {group["name"] for group in groups("ai-agents")}
    assert here.isdisjoint(group["name"] for group in groups("kagent"))


def test_two_calls_share_nothing():
    first = groups("a")
    first[0]["rules"][0]["labels"]["severity"] = "none"
    assert groups("a") != first


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("up == 0", "no metric is called up"),
        ('agent_queue_depth{route="/chat"} > 0', "no label route"),
        ("sum by (agent, user) (agent_queue_depth)", r"no series has \['user'\]"),
        ("sum(rate(agent_request_total[5m])) by (agent", "expected"),
        ("rate(agent_request_total) > 0", "rate wants a range"),
        ("agent_queue_depth / agent_request_total", "joins"),
        ("sum by (agent) (agent_queue_depth) and on (agent, pod) agent_queue_depth", "and on"),
        ("histogram_quantile(0.9, agent_request_duration_seconds_sum) > 1", "without le"),
        ("agent_queue_depth > 0 ;", "unknown token"),
        ("agent_queue_depth agent_queue_depth", "unexpected"),
        ('label_replace(agent_queue_depth, "a", "$1", "deployment", "(.+)")', "has deployment"),
    ],
)
def test_the_reader_of_expressions_refuses(expression, message):
    with pytest.raises(PromqlError, match=message):
        read(expression, SERIES)


def test_every_alert_has_a_section_that_its_runbook_link_leads_to():
    page = (Path(__file__).parents[2] / "docs/alerts.md").read_text("utf-8")
    headings = re.findall(r"^## (\w+)$", page, re.MULTILINE)
    burns = [f"AgentBudgetBurns{burn.long}" for burn in BURNS]
    assert sorted(headings) == sorted([*(rule["alert"] for rule in RULES), *burns])
    for group in groups("a", "https://docs.example/alerts.md", collector=True):
        for rule in group["rules"]:
            url = rule["annotations"]["runbook_url"]
            assert url == f"https://docs.example/alerts.md#{rule['alert'].lower()}"


def test_without_the_runtime_no_rule_needs_its_metrics():
    made = groups("ai-agents", runtime=False, collector=True)
    found = [rule for group in made for rule in group["rules"]]
    assert {"AgentNotReady", "AgentOutOfMemory"} <= {rule["alert"] for rule in found}
    ours = re.compile("|".join(rf"\b{metric['name']}" for metric in CATALOGUE["metrics"]))
    for rule in RULES:
        assert (rule in found) == (not ours.search(rule["expr"]))


QUERIES = [
    pytest.param(query, id=f"{page.stem}-{number}")
    for page in sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
    for number, query in enumerate(
        # A query may go on in lines that are indented.
        query
        for block in re.findall(r"^```promql\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
        for query in re.split(r"\n(?! )", block.strip("\n"))
    )
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_of_a_page_asks_for_series_that_there_are(query):
    assert read(query, SERIES)


def test_pages_have_queries():
    assert len(QUERIES) > 4


def inhibitions() -> list[dict]:
    page = (Path(__file__).parents[2] / "docs/alerts.md").read_text("utf-8")
    (block,) = re.findall(r"^```yaml\n(inhibit_rules:.*?)^```", page, re.M | re.S)
    return yaml.load(block, Loader=yaml.CSafeLoader)["inhibit_rules"]


def chosen(matchers: list[str]) -> dict[str, frozenset[str]]:
    """Return the alerts that all matchers choose, each with the labels that it carries."""
    known = dict(SERIES)
    found: dict[str, dict] = {}
    for group in groups("ai-agents", promised={"a": Objective(99, 95, "30.0", 20, 30)}):
        for rule in group["rules"]:
            labels = (read(rule["expr"], known) or frozenset()) | set(rule["labels"])
            if "record" in rule:
                known[rule["record"]] = labels
            else:
                found[rule["alert"]] = {**rule["labels"], "alertname": rule["alert"], "": labels}
    for matcher in matchers:
        (name, operator, value) = re.fullmatch(r'(\w+) (=~?) "(.*)"', matcher).groups()
        pattern = value if operator == "=~" else re.escape(value)
        found = {alert: has for alert, has in found.items() if re.fullmatch(pattern, has[name])}
        if operator == "=~":  # none of the words is that of no alert
            start, words = re.fullmatch(r"(\w+)\((.*)\)", value).groups()
            assert {f"{start}{word}" for word in words.split("|")} == set(found)
    return {alert: has[""] for alert, has in found.items()}


@pytest.mark.parametrize("rule", inhibitions(), ids=lambda rule: rule["source_matchers"][0])
def test_what_the_page_inhibits_are_alerts_that_have_the_labels(rule):
    sources, targets = chosen(rule["source_matchers"]), chosen(rule["target_matchers"])
    assert sources
    assert targets
    assert not {*sources} & {*targets}
    for labels in targets.values():
        assert {*rule["equal"]} <= labels
    if len(sources) == 1:
        assert all({*rule["equal"]} <= labels for labels in sources.values())
