"""The Prometheus operator selects every ServiceMonitor and PrometheusRule, and Prometheus takes what it writes."""

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import fleet
from tests.cluster.plane import Object, Plane
from tests.operators.conftest import Applied, apply
from tests.operators.operators import SPACE, log, settled
from tests.tools import ROOT, run

NAME = "prometheus-operator"
EVERYTHING: Object = {}
LABELLED = {"matchLabels": {"release": "prometheus"}}
"""How kube-prometheus-stack selects, unless it is told otherwise."""


@pytest.fixture(scope="session")
def prometheus(plane: Plane) -> None:
    """Two Prometheus servers: one takes everything, one what has the label of its release."""
    apply(plane, [_server("everything", EVERYTHING), _server("labelled", LABELLED)])


def _server(name: str, selector: Object) -> Object:
    kinds = ("serviceMonitor", "rule")
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "Prometheus",
        "metadata": {"name": name, "namespace": SPACE},
        "spec": {
            "replicas": 1,
            "serviceAccountName": "default",
            **{f"{kind}Selector": selector for kind in kinds},
            **{f"{kind}NamespaceSelector": EVERYTHING for kind in kinds},
        },
    }


@pytest.fixture
def written(plane: Plane, prometheus: None, applied: Applied) -> dict[str, Any]:
    """Return the scrape jobs and rule files of each server, when the operator is done with a fleet."""
    del prometheus
    last = [f"serviceMonitor/{_place(item)}/0" for item in applied.of("ServiceMonitor")]
    plane.until(
        lambda: {*last} <= jobs(plane, "everything").keys(), "a scrape job for each monitor"
    )
    settled(plane, NAME)
    return {name: (jobs(plane, name), rules(plane, name)) for name in ("everything", "labelled")}


def _place(item: Object) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def config(plane: Plane, name: str) -> str:
    """Return the configuration that the operator has written for a server, empty before it has."""
    found = plane.get(
        "secrets", "-n", SPACE, "--field-selector", f"metadata.name=prometheus-{name}"
    )
    return "".join(
        gzip.decompress(base64.b64decode(item["data"]["prometheus.yaml.gz"])).decode()
        for item in found
    )


def jobs(plane: Plane, name: str) -> dict[str, Object]:
    tree = yaml.safe_load(config(plane, name)) or {}
    return {job["job_name"]: job for job in tree.get("scrape_configs") or ()}


def rules(plane: Plane, name: str) -> dict[str, str]:
    """Return the rule files of a server by their names."""
    found = plane.get("configmaps", "-n", SPACE, "-l", f"prometheus-name={name}")
    return {file: text for item in found for file, text in item.get("data", {}).items()}


def has_label(item: Object) -> bool:
    return LABELLED["matchLabels"].items() <= item["metadata"]["labels"].items()


def test_every_monitor_is_a_scrape_job(applied: Applied, written: dict[str, Any]) -> None:
    monitors = applied.of("ServiceMonitor")
    assert bool(monitors) == (applied.name != "dev")
    for server, chosen in (("everything", monitors), ("labelled", [*filter(has_label, monitors)])):
        found, _ = written[server]
        assert found.keys() == {f"serviceMonitor/{_place(item)}/0" for item in chosen}
        for item in chosen:
            job, (endpoint,) = found[f"serviceMonitor/{_place(item)}/0"], item["spec"]["endpoints"]
            assert job["metrics_path"] == endpoint["path"]
            assert job["scrape_interval"] == endpoint["interval"]
            (discovery,) = job["kubernetes_sd_configs"]
            assert discovery["namespaces"]["names"] == [item["metadata"]["namespace"]]
            kept = [each for each in job["relabel_configs"] if each.get("action") == "keep"]
            assert endpoint["port"] in [each["regex"] for each in kept]


