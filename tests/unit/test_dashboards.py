"""The dashboard asks for what the runtime exports, all of it, and Grafana can show it."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetform.platforms.kubernetes import dashboards
from fleetform.platforms.kubernetes.alerts import groups
from fleetform.platforms.kubernetes.dashboards import ROWS, template, text
from fleetform.platforms.kubernetes.objectives import Objective
from tests.dashboards import Board, faults, panels, targets
from tests.fleet import API, fleetform, read_yaml, write
from tests.promql import TARGET_LABELS, families, read

ROOT = Path(__file__).parents[2]
CATALOGUE = json.loads((ROOT / "schemas/metrics.json").read_text("utf-8"))["metrics"]
RECORDED = {
    rule["record"]: TARGET_LABELS | {"agent", "objective"}
    for group in groups("ns", promised={"a": Objective(99, 95, "30.0", 20, 30)})
    for rule in group["rules"]
    if "record" in rule
}
SERIES = families(CATALOGUE) | RECORDED
BOARD: Board = json.loads(text("ai-agents", "fleetform-1", "Agents"))
QUERIES = [(panel["title"], target) for panel, target in targets(BOARD)]
NOT_SHOWN: dict[str, str] = {}
"""Metrics of the catalogue that are on no panel, each with the reason."""

each_query = pytest.mark.parametrize(
    ("title", "target"), QUERIES, ids=[f"{title} {target['refId']}" for title, target in QUERIES]
)


def plain(expression: str) -> str:
    """Return an expression as Prometheus gets it from Grafana."""
    found = expression.replace("$__rate_interval", "5m")
    return found.replace('"$agent"', '".*"').replace('"$workflow"', '".*"')


def test_nothing_is_wrong_with_it():
    assert faults(BOARD) == []
    assert not re.search(r"@\w+@", text("ns", "u", "t"))


def test_every_metric_of_the_catalogue_is_on_a_panel_or_has_a_reason_not_to_be():
    asked = " ".join(target["expr"] for _, target in QUERIES)
    shown = {
        metric["name"]
        for metric in CATALOGUE
        if re.search(rf"\b{metric['name']}(_bucket|_count|_sum)?\{{", asked)
    }
    assert {metric["name"] for metric in CATALOGUE} - shown == set(NOT_SHOWN)


@each_query
def test_metrics_labels_and_names_of_series_exist(title, target):
    del title
    labels = read(plain(target["expr"]), SERIES)
    assert labels is not None
    assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels
    # What tells series apart is in their names.
    apart = labels - {"namespace"} if "namespace" not in target["legendFormat"] else labels
    named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    if not target["expr"].startswith(("agent:", "1 - agent:")):
        assert apart == named


@each_query
def test_every_query_is_of_the_namespace_and_of_what_was_chosen(title, target):
    del title
    selectors = re.findall(
        r"\b(?:agent|workflow|page)[_:][\w:]+\{(.*?)\}[\s)\[,]", target["expr"] + " "
    )
    assert selectors
    for selector in selectors:
        assert 'namespace="ai-agents"' in selector
        # A fleet has one page: nobody chooses among them.
        chosen = r'(agent=~"\$agent"|workflow=~"\$workflow")'
        assert "page_" in target["expr"] or re.search(chosen, selector)


def test_titles_differ_and_rows_follow_the_questions():
    titles = [panel["title"] for panel in panels(BOARD)]
    assert sorted(set(titles)) == sorted(titles)
    assert [row["title"] for row in BOARD["panels"] if row["type"] == "row"] == [*ROWS]


def broken(change: Callable[[Board], object]) -> Board:
    board = copy.deepcopy(BOARD)
    change(board)
    return board


def first(board: Board) -> Board:
    return next(panels(board))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda b: first(b)["gridPos"].update(w=30), "out of the grid"),
        (lambda b: first(b).pop("title"), "no title"),
        (lambda b: first(b).update(type="timeserie"), "type timeserie"),
        (lambda b: first(b).update(id=b["panels"][2]["id"]), "twice"),
        (lambda b: b.update(uid="x" * 60), "uid"),
        (lambda b: b.update(graphTooltip=9), "graphTooltip 9"),
        (lambda b: first(b)["targets"][0].pop("datasource"), "data source"),
        (lambda b: first(b)["gridPos"].update(y=8), "over"),
        (lambda b: first(b)["targets"][0].update(expr="up{a=~'$who'}"), "no variable who"),
        (lambda b: first(b)["targets"][0].update(expr="up{a=~'${agent}'}"), "brace"),
        (lambda b: first(b)["fieldConfig"]["defaults"].update(unit="furlongs"), "unit furlongs"),
        (lambda b: b.pop("title"), "no title"),
    ],
)
def test_what_is_wrong_is_told(change, fault):
    assert any(fault in said for said in faults(broken(change)))


def test_one_text_serves_every_namespace():
    assert template().count(dashboards.UID) == template().count(dashboards.TITLE) == 1
    one, other = text("a", "u", "t"), text("b", "u", "t")
    assert one != other
    assert one.replace('namespace=\\"a\\"', 'namespace=\\"b\\"') == other


PROD = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  capabilities: [prometheus-operator]
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
  targets: [manifests, flux]
  gitops: {{source: {{url: "https://git.example/fleet.git", branch: main}}}}
  monitoring: {{dashboards: {{folder: Agents}}}}
"""
AGENTS = "".join(
    f"""{API}
kind: Agent
metadata: {{name: {name}, namespace: {name}}}
spec: {spec}
---
"""
    for name, spec in {
        "shop": "{systemPrompt: hi, model: {provider: openai, name: gpt-4o, apiKeySecretRef: {name: o, key: k}}, auth: {type: none}}",
        "own": '{container: {image: {repository: example.com/own, tag: "1"}, ports: [{name: http, containerPort: 80}]}}',
    }.items()
)


