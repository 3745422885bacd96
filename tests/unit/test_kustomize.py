"""What stands in the base, what in an overlay, and who touches which."""

import yaml

from tests.fleet import AGENT, API, fleetform, snapshot, write

BASE = f"""{API}
kind: Environment
metadata: {{name: base}}
spec:
  abstract: true
  targets: [kustomize]
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
"""
PROD = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  extends: base
"""
FLEET = {
    "agents/a.yaml": AGENT,
    "environments/base.yaml": BASE,
    "environments/prod.yaml": PROD,
}


MEMORY = "  memory: {type: redis, redis: {host: 10.1.2.3, tls: {enabled: true}, auth: {secretRef: {name: a, key: b}}}}\n"
"""Replicas share it."""
KEY = "auth: {type: apiKey, apiKey: {keys: [{name: k, secretRef: {name: a, key: k}}]}}"


def render(folder, files=FLEET, env="prod"):
    """Render and return the files below kustomize/, records aside."""
    done = fleetform("render", "--env", env, cwd=write(folder, files))
    assert (done.code, done.out) == (0, ""), done.err
    texts = snapshot(folder / "kustomize")
    return {name: text.decode() for name, text in texts.items() if not name.endswith(".json")}


def overlay(texts, name="helper", env="prod"):
    """Return the kustomization of a workload's overlay."""
    return yaml.load(
        texts[f"overlays/{env}/default/{name}/kustomization.yaml"], Loader=yaml.CSafeLoader
    )


def kinds(text):
    return [item["kind"] for item in yaml.load_all(text, Loader=yaml.CSafeLoader)]


def test_an_environment_that_adds_nothing_has_overlays_of_one_line(tmp_path):
    texts = render(tmp_path)
    assert overlay(texts)["resources"] == ["../../../../base/default/helper"]
    assert overlay(texts).keys() == {"apiVersion", "kind", "resources"}
    assert "Deployment" in kinds(texts["base/default/helper/resources.yaml"])


def test_kustomizations_hold_a_namespace_and_an_environment_together(tmp_path):
    texts = render(tmp_path)
    for top in ("base", "overlays/prod"):
        assert yaml.load(texts[f"{top}/kustomization.yaml"], Loader=yaml.CSafeLoader)[
            "resources"
        ] == ["default"]
        inner = yaml.load(texts[f"{top}/default/kustomization.yaml"], Loader=yaml.CSafeLoader)
        assert inner["resources"] == ["helper"]


def test_an_environment_without_an_abstract_root_holds_everything(tmp_path):
    alone = BASE.replace("abstract: true", "abstract: false").replace("name: base", "name: prod")
    texts = render(tmp_path, {"agents/a.yaml": AGENT, "environments/prod.yaml": alone})
    assert not [name for name in texts if name.startswith("base/")]
    assert overlay(texts)["resources"] == ["resources.yaml"]


def test_images_replicas_and_namespace_are_fields(tmp_path):
    prod = (
        PROD
        + """\
  namespaces: {suffix: -prod}
  images: {pins: {fleetform/agent-runtime: {tag: 2.0.0}}}
  patches: [{target: {kind: Agent}, spec: {scaling: {minReplicas: 3, maxReplicas: 3}}}]
"""
    )
    one = AGENT + MEMORY + "  scaling: {minReplicas: 2, maxReplicas: 2}\n"
    texts = render(tmp_path, {**FLEET, "agents/a.yaml": one, "environments/prod.yaml": prod})
    body = yaml.load(
        texts["overlays/prod/default-prod/helper/kustomization.yaml"], Loader=yaml.CSafeLoader
    )
    assert body["namespace"] == "default-prod"
    assert body["images"] == [{"name": "fleetform/agent-runtime", "newTag": "2.0.0"}]
    assert body["replicas"] == [{"name": "helper", "count": 3}]
    patches = [yaml.load(item["patch"], Loader=yaml.CSafeLoader) for item in body["patches"]]
    version = {"app.kubernetes.io/version": "2.0.0"}
    assert version in [
        patch["metadata"].get("labels") for patch in patches if isinstance(patch, dict)
    ]


def test_a_new_configuration_is_a_resource_and_the_old_one_is_deleted(tmp_path):
    prod = PROD + "  patches: [{target: {kind: Agent}, spec: {systemPrompt: Be kind.}}]\n"
    texts = render(tmp_path, {**FLEET, "environments/prod.yaml": prod})
    assert kinds(texts["overlays/prod/default/helper/resources.yaml"]) == ["ConfigMap"]
    patches = [
        yaml.load(patch["patch"], Loader=yaml.CSafeLoader) for patch in overlay(texts)["patches"]
    ]
    deleted = [item for item in patches if isinstance(item, dict) and item.get("$patch")]
    assert [item["kind"] for item in deleted] == ["ConfigMap"]


