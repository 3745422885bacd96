"""`fleetform policy` lists what opens the network fence, where it was set."""

import pytest

from fleetform import kinds
from fleetform.validators import schema
from tests.fleet import AGENT, ENVIRONMENT, GOOD, fleetform, write
from tests.policy.test_command import weakened

SPECS = {
    "network: {allowTo: [{cidr: 0.0.0.0/0}]}": "network.allowTo[0].cidr = 0.0.0.0/0",
    'network: {allowTo: [{cidr: "::/0"}]}': "network.allowTo[0].cidr = ::/0",
    "network: {allowTo: [{cidr: 8.0.0.0/8}]}": "network.allowTo[0].cidr = 8.0.0.0/8",
    "network: {allowTo: [{cidr: 10.1.0.0/16}]}": "network.allowTo[0].cidr = 10.1.0.0/16",
    "network: {allowTo: [{namespace: tools}]}": "network.allowTo[0].namespace = tools",
    "network: {allowFrom: [{cidr: 203.0.113.0/24}]}": "network.allowFrom[0].cidr = 203.0.113.0/24",
    "network: {allowFrom: [{namespace: tools}]}": "network.allowFrom[0].namespace = tools",
    "network: {allowFrom: [{agent: tools/other}]}": "network.allowFrom[0].agent = tools/other",
    'identity: {awsRoleArn: "arn:aws:iam::123456789012:role/a"}': (
        "identity.awsRoleArn = arn:aws:iam::123456789012:role/a"
    ),
    'rbac: {scope: cluster, rules: [{apiGroups: [""], resources: [nodes], verbs: [get]}]}': (
        "rbac.scope = cluster"
    ),
    "service: {type: LoadBalancer}": "service.type = LoadBalancer",
    "service: {type: NodePort}": "service.type = NodePort",
    "service: {type: LoadBalancer, loadBalancerSourceRanges: [203.0.113.0/24]}": (
        "service.loadBalancerSourceRanges[0] = 203.0.113.0/24"
    ),
    'corsOrigins: ["https://app.example.com"]': "corsOrigins[0] = https://app.example.com",
}
QUEUE = "type: aws-sqs-queue, metadata: {queueURL: https://sqs.eu-west-1.amazonaws.com/1/q, awsRegion: eu-west-1, queueLength: '5'"
UP = "type: prometheus, metadata: {serverAddress: https://p.example, query: up, threshold: '1'"
TRIGGERS = {
    f"{QUEUE}, identityOwner: operator}}": "identityOwner = operator",
    f"{UP}, unsafeSsl: 'true'}}": "unsafeSsl = true",
    f"{UP}, ignoreNullValues: 'true'}}": "ignoreNullValues = true",
}
CLOSED = (
    "network: {allowTo: [{cidr: 203.0.113.0/24}]}",
    "network: {allowTo: [{host: api.example.com, ports: [443]}]}",
    "network: {allowFrom: [{agent: helper}]}",
    "network: {allowFrom: [{agent: default/helper}]}",
)
ENVIRONMENTS = {
    "expose: {hosts: [{host: '*.example.com'}]}": "expose.hosts[0].host = *.example.com",
    "expose: {services: [{type: NodePort}]}": "expose.services[0].type = NodePort",
    "expose: {services: [{type: LoadBalancer, annotations: [a.kubernetes.io/b]}]}": (
        "expose.services[0].annotations[0] = a.kubernetes.io/b"
    ),
    "network: {nodeRanges: [10.0.0.0/8]}": "network.nodeRanges[0] = 10.0.0.0/8",
    "patches: [{target: {kind: Agent}, spec: {podTemplate: {priorityClassName: system-node-critical}}}]": (
        "podTemplate.priorityClassName = system-node-critical"
    ),
    "network: {unencrypted: [models.example]}": "network.unencrypted[0] = models.example",
    "priorityClasses: [important]": "priorityClasses[0] = important",
    "network: {privateRanges: []}": "network.privateRanges = []",
    "network: {privateRanges: [10.0.0.0/8]}": "network.privateRanges[0] = 10.0.0.0/8",
    "network: {gatewayRanges: [0.0.0.0/0]}": "network.gatewayRanges[0] = 0.0.0.0/0",
    "network: {apiServer: [0.0.0.0/0]}": "network.apiServer[0] = 0.0.0.0/0",
    'secrets: {remoteKey: "{name}"}': "secrets.remoteKey = {name}",
}


