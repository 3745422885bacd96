"""Canaries of Argo Rollouts: what replaces the pods, what is scaled, what is asked about the new ones."""

import itertools
import re

import pytest

from tests.fleet import API, fleetform, read_yaml, write
from tests.promql import read
from tests.unit.test_alerts import SERIES

PROD = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
  capabilities: [argo-rollouts, keda, prometheus-operator]
  monitoring: {{prometheusUrl: "http://prometheus.watch.svc:9090"}}
  namespaces: {{suffix: -prod}}
"""
ON_CPU = "metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]"
SCALED = {
    "fixed": "minReplicas: 4",
    "hpa": f"minReplicas: 4, maxReplicas: 8, {ON_CPU}",
    "keda": "minReplicas: 4, maxReplicas: 8",
}
STEPS = "steps: [{weight: 25, pause: 10m}, {weight: 50}]"


def agent(canary: str, scaling: str = SCALED["hpa"]) -> str:
    delivery = f"  delivery: {{canary: {{{canary}}}}}\n" if canary else ""
    return f"""{API}
kind: Agent
metadata: {{name: helper, namespace: desk}}
spec:
  systemPrompt: You help.
  model: {{provider: ollama, name: qwen3, endpoint: "https://models.example/v1"}}
  auth: {{type: none}}
  memory: {{type: redis, redis: {{host: redis.example.com, tls: {{enabled: true}}}}}}
  scaling: {{{scaling}}}
{delivery}"""


def rendered(folder, text: str) -> dict[str, dict]:
    """Render; return the objects of the agent by kind."""
    write(folder, {"agents/a.yaml": text, "environments/prod.yaml": PROD})
    done = fleetform("render", "--env", "prod", cwd=folder)
    assert done.code == 0, done.err
    file = folder / "rendered/prod/desk-prod/helper.yaml"
    return {item["kind"]: item for item in read_yaml(file.read_text())}


def test_the_deployment_has_the_pods_template_and_the_rollout_their_number(tmp_path):
    found = rendered(tmp_path, agent(STEPS, SCALED["fixed"]))
    deployment, rollout = found["Deployment"]["spec"], found["Rollout"]["spec"]
    assert deployment["replicas"] == 0
    assert rollout["replicas"] == 4
    assert rollout["selector"] == deployment["selector"]
    assert rollout["workloadRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "helper",
        "scaleDown": "never",
    }
    assert "template" not in rollout
    assert "AnalysisTemplate" not in found


def test_a_step_without_a_pause_waits_for_a_person(tmp_path):
    canary = rendered(tmp_path, agent(STEPS))["Rollout"]["spec"]["strategy"]["canary"]
    assert canary == {
        "maxSurge": 1,
        "maxUnavailable": 0,
        "steps": [
            {"setWeight": 25},
            {"pause": {"duration": "10m"}},
            {"setWeight": 50},
            {"pause": {}},
        ],
    }


STAGES = ("", "in", "", "out")


@pytest.mark.parametrize("scaled", SCALED)
def test_what_is_scaled_is_what_keeps_its_pods(tmp_path, scaled):
    """And nothing else ever sets a number that it owns, but none beside a Rollout and one to begin with on the way out."""
    kind = {"hpa": "HorizontalPodAutoscaler", "keda": "ScaledObject"}.get(scaled)
    for number, moving in enumerate(("none", *STAGES)):
        canary = "" if moving == "none" else STEPS + (f", moving: {moving}" if moving else "")
        found = rendered(tmp_path / str(number), agent(canary, SCALED[scaled]))
        own = found["Deployment"]["spec"].get("replicas")
        if kind is None:
            assert own == (0 if moving == "" else 4), moving
            assert "Rollout" not in found or found["Rollout"]["spec"]["replicas"] == 4
            continue
        target = found[kind]["spec"]["scaleTargetRef"]
        by_steps = moving in ("", "in")
        assert target["kind"] == ("Rollout" if by_steps else "Deployment"), moving
        assert target["apiVersion"] == ("argoproj.io/v1alpha1" if by_steps else "apps/v1")
        assert own == {"": 0, "out": 1}.get(moving), moving
        assert "Rollout" not in found or "replicas" not in found["Rollout"]["spec"]


def test_in_each_step_of_the_way_somebody_keeps_pods_that_the_last_one_had(tmp_path):
    """Whoever has pods before a step has them after it, unless the other had them too."""
    way = ("none", "in", "", "out", "none")
    serving = []
    for number, moving in enumerate(way):
        canary = "" if moving == "none" else STEPS + (f", moving: {moving}" if moving else "")
        found = rendered(tmp_path / str(number), agent(canary))
        rollout = found.get("Rollout")
        stays = rollout and found["Deployment"]["spec"].get("replicas") != 0
        serving.append(
            {"Rollout", "Deployment"} if stays else {"Rollout"} if rollout else {"Deployment"}
        )
    assert all(before & after for before, after in itertools.pairwise(serving))
    assert serving == [
        {"Deployment"},
        {"Deployment", "Rollout"},
        {"Rollout"},
        {"Deployment", "Rollout"},
        {"Deployment"},
    ]


JUDGED = STEPS + ", analysis: {maxErrorRate: 0.02, maxP95Seconds: 30, minRequests: 7, window: 10m}"


def test_each_step_is_judged_at_its_end(tmp_path):
    steps = rendered(tmp_path, agent(JUDGED))["Rollout"]["spec"]["strategy"]["canary"]["steps"]
    assert [*map(next, map(iter, steps))] == ["setWeight", "pause", "analysis"] * 2
    (argument,) = steps[-1]["analysis"]["args"]
    assert argument == {"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}}
    assert steps[-1]["analysis"]["templates"] == [{"templateName": "helper"}]


def test_neither_condition_holds_for_nothing_and_for_nan(tmp_path):
    metrics = rendered(tmp_path, agent(JUDGED))["AnalysisTemplate"]["spec"]["metrics"]
    assert [metric["name"] for metric in metrics] == ["errors", "p95"]
    for metric, limit in zip(metrics, (0.02, 30), strict=True):
        for result, verdict in (
            ([limit], (True, False)),
            ([limit + 0.001], (False, True)),
            ([], (False, False)),
            ([float("nan")], (False, False)),
        ):
            said = tuple(
                eval(metric[name].replace("&&", "and"), {"len": len, "result": result})
                for name in ("successCondition", "failureCondition")
            )
            assert said == verdict, (metric["name"], result)
        assert metric["failureLimit"] == metric["inconclusiveLimit"] == 0


def test_only_the_new_pods_are_asked_about_and_only_with_enough_requests(tmp_path):
    template = rendered(tmp_path, agent(JUDGED))["AnalysisTemplate"]["spec"]
    assert template["args"] == [{"name": "hash"}]
    for metric in template["metrics"]:
        query = metric["provider"]["prometheus"]["query"]
        assert read(query.replace("{{args.hash}}", "5774ddb4b8"), SERIES) == frozenset()
        selectors = re.findall(r"agent_\w+\{(.*?)\}\[", query)
        assert selectors
        for selector in selectors:
            assert selector.startswith('namespace="desk-prod",pod=~"helper-{{args.hash}}-.+",')
        assert query.endswith(">= 7")
    errors = template["metrics"][0]["provider"]["prometheus"]["query"]
    assert 'error_type!="cancelled"' in errors


def test_an_image_of_ones_own_counts_whatever_requests_it_counts(tmp_path):
    text = f"""{API}
