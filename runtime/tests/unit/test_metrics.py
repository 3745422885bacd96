"""The catalogue keeps the rules that make its metrics arrive and be read as they are meant."""

import json
import re
from pathlib import Path

import pytest

from fleetform_runtime.metrics import METRICS, PAGE_METRICS, TARGET_LABELS, WORKFLOW_METRICS, Metric

ROOT = Path(__file__).parents[3]

each_metric = pytest.mark.parametrize(
    "metric", [*METRICS, *WORKFLOW_METRICS, *PAGE_METRICS], ids=lambda metric: metric.name
)


def test_every_metric_of_the_seeds_is_there():
    assert {metric.name for metric in METRICS} >= {
        "agent_request_total",
        "agent_request_errors_total",
        "agent_request_duration_seconds",
        "agent_active_sessions",
    }


def test_names_occur_once():
    names = [metric.name for metric in (*METRICS, *WORKFLOW_METRICS, *PAGE_METRICS)]
    assert sorted(set(names)) == sorted(names)


def test_what_an_adapter_derives_is_not_exported():
    assert "agent_requests_per_second" not in {metric.name for metric in METRICS}


@each_metric
def test_names_are_those_that_prometheus_expects_of_the_type(metric: Metric):
    assert re.fullmatch(r"(agent|workflow|page)_[a-z0-9_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.type == "counter")
    assert not metric.name.endswith(("_bucket", "_sum", "_count", "_created"))


@each_metric
def test_no_label_is_called_as_one_of_the_target(metric: Metric):
    names = [label.name for label in metric.labels]
    assert not TARGET_LABELS & set(names)
    assert not {"le", "quantile", "session", "user", "session_id", "user_id"} & set(names)
    assert len(set(names)) == len(names)
    assert names[0] == metric.name.partition("_")[0]


@each_metric
def test_only_histograms_have_buckets_and_these_rise(metric: Metric):
    assert bool(metric.buckets) == (metric.type == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))


@each_metric
def test_help_and_unit_are_sentences_for_people(metric: Metric):
    assert metric.help.endswith(".")
    assert (metric.unit == "seconds") == metric.name.endswith("_seconds")
    assert all(label.help.endswith(".") for label in metric.labels)


def test_the_latency_alert_has_a_bucket_to_compare_with():
    (metric,) = [m for m in METRICS if m.name == "agent_request_duration_seconds"]
    assert 30 in metric.buckets


def test_the_committed_catalogue_lists_every_metric():
    catalogue = json.loads((ROOT / "schemas/metrics.json").read_text("utf-8"))
    assert [entry["name"] for entry in catalogue["metrics"]] == [
        m.name for m in (*METRICS, *WORKFLOW_METRICS, *PAGE_METRICS)
    ]


SOURCE = "\n".join(
    path.read_text("utf-8")
    for path in sorted((ROOT / "runtime/fleetform_runtime").rglob("*.py"))
    if path != ROOT / "runtime/fleetform_runtime/metrics.py"
)


@each_metric
def test_something_counts_each_of_them(metric: Metric):
    shared = "{metrics.kind}_" + metric.name.partition("_")[2]
    assert f'"{metric.name}"' in SOURCE or f'f"{shared}"' in SOURCE
