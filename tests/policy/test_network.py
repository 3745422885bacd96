"""Who may talk to whom: nothing that a spec does not use, and everything that it does."""

import json
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import pytest

from tests import manifests
from tests.fleet import API, fleetform, read_yaml, write
from tests.manifests import NAMES, Tree, beside, identity, pod, workload_of


@pytest.fixture(params=NAMES)
def tree(request) -> Tree:
    return manifests.tree(request.param)


METADATA = ("169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.169.252")
NAMESPACE = "kubernetes.io/metadata.name"
SANDBOX = "fleetform.dev/sandbox-of"


def rules(policy, side):
    """Yield every (peer, protocol, port) of a policy; `None` stands for all ports."""
    peers = {"ingress": "from", "egress": "to"}[side]
    for rule in policy["spec"].get(side, ()):
        for peer in rule[peers]:
            for port in rule.get("ports", [{"protocol": None, "port": None}]):
                yield peer, port["protocol"], port["port"]


def name_of(peer, own: str) -> tuple[str, str] | None:
    """Return namespace and name of a peer that is one workload of the fleet, or the sandboxes of one."""
    labels = peer.get("podSelector", {}).get("matchLabels", {})
    near = {"matchLabels": {NAMESPACE: own}}
    space = peer.get("namespaceSelector", near).get("matchLabels", {}).get(NAMESPACE)
    return _named(labels, space)


def _named(labels, space: str) -> tuple[str, str] | None:
    if SANDBOX in labels:
        return space, f"{labels[SANDBOX]}, sandboxed"
    if "app.kubernetes.io/instance" in labels:
        return space, labels["app.kubernetes.io/name"]
    return None


def whose(policy) -> tuple[str, str]:
    """Return whose pods a policy is for, as `name_of` names them."""
    space = policy["metadata"]["namespace"]
    labels = policy["spec"]["podSelector"].get("matchLabels", {})
    return _named(labels, space) or (space, policy["metadata"]["name"])


def admits(peer, address: str) -> bool:
    block = peer.get("ipBlock")
    if block is None or ip_address(address) not in ip_network(block["cidr"]):
        return False
    return all(ip_address(address) not in ip_network(part) for part in block.get("except", ()))


def test_every_workload_is_closed_both_ways(tree):
    for policy in tree.of("NetworkPolicy"):
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        for side in ("ingress", "egress"):
            for peer, _, port in rules(policy, side):
                assert peer
                assert port is not None


def test_every_egress_to_a_workload_of_the_fleet_is_an_ingress_there(tree):
    found = [*tree.objects, *beside(tree.name)]
    policies = {whose(item): item for item in found if item["kind"] == "NetworkPolicy"}
    links = {"egress": set(), "ingress": set()}
    for key, policy in policies.items():
        for side, found in links.items():
            for peer, protocol, port in rules(policy, side):
                other = name_of(peer, key[0])
                if other is not None:
                    pair = (key, other) if side == "egress" else (other, key)
                    found.add((*pair, protocol, port))
    assert links["egress"] == links["ingress"]


def test_every_link_leads_to_a_port_that_the_pod_listens_on(tree):
    ports = {
        workload_of(item): {
            (port["protocol"], port["containerPort"])
            for container in pod(item)["containers"]
            for port in container.get("ports", ())
        }
        for item in tree.with_pods()
    }
    for item in tree.of("SandboxTemplate"):
        (port,) = item["spec"]["podTemplate"]["spec"]["containers"][0]["ports"]
        space, name = workload_of(item)
        ports[space, f"{name}, sandboxed"] = {(port["protocol"], port["containerPort"])}
    for policy in tree.of("NetworkPolicy"):
        own = ports[whose(policy)]
        for _, protocol, port in rules(policy, "ingress"):
            assert (protocol, port) in own
        for peer, protocol, port in rules(policy, "egress"):
            other = name_of(peer, whose(policy)[0])
            assert other is None or (protocol, port) in ports[other]


def test_metadata_addresses_are_closed_but_for_the_platforms_own(tree):
    accounts = {identity(item)[2:]: item for item in tree.of("ServiceAccount")}
    named = {workload_of(item): pod(item)["serviceAccountName"] for item in tree.with_pods()}
    for policy in tree.of("NetworkPolicy"):
        account = accounts[workload_of(policy)[0], named[workload_of(policy)]]
        annotations = account["metadata"].get("annotations", {})
        allowed = set()
        if "eks.amazonaws.com/role-arn" in annotations:
            allowed = {("169.254.170.23", 80)}
        if "iam.gke.io/gcp-service-account" in annotations:
            allowed = {("169.254.169.254", 80), ("169.254.169.252", 988)}
        open_ = {
            (address, port)
            for address in METADATA
            for peer, _, port in rules(policy, "egress")
            if admits(peer, address)
        }
        assert open_ == allowed


def test_private_addresses_are_closed_unless_they_are_named(tree):
    for policy in tree.of("NetworkPolicy"):
        for peer, _, _ in rules(policy, "egress"):
            block = peer.get("ipBlock", {})
            if block.get("cidr") == "0.0.0.0/0":
                assert block["except"]
                assert not admits(peer, "169.254.1.1")


def test_everything_that_agent_json_names_is_within_reach(tree):
    policies = {identity(item)[2:]: item for item in tree.of("NetworkPolicy")}
    for item in tree.of("ConfigMap"):
        if "agent.json" not in item["data"]:
            continue
        key = item["metadata"]["namespace"], item["metadata"]["labels"]["app.kubernetes.io/name"]
        egress = [*rules(policies[key], "egress")]
        for host, port in destinations(json.loads(item["data"]["agent.json"])):
            assert any(reaches(peer, open_, host, port) for peer, _, open_ in egress), (host, port)