kind: Agent
metadata: {{name: helper, namespace: desk}}
spec:
  container:
    image: {{repository: docker.io/acme/web, tag: 1.2.3}}
    ports: [{{name: http, containerPort: 8000}}, {{name: metrics, containerPort: 9100}}]
  healthCheck: {{path: /healthz}}
  observability: {{metrics: {{enabled: true}}}}
  scaling: {{minReplicas: 2}}
  delivery: {{canary: {{steps: [{{weight: 50}}], analysis: {{}}}}}}
"""
    (metric,) = rendered(tmp_path, text)["AnalysisTemplate"]["spec"]["metrics"]
    assert "route" not in metric["provider"]["prometheus"]["query"]


def test_a_canary_by_a_route_does_not_inherit_the_steps(tmp_path):
    environment = PROD.replace("argo-rollouts,", "argo-rollouts, gateway-api,") + (
        "  expose: {host: agents.example.com, gateway: {name: public, namespace: gateways}}\n"
    )
    stable = agent(STEPS).replace("  systemPrompt", "  expose: {}\n  systemPrompt")
    other = f"---\n{API}\nkind: Agent\nmetadata: {{name: next, namespace: desk}}\nspec: {{canaryOf: helper}}\n"
    write(tmp_path, {"agents/a.yaml": stable + other, "environments/prod.yaml": environment})
    done = fleetform("render", "--env", "prod", cwd=tmp_path)
    assert done.code == 0, done.err
    text = (tmp_path / "rendered/prod/desk-prod/next.yaml").read_text()
    assert "kind: Deployment" in text
    assert "Rollout" not in text


def test_flux_waits_for_a_rollout_by_its_phase(tmp_path):
    environment = PROD + "  targets: [manifests, flux]\n  gitops: {tool: flux}\n"
    write(tmp_path, {"agents/a.yaml": agent(JUDGED), "environments/prod.yaml": environment})
    assert fleetform("render", "--env", "prod", cwd=tmp_path).code == 0
    found = [*read_yaml((tmp_path / "flux/prod/kustomizations.yaml").read_text())]
    checks = {row["kind"]: row["current"] for row in found[-1]["spec"]["healthCheckExprs"]}
    assert checks["Rollout"] == "has(status.phase) && status.phase in ['Healthy', 'Paused']"
