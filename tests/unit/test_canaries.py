"""Canaries: what they inherit, whose route they share, and whose sessions they have."""

import json

import pytest

from tests.fleet import API, fleetform, read_yaml, write

PROD = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
  capabilities: [gateway-api, keda, prometheus-operator]
  expose: {{host: agents.example.com, gateway: {{name: public, namespace: gateways}}}}
"""
STABLE = f"""{API}
kind: Agent
metadata: {{name: helper, namespace: desk}}
spec:
  systemPrompt: You help.
  model: {{provider: ollama, name: qwen3, endpoint: "https://models.example/v1"}}
  auth: {{type: apiKey, apiKey: {{keys: [{{name: web, secretRef: {{name: callers, key: web}}}}]}}}}
  memory: {{type: redis, redis: {{host: redis.example.com, tls: {{enabled: true}}}}}}
  expose: {{}}
  scaling:
    minReplicas: 2
    maxReplicas: 6
    keda: {{triggers: [{{type: prometheus, metadata: {{serverAddress: "http://p.watch.svc", query: own, threshold: "1"}}}}]}}
"""


def canary(spec: str, name: str = "next") -> str:
    return f"---\n{API}\nkind: Agent\nmetadata: {{name: {name}, namespace: desk}}\nspec:\n  canaryOf: helper\n{spec}"


def rendered(folder, *canaries: str, stable: str = STABLE) -> dict[str, list[dict]]:
    """Render; return the objects of each workload."""
    write(folder, {"agents/a.yaml": stable + "".join(canaries), "environments/prod.yaml": PROD})
    done = fleetform("render", "--env", "prod", cwd=folder)
    assert done.code == 0, done.err
    files = (folder / "rendered/prod/desk").glob("[a-z]*.yaml")
    return {file.stem: [*read_yaml(file.read_text())] for file in files}


def of(objects: list[dict], kind: str) -> dict:
    (found,) = [item for item in objects if item["kind"] == kind]
    return found


def backends(objects: list[dict]) -> list[tuple[str, int]]:
    rule, _ = of(objects, "HTTPRoute")["spec"]["rules"]
    return [(item["name"], item["weight"]) for item in rule["backendRefs"]]


@pytest.mark.parametrize(
    ("specs", "shares"),
    [
        ([("  weight: 25\n", "next")], [("helper", 75), ("next", 25)]),
        ([("", "next")], [("helper", 90), ("next", 10)]),
        ([("  weight: 100\n", "next")], [("helper", 0), ("next", 100)]),
        (
            [("  weight: 5\n", "one"), ("  weight: 7\n", "two")],
            [("helper", 88), ("one", 5), ("two", 7)],
        ),
    ],
)
def test_the_route_of_the_other_shares_requests_out(specs, shares, tmp_path):
    found = rendered(tmp_path, *(canary(spec, name) for spec, name in specs))
    assert backends(found["helper"]) == shares
    for _, name in specs:
        kinds = {item["kind"] for item in found[name]}
        assert {"Deployment", "Service", "NetworkPolicy", "ServiceMonitor"} <= kinds
        assert "HTTPRoute" not in kinds


def test_without_a_canary_a_route_has_one_backend(tmp_path):
    assert backends(rendered(tmp_path)["helper"]) == [("helper", 1)]


def test_it_inherits_all_but_routes_and_queries(tmp_path):
    found = rendered(tmp_path, canary("  resources: {limits: {memory: 1Gi}}\n"))
    assert "ScaledObject" in {item["kind"] for item in found["helper"]}
    scaler = of(found["next"], "HorizontalPodAutoscaler")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 6)
    (container,) = of(found["next"], "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "1Gi"


def test_it_is_known_by_the_others_name_in_the_store_and_to_callers(tmp_path):
    found = rendered(tmp_path, canary("  systemPrompt: You help more.\n"))
    settings = {
        name: json.loads(of(objects, "ConfigMap")["data"]["agent.json"])
        for name, objects in found.items()
        if name != "kustomization"
    }
    for section in ("agent", "memory", "a2a", "auth"):
        assert settings["next"][section] == settings["helper"][section], section
    assert settings["next"]["agent"]["name"] == "helper"


def test_the_gateway_reaches_it(tmp_path):
    found = rendered(tmp_path, canary(""))
    ingress = [of(found[name], "NetworkPolicy")["spec"]["ingress"] for name in ("helper", "next")]
    gateways = [
        [rule for rule in rules if "gateways" in json.dumps(rule["from"])] for rules in ingress
    ]
    assert gateways[0] == gateways[1] != []


def test_an_agent_of_kagent_with_the_label_is_one(tmp_path):
    text = (
        "---\napiVersion: kagent.dev/v1alpha1\nkind: Agent\nmetadata:\n  name: helper-canary\n  namespace: desk\n"
        "  labels: {app: customer-support, version: canary}\nspec:\n  model: {temperature: 0.5}\n"
        "  scaling: {minReplicas: 1, maxReplicas: 2}\n"
    )
    found = rendered(tmp_path, text)
    assert backends(found["helper"]) == [("helper", 90), ("helper-canary", 10)]
    settings = json.loads(of(found["helper-canary"], "ConfigMap")["data"]["agent.json"])
    assert settings["model"]["temperature"] == 0.5
    assert settings["model"]["name"] == "qwen3"


def test_a_canary_of_a_template_or_of_nobody_is_refused(tmp_path):
    template = f"---\n{API}\nkind: AgentTemplate\nmetadata: {{name: base}}\nspec: {{}}\n"
    for name in ("base", "nobody"):
        text = STABLE + template + canary("").replace("canaryOf: helper", f"canaryOf: {name}")
        write(tmp_path, {"agents/a.yaml": text, "environments/prod.yaml": PROD})
        done = fleetform("validate", "--env", "prod", cwd=tmp_path)
        assert done.code == 1
        assert "spec.canaryOf: " in done.err
