"""Metadata addresses stay closed wherever a document may write an address, in every notation, the environment's too."""

import json

import pytest

from fleetform import kinds
from fleetform.rules import urls
from fleetform.validators import schema
from tests.fleet import AGENT, API, ENVIRONMENT, fleetform, write

ADDRESSES = ("169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fe80::1", "168.63.129.16")  # fmt: skip
HOSTS = ("169.254.169.254", "metadata.google.internal", "0xa9fea9fe", "[fd00:ec2::254]", "[::ffff:a9fe:a9fe]")  # fmt: skip
SERVER = f"""{API}
kind: MCPServer
metadata: {{name: files}}
spec:
  container: {{image: {{repository: REPOSITORY, tag: 1.0.0}}, ports: [{{name: http, containerPort: 80}}]}}
"""


def said(folder, spec: str = AGENT, environment: str = "") -> set[str]:
    write(folder, {"agents/a.yaml": spec, "environments/prod.yaml": ENVIRONMENT + environment})
    done = fleetform("validate", "--env", "prod", "--format", "json", cwd=folder)
    return {row["code"] for row in json.loads(done.out) if row["severity"] == "error"}


def aliases(address: str) -> str:
    return json.dumps({"hostAliases": [{"ip": address, "hostnames": ["a.example"]}]})


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_name_is_given_to_a_closed_address(address, tmp_path):
    template = f"podTemplate: {aliases(address)}"
    whole = f"{{target: {{kind: Deployment}}, merge: {{spec: {{template: {{spec: {aliases(address)}}}}}}}}}"
    assert said(tmp_path, f"{AGENT}  {template}\n") == {"closed-address"}
    assert said(tmp_path, environment=f"  defaults: {{Agent: {{{template}}}}}\n") == {
        "closed-address"
    }
    patch = f"  patches: [{{target: {{kind: Agent}}, spec: {{{template}}}}}]\n"
    assert said(tmp_path, environment=patch) == {"closed-address"}
    assert said(tmp_path, environment=f"  objectPatches: [{whole}]\n") == {"closed-address"}


def test_an_open_address_may_have_a_name_anywhere(tmp_path):
    whole = f"{{target: {{kind: Deployment}}, merge: {{spec: {{template: {{spec: {aliases('10.1.2.3')}}}}}}}}}"
    assert said(tmp_path, environment=f"  objectPatches: [{whole}]\n") == set()


@pytest.mark.parametrize(
    "block",
    [
        {"cidr": "0.0.0.0/0"},
        {"cidr": "::/0"},
        {"cidr": "169.254.0.0/17"},
        {"cidr": "169.254.169.254/32"},
        {"cidr": "169.0.0.0/8", "except": ["169.254.169.254/32"]},
    ],
    ids=json.dumps,
)
def test_no_patch_opens_a_closed_range(block, tmp_path):
    """Nor everything, which a rule that names nobody is."""
    rule = "{op: add, path: /spec/egress/-, value: {ports: [{port: 80, protocol: TCP}]}}"
    everybody = f"  objectPatches: [{{target: {{kind: NetworkPolicy}}, json6902: [{rule}]}}]\n"
    assert said(tmp_path, environment=everybody) == {"closed-address"}
    operation = {"op": "add", "path": "/spec/egress/-", "value": {"to": [{"ipBlock": block}]}}
    patch = json.dumps({"target": {"kind": "NetworkPolicy"}, "json6902": [operation]})
    assert said(tmp_path, environment=f"  objectPatches: [{patch}]\n") == {"closed-address"}


@pytest.mark.parametrize("block", [{"cidr": "10.0.0.0/8"}, {"cidr": "169.0.0.0/8", "except": ["169.254.0.0/16"]}])  # fmt: skip
def test_a_patch_opens_what_is_not_closed(block, tmp_path):
    operation = {"op": "add", "path": "/spec/egress/-", "value": {"to": [{"ipBlock": block}]}}
    patch = json.dumps({"target": {"kind": "NetworkPolicy"}, "json6902": [operation]})
    assert said(tmp_path, environment=f"  objectPatches: [{patch}]\n") == set()


