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
    assert set(targets(tree)) <= {identity(item)[1:] for item in tree.of(*WORKLOADS, "Rollout")}


def test_replicas_are_written_exactly_where_nobody_scales(tree):
    scaled = set(targets(tree))
    rollouts = {identity(item)[2:]: item["spec"] for item in tree.of("Rollout")}
    for item in tree.of(*WORKLOADS):
        if identity(item)[2:] not in rollouts:
            assert ("replicas" in item["spec"]) == (identity(item)[1:] not in scaled)


def test_a_rollout_owns_the_number_but_for_what_a_deployment_begins_with(tree):
    scaled = {(space, name): kind for kind, space, name in targets(tree)}
    deployments = {identity(item)[2:]: item["spec"] for item in tree.of("Deployment")}
    for item in tree.of("Rollout"):
        place, rollout = identity(item)[2:], item["spec"]
        own, by = deployments[place].get("replicas"), scaled.get(place)
        assert ("replicas" in rollout) == (by is None)
        assert rollout["workloadRef"]["scaleDown"] == "never"
        if by is None:
            assert own in (0, rollout["replicas"])
        else:
            assert (own, by) in ((0, "Rollout"), (None, "Rollout"), (1, "Deployment"))


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
    stepped = {identity(item)[2:] for item in tree.of("Rollout")}
    for item in tree.of(*WORKLOADS, "Rollout"):
        key = identity(item)[2:]
        if key in stepped and item["kind"] != "Rollout":
            continue
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


def scaler(folder, scaling: dict, **environment) -> dict | None:
    """Render an agent; return its scaler."""
    text = AGENT + f"  limits: {{concurrentRuns: 40}}\n  scaling: {json.dumps(scaling)}\n"
    text += "  memory: {type: redis, redis: {host: redis.example, tls: {enabled: true}}}\n"
    body = {"capabilities": ["keda", "prometheus-operator"], "monitoring": {}, **environment}
    body["images"] = {"pins": {"fleetform/agent-runtime": {"tag": "1.0.0"}}}
    head = "apiVersion: fleetform.dev/v1alpha1\nkind: Environment\nmetadata: {name: prod}\n"
    write(
        folder,
        {"agents/a.yaml": text, "environments/prod.yaml": f"{head}spec: {json.dumps(body)}\n"},
    )
    done = fleetform("render", "--env", "prod", "--target", "manifests", cwd=folder)
    assert done.code == 0, done.err
    (file,) = (folder / "rendered").rglob("helper.yaml")
    found = [item for item in read_yaml(file.read_text()) if item["kind"] in SCALERS]
    return found[0] if found else None


WATCHED = {"monitoring": {"prometheusUrl": "http://prometheus.watch.svc:9090"}}
CPU_METRIC = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
}


@pytest.mark.parametrize(
    ("scaling", "environment", "threshold", "triggers"),
    [
        ({"maxReplicas": 5}, WATCHED, "24", ["prometheus", "cpu"]),
        ({"maxReplicas": 5, "inflightRuns": 7}, WATCHED, "7", ["prometheus", "cpu"]),
        (
            {"maxReplicas": 5, "inflightRuns": 7, "metrics": [CPU_METRIC]},
            WATCHED,
            "7",
            ["cpu", "prometheus"],
        ),
        (
            {"maxReplicas": 5, "inflightRuns": 7, "keda": {"triggers": [{"type": "cron"}]}},
            WATCHED,
            "7",
            ["cron", "prometheus"],
        ),
    ],
)
def test_agents_scale_on_their_runs_where_keda_can_ask_for_them(
    scaling, environment, threshold, triggers, tmp_path
):
    for trigger in scaling.get("keda", {}).get("triggers", ()):
        times = {"timezone": "UTC", "start": "0 8 * * *", "end": "0 18 * * *"}
        trigger["metadata"] = {**times, "desiredReplicas": "2"}
    found = scaler(tmp_path, scaling, **environment)
    assert [item["type"] for item in found["spec"]["triggers"]] == triggers
    (runs,) = [item for item in found["spec"]["triggers"] if item["type"] == "prometheus"]
    of = '{namespace="default",agent="helper"}'
    assert runs == {
        "type": "prometheus",
        "metricType": "AverageValue",
        "metadata": {
            "ignoreNullValues": "false",
            "query": f"sum(agent_inflight_runs{of}) + sum(agent_queue_depth{of})",
            "serverAddress": "http://prometheus.watch.svc:9090",
            "threshold": threshold,
        },
    }


@pytest.mark.parametrize(
    ("scaling", "environment", "kind"),
    [
        ({"maxReplicas": 5}, {}, "HorizontalPodAutoscaler"),
        (
            {"maxReplicas": 5},
            {**WATCHED, "capabilities": ["prometheus-operator"]},
            "HorizontalPodAutoscaler",
        ),
        ({"maxReplicas": 5}, {**WATCHED, "capabilities": ["keda"]}, "HorizontalPodAutoscaler"),
        ({"maxReplicas": 5, "metrics": [CPU_METRIC]}, WATCHED, "HorizontalPodAutoscaler"),
        ({"maxReplicas": 5, "keda": {"enabled": False}}, WATCHED, "HorizontalPodAutoscaler"),
        ({"minReplicas": 3, "maxReplicas": 3}, WATCHED, None),
    ],
)
def test_runs_in_flight_are_no_default_where_something_else_decides(
    scaling, environment, kind, tmp_path
):
    found = scaler(tmp_path, scaling, **environment)
    assert (found and found["kind"]) == kind


def test_a_job_of_an_agent_is_not_scaled_on_the_runs_of_the_agent(tmp_path):
    environment = (
        ENVIRONMENT
        + "  capabilities: [keda, prometheus-operator]\n"
        + "  monitoring: {prometheusUrl: 'http://p.watch.svc:9090'}\n"
    )
    spec = AGENT + (
        "  memory: {type: none}\n"
        "  scaling: {minReplicas: 1, maxReplicas: 4}\n"
        "  tools: [{name: docs}]\n"
        "  knowledge: {sources: [{name: texts, configMap: texts}]}\n"
    )
    tool = (
        "---\napiVersion: fleetform.dev/v1alpha1\nkind: Tool\nmetadata: {name: docs}\nspec:\n"
        "  type: retrieval\n  description: Finds.\n"
        "  retrieval: {vectorStore: {type: pgvector, host: db.default.svc, collection: public.docs, secretRef: {name: db, key: password}}}\n"
    )
    write(tmp_path, {"agents/a.yaml": spec + tool, "environments/prod.yaml": environment})
    done = fleetform("render", "--env", "prod", cwd=tmp_path)
    assert done.code == 0, done.err
    files = (tmp_path / "rendered/prod").rglob("*.yaml")
    objects = [item for file in files for item in read_yaml(file.read_text())]
    (scaler,) = [item for item in objects if item["kind"] == "ScaledObject"]
    assert [item["kind"] for item in objects].count("Job") == 1
    assert scaler["spec"]["scaleTargetRef"]["kind"] == "Deployment"
