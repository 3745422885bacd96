"""Which routes from outside get along: granted hosts, and paths that take no other workload's requests."""

from pathlib import Path

import pytest

from tests.fleet import API, fleetform, read_yaml, write

ENVIRONMENT = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  capabilities: [gateway-api]
  network: {{gatewayNamespace: gateways}}
  expose:
    host: agents.example
    gateway: {{name: public, namespace: gateways}}
    hosts:
      - {{host: "*.open.example"}}
      - {{host: desk.example, namespaces: [desk]}}
      - {{host: both.example, namespaces: [desk, shop]}}
"""


def server(name: str, namespace: str, expose: str) -> str:
    return f"""{API}
kind: MCPServer
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  container:
    image: {{repository: acme/web, tag: 1.2.3}}
    ports: [{{name: http, containerPort: 8080}}]
  expose: {expose}
"""


def said(folder: Path, *documents: str, environment: str = ENVIRONMENT) -> list[str]:
    """Return the errors of a fleet of one document per file."""
    files = {f"agents/{number}.yaml": text for number, text in enumerate(documents)}
    write(folder, {**files, "environments/prod.yaml": environment})
    done = fleetform("validate", "agents", "--env", "prod", cwd=folder)
    return [line for line in done.err.splitlines() if ": error:" in line]


@pytest.mark.parametrize("kind", ["HTTPRoute", "Ingress"])
@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("{}", "{}", False),
        ("{}", "{path: /agents/one/chat}", True),
        ("{}", "{path: /agents/one/}", True),
        ("{}", "{path: /Agents/ONE}", True),
        ("{}", "{path: /agents}", True),
        ("{}", "{path: /}", True),
        ("{}", "{host: agents.example}", True),
        ("{}", "{path: /agents/one-more}", False),
        ("{path: /a}", "{path: /ab}", False),
        ("{path: /a}", "{path: /a/}", True),
        ("{path: /a}", "{path: /A/b}", True),
        ("{host: x.open.example}", "{host: x.open.example, path: /b}", True),
        ("{host: x.open.example, path: /a}", "{host: x.open.example, path: /b}", False),
        ("{host: x.open.example}", "{host: y.open.example}", False),
        ("{hosts: [x.open.example]}", "{host: y.open.example, hosts: [x.open.example]}", True),
        ("{hosts: [agents.example], path: /agents/two}", "{}", True),
        ("{host: x.open.example, hosts: [z.open.example]}", "{hosts: [y.open.example]}", False),
    ],
)
def test_two_routes_get_along_only_where_no_request_could_go_to_either(
    tmp_path, kind, one, other, clash
):
    routes = [text.replace("}", f", type: {kind}}}").replace("{,", "{") for text in (one, other)]
    found = said(tmp_path, server("one", "desk", routes[0]), server("two", "desk", routes[1]))
    assert len(found) == clash, found
    assert not clash or "agents/0.yaml" in found[0]
    assert not clash or "agents/1.yaml" in found[0]


AGENT = f"""{API}
kind: Agent
metadata: {{name: helper, namespace: desk}}
spec:
  systemPrompt: You help.
  model: {{provider: ollama, name: qwen3, endpoint: "https://models.example"}}
  auth: {{type: none}}