@pytest.mark.parametrize("host", HOSTS)
def test_no_variable_leads_to_a_closed_address(host, tmp_path):
    refused = {"closed-address"}
    assert said(tmp_path, f'{AGENT}  env: [{{name: ANY, value: "http://{host}/x"}}]\n') == refused
    assert said(tmp_path, f'{AGENT}  env: [{{name: https_proxy, value: "{host}:80"}}]\n') == refused
    assert said(tmp_path, f'{AGENT}  env: [{{name: NO_PROXY, value: "{host}"}}]\n') == set()


@pytest.mark.parametrize("host", ["169.254.169.254", "169.254.169.254:5000", "metadata.google.internal"])  # fmt: skip
def test_no_node_pulls_from_a_closed_address(host, tmp_path):
    refused = {"closed-address"}
    assert said(tmp_path, SERVER.replace("REPOSITORY", f'"{host}/files"')) == refused
    registry = (
        f"  images: {{registry: '{host}', pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}\n"
    )
    environment = ENVIRONMENT.partition("  images")[0] + registry
    write(tmp_path, {"agents/a.yaml": AGENT, "environments/prod.yaml": environment})
    assert "stays closed" in fleetform("validate", "--env", "prod", cwd=tmp_path).err
    assert said(tmp_path, SERVER.replace("REPOSITORY", "registry.example/169.254.169.254")) == set()


LINKS = {"corsOrigins": "nobody connects to it", "runbooks": "people follow it"}
"""URLs that no machine of a cluster asks."""


def addressed(kind: str) -> set[str]:
    """Return the names of the fields of a kind's schema that hold URLs, by their patterns."""
    found = set()
    for part, definition in schema(kind)["$defs"].items():
        if kind == "Environment" and part in OF_SPECS:
            continue
        for name, rule in definition.get("properties", {}).items():
            if any("https?:" in str(item.get("pattern")) for item in (rule, rule.get("items", {}))):
                found.add(name)
    return found - LINKS.keys()


OF_SPECS = {part for kind in kinds.NAMES for part in schema(kind)["$defs"] if kind != "Environment"}


@pytest.mark.parametrize("kind", [kind for kind in kinds.NAMES if kind != "AgentTemplate"])
def test_every_url_of_a_document_is_looked_at(kind):
    """A template's are those of the agents that extend it."""
    found = addressed(kind)
    known = urls.ENVIRONMENT_KEYS if kind == "Environment" else urls.KEYS
    assert found <= known, "add them to rules/urls.py"
    assert not found or kind == "Environment" or kind in kinds.WITH_HOSTS


@pytest.mark.parametrize("host", HOSTS)
def test_no_card_is_read_at_a_closed_address(host, tmp_path):
    tool = f"{API}\nkind: Tool\nmetadata: {{name: t}}\nspec: {{type: agent, description: Helps., agent: {{card: 'https://{host}/card.json'}}}}\n"
    assert said(tmp_path, f"{AGENT}  tools: [{{name: t}}]\n---\n{tool}") >= {"closed-address"}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    "line",
    [
        "observability: {tracing: {enabled: true, endpoint: 'https://HOST'}}",
        "serve: {auth: {type: oidc, oidc: {issuer: 'https://HOST', audience: a}}}",
    ],
)
def test_no_workflow_asks_a_closed_address(line, host, tmp_path):
    steps = "steps: [{name: a, agent: helper, input: {message: hi}}]"
    workflow = f"{API}\nkind: Workflow\nmetadata: {{name: w}}\nspec:\n  {steps}\n  {line.replace('HOST', host)}\n"
    assert said(tmp_path, f"{AGENT}---\n{workflow}") >= {"closed-address"}
