"""Grafana reads the dashboard, and Prometheus answers each of its queries with something."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetform.emit import emit
from tests.dashboards import Board, faults, panels
from tests.tools import run
from tests.unit.test_dashboards import BOARD, CATALOGUE, QUERIES, broken, plain

from . import promtool

pytestmark = pytest.mark.proof

RECORDED = ("agent:slo_bad:ratio_rate1h", "agent:slo_objective:ratio")


def complaints(board: Board, folder: Path) -> str:
    """Return what Grafana's types say of a dashboard, nothing if they take it."""
    file = folder / "board.json"
    file.write_text(json.dumps(board), "utf-8")
    done = run("dashboards", file)
    assert done.returncode in (0, 1), done.stderr
    assert bool(done.stdout) == bool(done.returncode)
    return done.stdout


def test_grafanas_types_take_it(tmp_path):
    assert complaints(BOARD, tmp_path) == ""


def first(board: Board) -> Board:
    return next(panels(board))


def closed(board: Board) -> Board:
    """Return a panel of a row that is closed."""
    return board["panels"][-1]["panels"][-1]


MUTANTS: dict[str, Callable[[Board], object]] = {
    "an unknown field": lambda b: b.update(titel="x"),
    "an unknown field of a panel": lambda b: first(b).update(datasorce="x"),
    "an unknown field of a panel in a closed row": lambda b: closed(b).update(datasorce="x"),
    "an unknown field of how a panel is drawn": lambda b: first(b)["fieldConfig"]["defaults"][
        "custom"
    ].update(fillOpactiy=1),
    "an unknown field of a query": lambda b: first(b)["targets"][0].update(expresion="x"),
    "a value of another type": lambda b: first(b)["gridPos"].update(h="8"),
    "no annotations": lambda b: b.pop("annotations"),
    "a panel wider than the grid": lambda b: first(b)["gridPos"].update(w=30),
    "no title": lambda b: first(b).pop("title"),
    "a type of panels that is none": lambda b: first(b).update(type="timeserie"),
    "two panels with one id": lambda b: first(b).update(id=closed(b)["id"]),
    "a uid that is too long": lambda b: b.update(uid="x" * 60),
    "a tooltip that is none": lambda b: b.update(graphTooltip=9),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_what_is_wrong_is_told_by_the_types_or_by_our_own_rules(name, tmp_path):
    board = broken(MUTANTS[name])
    assert complaints(board, tmp_path) or faults(board)


def test_promtool_parses_every_query(tmp_path):
    rules = [
        {"record": f"panel:{number}:query", "expr": plain(target["expr"])}
        for number, (_, target) in enumerate(QUERIES)
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(emit({"groups": [{"name": "panels", "rules": rules}]}), "utf-8")
    assert promtool.check(file) == (len(rules), "")


def series(metric: dict[str, Any]) -> list[dict[str, str]]:
    """Return made-up series of a metric of the catalogue, as a test of promtool wants them."""
    labels = {"namespace": "ai-agents", "pod": "p"}
    labels |= {
        label["name"]: next(filter(None, label.get("values", ["x"]))) for label in metric["labels"]
    }
    rising, still = "0+6x30", "1x30"
    if metric["type"] != "histogram":
        value = rising if metric["type"] == "counter" else still
        return [_one(metric["name"], labels, value)]
    bounds = [*(str(float(bound)) for bound in metric["buckets"]), "+Inf"]
    return [
        *(_one(f"{metric['name']}_bucket", {**labels, "le": bound}, rising) for bound in bounds),
        _one(f"{metric['name']}_sum", labels, rising),
        _one(f"{metric['name']}_count", labels, rising),
    ]


def _one(name: str, labels: dict[str, str], values: str) -> dict[str, str]:
    inside = ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
    return {"series": f"{name}{{{inside}}}", "values": values}


def asked(name: str) -> list[str]:
    """Return the queries that name a metric."""
    ends = ("{", "_bucket{", "_count{", "_sum{")
    return [
        plain(target["expr"])
        for _, target in QUERIES
        if any(f"{name}{end}" in target["expr"] for end in ends)
    ]


def question(expression: str, *, something: bool) -> dict[str, Any]:
    found = [{"labels": "{}", "value": 1}] if something else []
    return {
        # What is no number is not drawn.
        "expr": f"count(({expression}) >= 0) > bool 0",
        "eval_time": "20m",
        "exp_samples": found,
    }


def test_each_query_has_an_answer_and_none_when_its_metric_is_gone(tmp_path):
    """Every metric is there once, and is left out once: no query may go on without one that it names."""
    objective = {"namespace": "ai-agents", "agent": "x", "objective": "availability"}
    exported = {metric["name"]: series(metric) for metric in CATALOGUE}
    exported |= {name: [_one(name, objective, "0.5x30")] for name in RECORDED}
    everything = [one for made in exported.values() for one in made]
    tests = [
        {
            "interval": "1m",
            "input_series": everything,
            "promql_expr_test": [
                question(plain(target["expr"]), something=True) for _, target in QUERIES
            ],
        }
    ]
    for name, gone in exported.items():
        assert asked(name), name
        tests.append(
            {
                "interval": "1m",
                "input_series": [one for one in everything if one not in gone],
                "promql_expr_test": [question(one, something=False) for one in asked(name)],
            }
        )
    (tmp_path / "none.yaml").write_text(emit({"groups": []}), "utf-8")
    file = tmp_path / "test.yaml"
    file.write_text(
        emit({"rule_files": ["none.yaml"], "evaluation_interval": "1m", "tests": tests}), "utf-8"
    )
    assert promtool.unit_test(file) == ""