def destinations(settings):
    """Yield host and port of every URL and server that the runtime will call."""
    memory = settings.get("memory", {})
    if "host" in memory:
        yield memory["host"], memory["port"]
    called = {name: part for name, part in settings.items() if name != "a2a"}  # its own address
    for url in urls(called):
        parts = urlsplit(url)
        yield parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]


def urls(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("endpoint", "url", "card", "issuer", "tokenUrl") and isinstance(value, str):
                yield value
            else:
                yield from urls(value)
    elif isinstance(node, list):
        for value in node:
            yield from urls(value)


def reaches(peer, open_, host, port) -> bool:
    """Tell whether a rule leads to a host; a Service's port may be another one than the pod's."""
    labels = host.split(".")
    if len(labels) >= 3 and labels[2] == "svc":
        space = peer.get("namespaceSelector", {}).get("matchLabels", {}).get(NAMESPACE)
        other = name_of(peer, "")
        return space == labels[1] and (other is None or other[1] == labels[0])
    try:
        address = str(ip_address(host))
    except ValueError:
        address = "93.184.216.34"
    return admits(peer, address) and open_ == port


def test_names_can_be_resolved(tree):
    for policy in tree.of("NetworkPolicy"):
        if SANDBOX in policy["spec"]["podSelector"].get("matchLabels", {}):
            assert "egress" not in policy["spec"], "a sandbox asks nobody"
            continue
        assert {(protocol, port) for _, protocol, port in rules(policy, "egress")} >= {
            ("UDP", 53),
            ("TCP", 53),
        }


AGENT = f"""{API}
kind: Agent
metadata: {{name: helper, namespace: desk}}
spec:
  systemPrompt: You help.
  auth: {{type: none}}
  model: {{provider: vllm, name: m, endpoint: "http://models.desk.svc:8000/v1"}}
  env:
    - {{name: HTTPS_PROXY, value: "10.20.30.40:3128"}}
    - {{name: http_proxy, value: "http://proxy.edge.svc:8080"}}
    - {{name: NO_PROXY, value: ".svc,10.0.0.0/8"}}
"""


def test_the_proxies_of_an_agent_are_within_its_reach(tmp_path):
    write(tmp_path, {"agents/a.yaml": AGENT, "environments/prod.yaml": PROD})
    done = fleetform("render", "--env", "prod", cwd=tmp_path)
    assert done.code == 0, done.err
    texts = [file.read_text() for file in (tmp_path / "rendered").rglob("helper.yaml")]
    found = [item for text in texts for item in read_yaml(text) if item["kind"] == "NetworkPolicy"]
    egress = [*rules(found[0], "egress")]
    assert any(admits(peer, "10.20.30.40") and port == 3128 for peer, _, port in egress)
    assert any(
        port == 8080
        and peer.get("namespaceSelector", {}).get("matchLabels", {}).get(NAMESPACE) == "edge"
        for peer, _, port in egress
    )


def test_what_turns_memories_into_vectors_is_within_reach(tmp_path):
    memory = (
        "  memory:\n    type: in-memory\n    policy:\n      longTermMemory:\n        enabled: true\n        user: me\n"
        '        embedding: {provider: ollama, model: e, endpoint: "http://vectors.shelf.svc:11434/v1"}\n'
    )
    for text, reached in ((AGENT, False), (AGENT + memory, True)):
        write(tmp_path, {"agents/a.yaml": text, "environments/prod.yaml": PROD})
        done = fleetform("render", "--env", "prod", cwd=tmp_path)
        assert done.code == 0, done.err
        (file,) = (tmp_path / "rendered").rglob("helper.yaml")
        (policy,) = [one for one in read_yaml(file.read_text()) if one["kind"] == "NetworkPolicy"]
        spaces = {
            peer.get("namespaceSelector", {}).get("matchLabels", {}).get(NAMESPACE): port
            for peer, _, port in rules(policy, "egress")
        }
        assert (spaces.get("shelf") == 11434) == reached


def test_a_peer_without_ports_means_the_port_that_the_agent_listens_on(tmp_path):
    own = (
        f"---\n{API}\nkind: Agent\nmetadata: {{name: own, namespace: desk}}\nspec:\n  container:\n    image: {{repository: acme/own, tag: '1'}}\n"
        "    ports: [{name: admin, containerPort: 9000}, {name: http, containerPort: 3000}]\n"
        "  network: {allowFrom: [{agent: helper}]}\n"
    )
    text = f"{AGENT}  network: {{allowTo: [{{agent: own}}]}}\n{own}"
    write(tmp_path, {"agents/a.yaml": text, "environments/prod.yaml": PROD})
    done = fleetform("render", "--env", "prod", cwd=tmp_path)
    assert (done.code, "does not admit" in done.err) == (0, False), done.err
    found = {}
    for name, side in (("helper", "egress"), ("own", "ingress")):
        (file,) = (tmp_path / "rendered").rglob(f"{name}.yaml")
        (policy,) = [one for one in read_yaml(file.read_text()) if one["kind"] == "NetworkPolicy"]
        found[side] = {port for peer, _, port in rules(policy, side) if name_of(peer, "desk")}
    assert found == {"egress": {3000}, "ingress": {3000}}


PROD = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
"""
