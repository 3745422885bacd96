"""Replicas have one owner: the manifest, a HorizontalPodAutoscaler, or KEDA."""

import json

import pytest

from tests import manifests
from tests.fleet import AGENT, ENVIRONMENT, fleetform, read_yaml, write
from tests.manifests import NAMES, WORKLOADS, Tree, identity


@pytest.fixture(params=NAMES)
def tree(request) -> Tree:
    return manifests.tree(request.param)


SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")


def targets(tree) -> list[tuple[str, str, str]]:
    return [
        (
            item["spec"]["scaleTargetRef"]["kind"],
            item["metadata"]["namespace"],
            item["spec"]["scaleTargetRef"]["name"],
        )
        for item in tree.of(*SCALERS)
    ]


def test_a_workload_has_at_most_one_scaler(tree):
    assert len(targets(tree)) == len(set(targets(tree)))


def test_a_scaler_has_its_workload(tree):
    assert set(targets(tree)) <= {identity(item)[1:] for item in tree.of(*WORKLOADS)}


def test_replicas_are_written_exactly_where_nobody_scales(tree):
    scaled = set(targets(tree))
    for item in tree.of(*WORKLOADS):
        assert ("replicas" in item["spec"]) == (identity(item)[1:] not in scaled)


def test_bounds_and_windows_are_what_kubernetes_allows(tree):
    for item in tree.of("HorizontalPodAutoscaler"):
        assert 1 <= item["spec"]["minReplicas"] <= item["spec"]["maxReplicas"]
        assert item["spec"]["metrics"]
    for item in tree.of("ScaledObject"):
        assert 0 <= item["spec"]["minReplicaCount"] <= item["spec"]["maxReplicaCount"]
        assert item["spec"]["triggers"]
    for item in tree.of(*SCALERS):
        spec = item["spec"]
        advanced = spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {})
        behavior = spec.get("behavior") or advanced["behavior"]
        assert behavior.keys() == {"scaleUp", "scaleDown"}
        for rules in behavior.values():
            assert 0 <= rules["stabilizationWindowSeconds"] <= 3600


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("prometheus", None, "false"),
        ("prometheus", "true", "true"),
        ("loki", None, "false"),
        ("aws-cloudwatch", None, "false"),
        ("gcp-pubsub", None, None),
    ],
)
def test_a_missing_metric_is_no_reason_to_scale_in(tmp_path, kind, given, expected):
    own = {"serverAddress": "http://prometheus.monitoring.svc:9090", "query": "q", "threshold": "1"}
    metadata = {"subscriptionName": "s"} if kind == "gcp-pubsub" else own
    metadata |= {"ignoreNullValues": given} if given else {}
    body = {"maxReplicas": 3, "keda": {"triggers": [{"type": kind, "metadata": metadata}]}}
    agent = AGENT.replace(
        "systemPrompt: You help.", "container: {image: {repository: a/b, tag: v1}}"
    )
    agent = agent.partition("  model:")[0] + f"  scaling: {json.dumps(body)}\n"
    environment = ENVIRONMENT + "  capabilities: [keda]\n"
    write(tmp_path, {"agents/a.yaml": agent, "environments/prod.yaml": environment})
    done = fleetform("render", cwd=tmp_path)
    assert done.code == 0, done.err
    text = "".join(path.read_text("utf-8") for path in (tmp_path / "rendered").rglob("*.yaml"))
    (found,) = [item for item in read_yaml(text) if item and item["kind"] == "ScaledObject"]
    assert found["spec"]["triggers"][0]["metadata"].get("ignoreNullValues") == expected


def test_parameters_of_triggers_are_text(tree):
    for item in tree.of("ScaledObject"):
        for trigger in item["spec"]["triggers"]:
            assert all(isinstance(value, str) for value in trigger["metadata"].values())


def test_every_trigger_that_signs_in_has_its_secrets(tree):
    known = {identity(item)[2:] for item in tree.of("TriggerAuthentication")}
    used = {
        (item["metadata"]["namespace"], trigger["authenticationRef"]["name"])
        for item in tree.of("ScaledObject")
        for trigger in item["spec"]["triggers"]
        if "authenticationRef" in trigger
    }
    assert used == known


def test_a_budget_stands_where_there_can_be_two_pods(tree):
    budgets = {identity(item)[2:] for item in tree.of("PodDisruptionBudget")}
    most = {
        key[1:]: item["spec"].get("maxReplicas") or item["spec"].get("maxReplicaCount")
        for key, item in zip(targets(tree), tree.of(*SCALERS), strict=True)
    }
    for item in tree.of(*WORKLOADS):
        key = identity(item)[2:]
        assert (key in budgets) == (most.get(key, item["spec"].get("replicas")) > 1)
    assert all(item["spec"]["maxUnavailable"] == 1 for item in tree.of("PodDisruptionBudget"))


@pytest.mark.parametrize(
    "trigger",
    [
        'type: memory, metricType: AverageValue, metadata: {value: "300Mi"}',
        'type: cpu, metricType: AverageValue, metadata: {value: "250m"}',
        'type: redis, metadata: {host: redis, port: "6379", listName: jobs, listLength: "5"}',
        'type: prometheus, metricType: Value, metadata: {serverAddress: "http://a", query: up, threshold: "0.5"}',
    ],
)
def test_what_keda_takes_is_taken(trigger, tmp_path):
    keda = f"keda: {{enabled: true, triggers: [{{{trigger}}}]}}"
    agent = AGENT + f"  scaling: {{minReplicas: 1, maxReplicas: 1, {keda}}}\n"
    files = {
        "agents/a.yaml": agent,
        "environments/prod.yaml": f"{ENVIRONMENT}  capabilities: [keda]\n",
    }
    outcome = fleetform("validate", "agents", "--env", "prod", cwd=write(tmp_path, files))
    assert outcome.code == 0, outcome.err
