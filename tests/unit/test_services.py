"""Services that are reached from outside: their type, and whom the pods' policy lets in."""

import pytest

from tests.fleet import API, fleetform, read_yaml, write

SERVER = f"""{API}
kind: MCPServer
metadata: {{name: search, namespace: desk}}
spec:
  container:
    image: {{repository: acme/web, tag: 1.2.3}}
    ports: [{{name: http, containerPort: 8000}}, {{name: dns, containerPort: 53, protocol: UDP}}, {{name: metrics, containerPort: 9000}}]
"""
ENVIRONMENT = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  expose:
    services: [{{type: NodePort}}, {{type: LoadBalancer}}]
    hosts: [{{host: "*.acme.example"}}]
"""
PORTS = [{"protocol": "TCP", "port": 8000}, {"protocol": "UDP", "port": 53}]


def rendered(folder, service, environment="", spec=""):
    """Return the Service of the server, and the ranges that its policy admits to its ports."""
    text = SERVER + f"  service: {service}\n{spec}"
    write(folder, {"agents/a.yaml": text, "environments/prod.yaml": ENVIRONMENT + environment})
    done = fleetform("render", "--env", "prod", cwd=folder)
    assert done.code == 0, done.err
    texts = [file.read_text() for file in (folder / "rendered").rglob("search.yaml")]
    found = {item["kind"]: item for text in texts for item in read_yaml(text)}
    admitted = [
        peer["ipBlock"]["cidr"]
        for rule in found["NetworkPolicy"]["spec"].get("ingress", [])
        for peer in rule["from"]
        if rule["ports"] == PORTS
    ]
    return found["Service"], admitted


BALANCER = "type: LoadBalancer, loadBalancerSourceRanges: [203.0.113.0/24]"


@pytest.mark.parametrize(
    ("service", "environment", "spec", "admitted"),
    [
        ("{annotations: {example.com/a: b}}", "", "", []),
        (f"{{{BALANCER}}}", "", "", ["203.0.113.0/24"]),
        (
            f"{{{BALANCER}, externalTrafficPolicy: Cluster}}",
            "  network: {nodeRanges: [10.4.0.0/16]}\n",
            "",
            ["10.4.0.0/16", "203.0.113.0/24"],
        ),
        (
            f"{{{BALANCER}}}",
            "  network: {nodeRanges: [10.4.0.0/16], gatewayRanges: [10.9.0.0/16]}\n",
            "",
            ["10.9.0.0/16", "203.0.113.0/24"],
        ),
        (
            "{type: NodePort, externalTrafficPolicy: Cluster}",
            "  network: {nodeRanges: [10.4.0.0/16]}\n",
            "",
            ["10.4.0.0/16"],
        ),
    ],
)
def test_pods_admit_whom_the_service_lets_in_and_nobody_to_their_metrics(
    tmp_path, service, environment, spec, admitted
):
    assert rendered(tmp_path, service, environment, spec)[1] == admitted


def test_a_load_balancer_lets_its_pods_see_who_calls(tmp_path):
    service, _ = rendered(tmp_path, f"{{{BALANCER}}}")
    spec = service["spec"]
    assert (spec["type"], spec["externalTrafficPolicy"]) == ("LoadBalancer", "Local")
    assert spec["loadBalancerSourceRanges"] == ["203.0.113.0/24"]


def test_texts_of_annotations_are_no_variables_of_flux(tmp_path):
    service, _ = rendered(tmp_path, '{annotations: {example.com/a: "${B}"}}')
    assert service["metadata"]["annotations"] == {
        "example.com/a": "${B}",
        "kustomize.toolkit.fluxcd.io/substitute": "disabled",
    }


NAME = "external-dns.alpha.kubernetes.io/hostname"


@pytest.mark.parametrize(
    ("service", "environment", "code"),
    [
        (f'{{annotations: {{{NAME}: "a.acme.example, b.acme.example"}}}}', "", ""),
        (f"{{annotations: {{{NAME}: www.example}}}}", "", "does not grant `www.example`"),
        (f'{{annotations: {{{NAME}: "*.acme.example"}}}}', "", "does not grant `*.acme.example`"),
        ("{annotations: {tailscale.com/expose: 'true'}}", "", "no NetworkPolicy covers"),
        (
            "{annotations: {service.kubernetes.io/x: z}}",
            "  patches: [{target: {kind: MCPServer}, spec: {service: {annotations: {service.kubernetes.io/x: z}}}}]\n",
            "",
        ),
        (
            "{}",
            "  defaults: {MCPServer: {service: {type: NodePort}, network: {allowFrom: [{cidr: 10.0.0.0/8}]}}}\n",
            "",
        ),
        (f"{{{BALANCER.replace('203.0.113.0/24', '0.0.0.0/0')}, externalTrafficPolicy: Cluster}}", "", ""),
    ],
)  # fmt: skip
def test_what_a_spec_says_of_its_service_is_granted_or_the_environments(
    tmp_path, service, environment, code
):
    text = SERVER + f"  service: {service}\n"
    write(tmp_path, {"agents/a.yaml": text, "environments/prod.yaml": ENVIRONMENT + environment})
    done = fleetform("validate", "agents", "--env", "prod", cwd=tmp_path)
    found = [line for line in done.err.splitlines() if ": error:" in line]
    assert len(found) == bool(code), done.err
    assert code in "".join(found)


def test_an_agent_behind_a_load_balancer_without_authentication_is_told(tmp_path):
    agent = f"""{API}
kind: Agent
metadata: {{name: helper, namespace: desk}}
spec:
  systemPrompt: You help.
  model: {{provider: ollama, name: qwen3, endpoint: "https://models.example/v1"}}
  auth: {{type: none}}
  service: {{{BALANCER}}}
"""
    environment = ENVIRONMENT + "  images: {pins: {fleetform/agent-runtime: {tag: 1.0.0}}}\n"
    write(tmp_path, {"agents/a.yaml": agent, "environments/prod.yaml": environment})
    done = fleetform("validate", "agents", "--env", "prod", cwd=tmp_path)
    assert "exposed outside the cluster without authentication" in done.err
