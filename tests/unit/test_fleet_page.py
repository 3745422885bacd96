"""The page of a fleet: which agents it leads to, who learns which token, and what of it is in each target."""

import json

import pytest

from fleetform_runtime.fleet.settings import FleetSettings
from tests.fleet import API, fleetform, read_yaml, write
from tests.unit.test_workflows import of

OIDC = '{type: oidc, oidc: {issuer: "https://login.example", audience: us}}'
KEYS = "{type: apiKey, apiKey: {keys: [{name: all, secretRef: {name: keys, key: all}}]}}"


def environment(
    page: str = f"{{namespace: desk, auth: {OIDC}}}",
    more: str = "",
    capabilities: str = "gateway-api",
) -> str:
    return f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
  capabilities: [{capabilities}]
  namespaces: {{suffix: -x}}
  expose:
    host: agents.example
    hosts: [{{host: own.example}}]
    gateway: {{name: public, namespace: gateways}}
    page: {page}
{more}"""


def agent(name: str = "helper", more: str = "", auth: str = OIDC, space: str = "desk") -> str:
    return f"""---
{API}
kind: Agent
metadata: {{name: {name}, namespace: {space}}}
spec:
  displayName: The {name}
  systemPrompt: You help.
  model: {{provider: ollama, name: qwen3, endpoint: "https://models.example"}}
  memory: {{type: none}}
  auth: {auth}
  expose: {{}}
{more}"""


def rendered(folder, agents, where=None):
    files = {"agents/a.yaml": agents, "environments/prod.yaml": where or environment()}
    outcome = fleetform("render", cwd=write(folder, files))
    assert outcome.code == 0, outcome.err
    root = folder / "rendered/prod"
    found = [item for file in sorted(root.rglob("*.yaml")) for item in read_yaml(file.read_text())]
    return [item for item in found if "metadata" in item]


def listed(objects) -> dict[str, dict]:
    data = of(objects, "ConfigMap", "fleet-page-config")["data"]
    document = json.loads(data["fleet.json"])
    FleetSettings.model_validate_json(data["fleet.json"])
    return {item["name"]: item for item in document["agents"]}


def test_it_leads_to_every_agent_with_a_page_wherever_it_is(tmp_path):
    found = listed(
        rendered(
            tmp_path,
            agent()
            + agent("other", space="shop")
            + agent("elsewhere").replace("expose: {}", "expose: {host: own.example}")
            + agent("moved").replace("expose: {}", "expose: {path: /moved}"),
        )
    )
    assert {name: (item["path"], item["namespace"]) for name, item in found.items()} == {
        "helper": ("/agents/helper/", "desk-x"),
        "other": ("/agents/other/", "shop-x"),
        "elsewhere": ("https://own.example/", "desk-x"),
        "moved": ("/moved/", "desk-x"),
    }
    assert found["helper"]["title"] == "The helper"


OWN = f"""---
{API}
kind: Agent
metadata: {{name: own, namespace: desk}}
spec:
  auth: {{type: none}}
  expose: {{}}
  container: {{image: {{repository: example.com/own, tag: "1"}}, ports: [{{name: http, containerPort: 80}}]}}