def test_namespaces_that_are_scraped_have_one_that_nothing_replaces_a_part_of(tmp_path):
    write(tmp_path, {"agents/a.yaml": AGENTS, "environments/prod.yaml": PROD})
    done = fleetform("render", "--env", "prod", cwd=tmp_path)
    assert done.code == 0, done.err
    (file,) = tmp_path.rglob("rendered/**/fleetform-dashboard.configmap.yaml")
    (found,) = read_yaml(file.read_text("utf-8"))
    assert found["metadata"]["namespace"] == "shop"
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {
        "grafana_folder": "Agents",
        "kustomize.toolkit.fluxcd.io/substitute": "disabled",
    }
    ((key, body),) = found["data"].items()
    board = json.loads(body)
    assert key == f"{board['uid']}.json"
    assert board["title"] == "Agents: shop (prod)"
    assert faults(board) == []


def test_an_environment_without_the_operator_is_told(tmp_path):
    prod = PROD.replace("[prometheus-operator]", "[]")
    write(tmp_path, {"agents/a.yaml": AGENTS, "environments/prod.yaml": prod})
    done = fleetform("validate", "agents", "--env", "prod", cwd=tmp_path)
    assert "`dashboards` has no effect: the environment lacks the capability" in done.err


OPERATED = PROD.replace("[prometheus-operator]", "[prometheus-operator, grafana-operator]")


def board_of(folder: Path, prod: str) -> dict[str, Any]:
    write(folder, {"agents/a.yaml": AGENTS, "environments/prod.yaml": prod})
    done = fleetform("render", "--env", "prod", cwd=folder)
    assert done.code == 0, done.err
    (file,) = folder.rglob("rendered/**/fleetform-dashboard.*.yaml")
    (found,) = read_yaml(file.read_text("utf-8"))
    return found


def test_the_operator_gets_an_object_instead_with_the_same_text_and_nothing_left_to_fill_in(
    tmp_path,
):
    found = board_of(tmp_path / "operator", OPERATED)
    by_sidecar = board_of(tmp_path / "sidecar", PROD)
    assert found["kind"] == "GrafanaDashboard"
    assert found["metadata"]["annotations"] == {
        "kustomize.toolkit.fluxcd.io/substitute": "disabled"
    }
    assert "grafana_dashboard" not in found["metadata"]["labels"]
    assert [found["spec"].pop("json")] == [*by_sidecar["data"].values()]
    assert found["spec"] == {
        "allowCrossNamespaceImport": True,
        "instanceSelector": {"matchLabels": {"dashboards": "grafana"}},
        "folder": "Agents",
        "resyncPeriod": "10m0s",
    }


@pytest.mark.parametrize("target", ["manifests", "helm", "kustomize"])
def test_a_selector_that_changes_is_told_by_every_target(tmp_path, target):
    said = []
    for selector in ("{a: b}", "{a: c}"):
        prod = OPERATED.replace("folder: Agents", f"instanceSelector: {selector}")
        prod = prod.replace("targets: [manifests, flux]", f"targets: [{target}]")
        write(tmp_path, {"agents/a.yaml": AGENTS, "environments/prod.yaml": prod})
        done = fleetform("render", "--env", "prod", cwd=tmp_path)
        assert done.code == 0, done.err
        said.append(
            "`spec.instanceSelector` of GrafanaDashboard `shop/fleetform-dashboard`" in done.err
        )
    assert said == [False, True]


@pytest.mark.parametrize(
    ("capabilities", "field", "why"),
    [
        ("prometheus-operator, grafana-operator", "labels", "there is no ConfigMap for a sidecar"),
        ("prometheus-operator", "instanceSelector", "a sidecar finds the dashboard, by `labels`"),
    ],
)
def test_what_the_other_way_reads_is_told(tmp_path, capabilities, field, why):
    prod = PROD.replace("[prometheus-operator]", f"[{capabilities}]")
    prod = prod.replace("folder: Agents", f"{field}: {{a: b}}")
    write(tmp_path, {"agents/a.yaml": AGENTS, "environments/prod.yaml": prod})
    done = fleetform("validate", "agents", "--env", "prod", cwd=tmp_path)
    assert f"`{field}` has no effect: " in done.err
    assert why in done.err