"""


@pytest.mark.parametrize(
    ("spec", "redirected"),
    [
        ("  expose: {}\n", "/agents/helper"),
        ("  expose: {path: /help}\n", "/help"),
        ("  expose: {path: /help/}\n", "/help"),
        ("  expose: {host: x.open.example}\n", None),
        ("  expose: {}\n  ui: false\n", None),
        (
            "  expose: {}\n  container: {image: {repository: acme/own, tag: 1.2.3}, ports: [{name: http, containerPort: 80}]}\n",
            None,
        ),
    ],
)
def test_a_page_below_a_prefix_is_reached_without_the_slash_too(tmp_path, spec, redirected):
    """Its files are relative to the path: what is exact is matched before what is a prefix."""
    environment = f"{ENVIRONMENT}  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}\n"
    write(tmp_path, {"agents/a.yaml": AGENT + spec, "environments/prod.yaml": environment})
    done = fleetform("render", "--env", "prod", cwd=tmp_path)
    assert done.code == 0, done.err
    objects = read_yaml((tmp_path / "rendered/prod/desk/helper.yaml").read_text())
    (route,) = [item for item in objects if item["kind"] == "HTTPRoute"]
    _, *others = route["spec"]["rules"]
    to = {"path": {"type": "ReplaceFullPath", "replaceFullPath": f"{redirected}/"}}
    assert others == (
        [
            {
                "matches": [{"path": {"type": "Exact", "value": redirected}}],
                "filters": [
                    {"type": "RequestRedirect", "requestRedirect": to | {"statusCode": 302}}
                ],
            }
        ]
        if redirected
        else []
    )


@pytest.mark.parametrize(
    ("host", "namespace", "granted"),
    [
        ("agents.example", "shop", True),
        ("x.open.example", "shop", True),
        ("a.b.open.example", "shop", True),
        ("open.example", "shop", False),
        ("xopen.example", "shop", False),
        ("desk.example", "desk", True),
        ("desk.example", "shop", False),
        ("www.desk.example", "desk", False),
        ("www.acme.example", "desk", False),
        ("gateway", "desk", False),
    ],
)
def test_a_host_is_granted_to_a_namespace(tmp_path, host, namespace, granted):
    for number, expose in enumerate((f"{{host: {host}}}", f"{{hosts: [{host}]}}")):
        found = said(tmp_path / str(number), server("one", namespace, expose))
        assert (found == []) is granted


def test_what_the_environment_sets_needs_no_grant(tmp_path):
    patch = "  patches: [{target: {kind: MCPServer}, spec: {expose: {host: www.example}}}]\n"
    own = server("one", "desk", "{host: evil.example}")
    assert said(tmp_path / "a", own, environment=ENVIRONMENT + patch) == []
    default = "  defaults: {MCPServer: {expose: {host: www.example}}}\n"
    assert (
        said(tmp_path / "b", server("one", "desk", "{}"), environment=ENVIRONMENT + default) == []
    )
    assert len(said(tmp_path / "c", own, environment=ENVIRONMENT + default)) == 1
    further = patch.replace("host: www.example", "hosts: [www.example, other.example]")
    environment = ENVIRONMENT + further
    assert said(tmp_path / "d", server("one", "desk", "{}"), environment=environment) == []
    own = server("one", "desk", "{hosts: [evil.example]}")
    assert len(said(tmp_path / "e", own, environment=ENVIRONMENT + default)) == 1


def test_a_host_that_is_named_twice_is_no_clash_of_a_route_with_itself(tmp_path):
    twice = "{host: x.open.example, hosts: [y.open.example, x.open.example]}"
    found = said(tmp_path, server("one", "desk", twice))
    assert len(found) == 1
    assert "spec.expose.hosts[1]: `x.open.example` is named twice" in found[0]


def test_no_route_is_for_an_address(tmp_path):
    environment = ENVIRONMENT.replace("host: agents.example", "host: 10.1.2.3")
    found = said(tmp_path, server("one", "desk", "{}"), environment=environment)
    assert len(found) == 1
    assert "spec.expose.host: `10.1.2.3` is an address" in found[0]


@pytest.mark.parametrize(("host", "clash"), [("agents.example", 0), ("both.example", 0), ("x.open.example", 1)])  # fmt: skip
def test_a_host_belongs_to_one_namespace_unless_it_is_shared_by_name(tmp_path, host, clash):
    one, two = f"{{host: {host}, path: /a}}", f"{{host: {host}, path: /b}}"
    assert len(said(tmp_path, server("one", "desk", one), server("two", "shop", two))) == clash