@pytest.mark.parametrize(("line", "place"), SPECS.items(), ids=SPECS)
def test_what_a_spec_opens_is_listed(line, place, tmp_path):
    write(tmp_path, {**GOOD, "agents/a.yaml": f"{AGENT}  {line}\n"})
    assert ("agents/a.yaml:8", f"spec.{place}") in weakened(tmp_path)


@pytest.mark.parametrize(("trigger", "place"), TRIGGERS.items(), ids=TRIGGERS)
def test_what_a_trigger_weakens_is_listed(trigger, place, tmp_path):
    scaling = f"  scaling: {{maxReplicas: 3, keda: {{triggers: [{{{trigger}}}]}}}}\n"
    agent = f"{AGENT}  memory: {{type: none}}\n{scaling}"
    environment = f"{ENVIRONMENT}  capabilities: [keda]\n"
    write(tmp_path, {"agents/a.yaml": agent, "environments/prod.yaml": environment})
    found = ("agents/a.yaml:9", f"spec.scaling.keda.triggers[0].metadata.{place}")
    assert found in weakened(tmp_path)


def test_what_is_shared_is_listed(tmp_path):
    tool = "apiVersion: fleetform.dev/v1alpha1\nkind: Tool\nmetadata: {name: t, namespace: a}\n"
    spec = (
        'spec: {type: api, description: x, api: {endpoint: "https://x.example"}, shareWith: [b]}\n'
    )
    write(tmp_path, {**GOOD, "agents/t.yaml": tool + spec})
    assert ("agents/t.yaml:4", "spec.shareWith[0] = b") in weakened(tmp_path)


@pytest.mark.parametrize("line", CLOSED)
def test_what_is_narrow_is_not(line, tmp_path):
    write(tmp_path, {**GOOD, "agents/a.yaml": f"{AGENT}  {line}\n"})
    assert {path for _, path in weakened(tmp_path)} == {"spec.auth.type = none"}


@pytest.mark.parametrize(("line", "place"), ENVIRONMENTS.items(), ids=ENVIRONMENTS)
def test_what_an_environment_opens_is_listed(line, place, tmp_path):
    write(tmp_path, {**GOOD, "environments/prod.yaml": f"{ENVIRONMENT}  {line}\n"})
    assert any(path == f"spec.{place}" for _, path in weakened(tmp_path))


NOBODY = {"allow", "capabilities", "apiServer"}
"""Lists of which an empty one means none, as it says."""


def test_no_empty_list_means_everything():
    found = {
        (kind, part, name): rule.get("minItems", 0)
        for kind in kinds.NAMES
        for part, definition in schema(kind)["$defs"].items()
        for name, rule in definition.get("properties", {}).items()
        if rule.get("type") == "array"
        and ("Default: all" in rule["description"] or "Default: any" in rule["description"])
    }
    assert len(found) > 5
    assert {name for (_, _, name), least in found.items() if not least} == NOBODY


@pytest.mark.parametrize(
    "line",
    [
        "network: {dnsLabels: {}}",
        "expose: {hosts: [{host: a.example.com, namespaces: []}]}",
        "expose: {services: [{type: NodePort, namespaces: []}]}",
    ],
)
def test_an_empty_selection_is_refused_where_it_would_be_everything(line, tmp_path):
    write(tmp_path, {**GOOD, "environments/prod.yaml": f"{ENVIRONMENT}  {line}\n"})
    assert fleetform("validate", "--env", "prod", cwd=tmp_path).code == 1


def test_a_right_to_no_name_is_no_right_to_all(tmp_path):
    rule = '{apiGroups: [""], resources: [configmaps], resourceNames: [], verbs: [get]}'
    write(tmp_path, {**GOOD, "agents/a.yaml": f"{AGENT}  rbac: {{rules: [{rule}]}}\n"})
    assert "resourceNames" in fleetform("validate", "--env", "prod", cwd=tmp_path).err