"""


@pytest.mark.parametrize(
    "other",
    [
        agent("other", "  ui: false\n"),
        agent("other").replace("  expose: {}\n", ""),
        agent("other").replace("  expose: {}\n", "  canaryOf: helper\n  weight: 5\n"),
        OWN,
    ],
    ids=["no page", "not exposed", "a canary", "an image of its own"],
)
def test_it_does_not_lead_to_what_has_no_page_of_its_own(tmp_path, other):
    assert [*listed(rendered(tmp_path, agent() + other))] == ["helper"]


@pytest.mark.parametrize(
    ("page", "auth", "way"),
    [
        (OIDC, OIDC, "shared"),
        (OIDC, OIDC.replace("us", "them"), None),
        (OIDC, OIDC.replace("login", "other"), None),
        (OIDC, KEYS, None),
        (KEYS, KEYS, None),
        (KEYS, OIDC, None),
        ("{type: none}", OIDC, None),
        (OIDC, "{type: none}", "none"),
    ],
)
def test_a_token_goes_where_the_same_issuer_made_it_for_the_same_audience(
    tmp_path, page, auth, way
):
    where = environment(f"{{namespace: desk, auth: {page}}}")
    assert listed(rendered(tmp_path, agent(auth=auth), where))["helper"].get("signIn") == way


def test_no_token_goes_to_another_host(tmp_path):
    text = agent().replace("expose: {}", "expose: {host: own.example}")
    assert "signIn" not in listed(rendered(tmp_path, text))["helper"]


def test_it_is_at_the_root_of_the_host_and_reaches_nothing_but_its_issuer(tmp_path):
    objects = rendered(tmp_path, agent())
    route = of(objects, "HTTPRoute", "fleet-page")
    assert route["spec"]["hostnames"] == ["agents.example"]
    (rule,) = route["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
    assert "filters" not in rule
    policy = of(objects, "NetworkPolicy", "fleet-page")["spec"]
    assert {port["port"] for item in policy["egress"] for port in item["ports"]} == {53, 443}
    pod = of(objects, "Deployment", "fleet-page")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["args"] == ["fleet", "--config", "/etc/fleetform/fleet.json"]


def test_without_an_issuer_it_reaches_nothing_at_all(tmp_path):
    where = environment(f"{{namespace: desk, auth: {KEYS}}}")
    policy = of(rendered(tmp_path, agent(), where), "NetworkPolicy", "fleet-page")["spec"]
    assert {port["port"] for item in policy["egress"] for port in item["ports"]} == {53}


def test_what_an_environment_says_of_its_pods_holds(tmp_path):
    page = (
        f"{{namespace: desk, name: front, title: Ours, auth: {OIDC}, replicas: 3, "
        "resources: {limits: {memory: 300Mi}}, placement: {nodeSelector: {disk: ssd}}}"
    )
    objects = rendered(tmp_path, agent(), environment(page))
    spec = of(objects, "Deployment", "front")["spec"]
    assert spec["replicas"] == 3
    pod = spec["template"]["spec"]
    assert pod["nodeSelector"] == {"disk": "ssd"}
    assert pod["containers"][0]["resources"]["limits"]["memory"] == "300Mi"
    data = of(objects, "ConfigMap", "front-config")["data"]["fleet.json"]
    assert json.loads(data)["page"] == {"name": "front", "namespace": "desk-x", "title": "Ours"}


def test_it_rolls_when_an_agent_comes_and_agents_do_not(tmp_path):
    names = []
    for text in (agent(), agent() + agent("other")):
        objects = rendered(tmp_path, text)
        configs = [item["metadata"]["name"] for item in objects if item["kind"] == "ConfigMap"]
        names.append(
            {
                "page": next(name for name in configs if name.startswith("fleet-page")),
                "helper": next(name for name in configs if name.startswith("helper")),
            }
        )
    assert names[0]["page"] != names[1]["page"]
    assert names[0]["helper"] == names[1]["helper"]


def test_an_open_page_is_a_weakening(tmp_path):
    where = environment("{namespace: desk, auth: {type: none}}")
    files = {"agents/a.yaml": agent(), "environments/prod.yaml": where}
    said = fleetform("policy", "--env", "prod", "--format", "json", cwd=write(tmp_path, files))
    (found,) = json.loads(said.out)["weakened"]
    assert found["path"] == "spec.expose.page.auth.type = none"


@pytest.mark.parametrize("target", ["helm", "kustomize", "flux", "argocd"])
def test_every_target_of_a_cluster_has_it(tmp_path, target):
    more = f"  targets: [{target}]\n"
    if target in ("flux", "argocd"):
        more = f"  targets: [manifests, {target}]\n"
        more += f"  gitops: {{tool: {target}, source: {{url: https://git.example/fleet.git}}}}\n"
    files = {"agents/a.yaml": agent(), "environments/prod.yaml": environment(more=more)}
    outcome = fleetform("render", cwd=write(tmp_path, files))
    assert outcome.code == 0, outcome.err
    assert any("fleet-page" in file.name for file in tmp_path.rglob("*")) or target == "flux"


def test_compose_has_no_host_for_it(tmp_path):
    where = environment(more="  targets: [compose]\n")
    files = {"agents/a.yaml": agent(), "environments/prod.yaml": where}
    outcome = fleetform("render", cwd=write(tmp_path, files))
    assert "expose.page" in outcome.err
    assert "fleet-page" not in "".join(
        file.read_text() for file in (tmp_path / "compose").rglob("*.yaml")
    )


def test_a_base_that_cannot_expose_it_leaves_it_to_those_that_extend_it(tmp_path):
    page = environment(capabilities="").replace("name: prod", "name: base").replace("spec:\n", "spec:\n  abstract: true\n", 1)  # fmt: skip
    prod = f"{API}\nkind: Environment\nmetadata: {{name: prod}}\nspec: {{extends: base, capabilities: [gateway-api], targets: [kustomize]}}\n"
    files = {
        "agents/a.yaml": agent(),
        "environments/base.yaml": page,
        "environments/prod.yaml": prod,
    }
    outcome = fleetform("render", cwd=write(tmp_path, files))
    assert outcome.code == 0, outcome.err
    base = "".join(file.read_text() for file in (tmp_path / "kustomize/base").rglob("*.yaml"))
    assert "kind: HTTPRoute" not in base
    overlay = "".join(
        file.read_text() for file in (tmp_path / "kustomize/overlays").rglob("*.yaml")
    )
    assert "name: fleet-page" in overlay