ASKING = (
    AGENT.replace("auth: {type: none}", KEY)
    + MEMORY
    + """\
  expose: {}
  service: {type: LoadBalancer, loadBalancerSourceRanges: [203.0.113.0/24]}
  scaling:
    minReplicas: 1
    maxReplicas: 3
    keda: {enabled: true, triggers: [{type: cron, metadata: {timezone: UTC, start: 0 8 * * *, end: 0 18 * * *, desiredReplicas: "3"}}]}
"""
)
ABLE = (
    PROD
    + """\
  capabilities: [keda, gateway-api]
  expose: {host: a.example, services: [{type: LoadBalancer}], gateway: {name: public, namespace: gateways}}
"""
)


def test_what_asks_for_a_capability_of_others_is_in_the_overlay_only(tmp_path):
    files = {**FLEET, "agents/a.yaml": ASKING, "environments/prod.yaml": ABLE}
    texts = render(tmp_path, files)
    asked = {"HTTPRoute", "ScaledObject"}
    assert asked & {*kinds(texts["base/default/helper/resources.yaml"])} == set()
    assert asked <= {*kinds(texts["overlays/prod/default/helper/resources.yaml"])}
    assert "type: ClusterIP" in texts["base/default/helper/resources.yaml"]
    assert "LoadBalancer" in texts["overlays/prod/default/helper/kustomization.yaml"]
    done = fleetform("render", "--check", cwd=tmp_path)
    assert "problem" not in done.err
    assert "warning" not in done.err


def test_a_workload_that_only_environments_can_plan_is_whole_in_their_overlays(tmp_path):
    open_agent = AGENT.replace("  auth: {type: none}\n", "")
    prod = PROD + "  defaults: {Agent: {auth: {type: none}}}\n"
    files = {**FLEET, "agents/a.yaml": open_agent, "environments/prod.yaml": prod}
    texts = render(tmp_path, files)
    assert not [name for name in texts if name.startswith("base/default/helper")]
    assert overlay(texts)["resources"] == ["resources.yaml"]


def test_secrets_from_a_provider_that_the_root_does_not_know_are_not_in_the_base(tmp_path):
    base = BASE + "  secrets: {provider: aws}\n"
    prod = (
        PROD
        + """\
  capabilities: [external-secrets]
  secrets: {store: {operatorIdentity: true, aws: {region: eu-central-1}}}
"""
    )
    keyed = AGENT.replace("auth: {type: none}", "env: [{name: A, value: a}]\n  auth: {type: none}")
    keyed = keyed.replace("provider: ollama", "provider: openai")
    files = {"agents/a.yaml": keyed, "environments/base.yaml": base, "environments/prod.yaml": prod}
    texts = render(tmp_path, files)
    assert "ExternalSecret" in kinds(texts["overlays/prod/default/_namespace/resources.yaml"])
    assert not [name for name in texts if name.startswith("base/default/_namespace")]


def test_two_namespaces_of_one_name_have_no_base(tmp_path):
    two = AGENT.replace("name: helper", "name: helper, namespace: a") + "---\n"
    two += AGENT.replace("name: helper", "name: helper, namespace: b")
    base = BASE + "  namespaces: {map: {a: same, b: same}}\n"
    prod = PROD + "  namespaces: {map: {a: a, b: b}}\n"
    files = {"agents/a.yaml": two, "environments/base.yaml": base, "environments/prod.yaml": prod}
    texts = render(tmp_path, files)
    assert not [name for name in texts if name.startswith("base/")]


def test_the_base_changes_with_the_root_only(tmp_path):
    before = render(tmp_path)
    dev = PROD.replace("name: prod", "name: dev") + "  labels: {stage: dev}\n"
    after = render(tmp_path, {**FLEET, "environments/dev.yaml": dev}, env="dev")
    assert {name: after[name] for name in before} == before
    assert overlay(after, env="dev")["labels"][0]["pairs"] == {"stage": "dev"}
    root = BASE + "  labels: {team: a}\n"
    changed = render(tmp_path, {**FLEET, "environments/base.yaml": root})
    assert "team: a" in changed["base/default/helper/resources.yaml"]


def test_a_text_that_no_patch_survives_keeps_its_workload_whole(tmp_path):
    own = f"""{API}
kind: MCPServer
metadata: {{name: helper}}
spec:
  container: {{image: {{repository: example/own, tag: "1"}}, ports: [{{name: http, containerPort: 80}}]}}
  env: [{{name: A, value: "\\ta"}}]
"""
    prod = PROD + "  patches: [{target: {kind: MCPServer}, spec: {env: [{name: B, value: b}]}}]\n"
    texts = render(tmp_path, {**FLEET, "agents/a.yaml": own, "environments/prod.yaml": prod})
    assert "base/default/helper/resources.yaml" in texts
    assert overlay(texts)["resources"] == ["resources.yaml"]