def test_every_rule_is_in_a_file(applied: Applied, written: dict[str, Any]) -> None:
    given = applied.of("PrometheusRule")
    assert bool(given) == (applied.name != "dev")
    for server, chosen in (("everything", given), ("labelled", [*filter(has_label, given)])):
        _, files = written[server]
        assert len(files) == len(chosen)
        for item in chosen:
            (text,) = (text for name, text in files.items() if name.startswith(_file(item)))
            assert yaml.safe_load(text)["groups"] == item["spec"]["groups"]


def _file(item: Object) -> str:
    return f"{_place(item).replace('/', '-')}-"


def test_prometheus_takes_what_the_operator_writes(
    plane: Plane, applied: Applied, written: dict[str, Any], tmp_path: Path
) -> None:
    for server, (_, files) in written.items():
        place = tmp_path / server
        place.mkdir()
        (place / "prometheus.yaml").write_text(config(plane, server), "utf-8")
        done = run("promtool", "check", "config", place / "prometheus.yaml")
        assert done.returncode == 0, done.stdout + done.stderr
        for name, text in files.items():
            (place / name).write_text(text, "utf-8")
            done = run("promtool", "check", "rules", place / name)
            assert done.returncode == 0, done.stdout + done.stderr
    assert applied


def test_the_operator_refuses_nothing(
    plane: Plane, applied: Applied, written: dict[str, Any]
) -> None:
    del written
    for space in applied.spaces:
        assert refusals(plane, space) == []
    said = [
        line
        for line in log(plane, NAME).splitlines()
        if any(f"{s}/" in line for s in applied.spaces)
    ]
    assert [line for line in said if "level=warn" in line or "level=error" in line] == []


def refusals(plane: Plane, space: str) -> list[str]:
    """Return what the operator says against objects of a namespace."""
    return [
        f"{event['involvedObject']['kind']}/{event['involvedObject']['name']}: {event['message']}"
        for event in plane.get("events", "-n", space)
        if event["reason"] == "InvalidConfiguration"
    ]


@pytest.mark.parametrize("environment", fleet.ENVIRONMENTS)
def test_the_labels_that_an_environment_names_are_on_all_that_is_selected(environment: str) -> None:
    given = yaml.safe_load((ROOT / "environments" / f"{environment}.yaml").read_text("utf-8"))
    labels = given["spec"].get("monitoring", {}).get("labels", {})
    for item in fleet.objects(environment):
        if item["kind"] in ("ServiceMonitor", "PrometheusRule"):
            assert labels.items() <= item["metadata"]["labels"].items()
    assert bool(labels) == (environment == "prod")


@pytest.fixture
def invalid(plane: Plane, prometheus: None) -> Iterator[str]:
    """A monitor and rules that the operator must refuse, beside a monitor that it must not."""
    del prometheus
    space = "refused"
    plane.do("create", "namespace", space)
    missing = {"basicAuth": {"username": {"name": "missing", "key": "user"}}}
    groups = [{"name": "a", "rules": [{"alert": "A", "expr": "sum(("}]}]
    monitors = {"good": {}, "bad": missing}
    items = [
        _item("ServiceMonitor", space, name, selector={}, endpoints=[{"port": "http", **more}])
        for name, more in monitors.items()
    ]
    apply(plane, [*items, _item("PrometheusRule", space, "rules", groups=groups)])
    yield space
    plane.do("delete", "namespace", space, "--wait=true")


def _item(kind: str, space: str, name: str, **spec: Any) -> Object:
    metadata = {"name": name, "namespace": space}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }


def test_what_is_invalid_is_refused_and_seen(plane: Plane, invalid: str) -> None:
    plane.until(
        lambda: f"serviceMonitor/{invalid}/good/0" in jobs(plane, "everything"), "a scrape job"
    )
    settled(plane, NAME)
    assert f"serviceMonitor/{invalid}/bad/0" not in jobs(plane, "everything")
    assert not [name for name in rules(plane, "everything") if name.startswith(f"{invalid}-")]
    said = json.dumps(refusals(plane, invalid))
    assert "ServiceMonitor/bad" in said
    assert "PrometheusRule/rules" in said
    assert "ServiceMonitor/good" not in said
