"""Pods for single programs: what they may reach, who reaches them, and that nothing weaker takes their place."""

import json

import pytest

from fleetform.platforms.kubernetes.model import sandbox_selector
from fleetform.platforms.kubernetes.objects import pod_security, sandbox, workload_objects
from tests.fleet import fleetform, read_yaml, write
from tests.parity import plans

PLAN = plans.SANDBOXED


def of(kind, plan=PLAN, name=None):
    found = [item for item in workload_objects(plan) if item["kind"] == kind]
    return [item for item in found if name is None or item["metadata"]["name"] == name]


def template(plan=PLAN):
    (found,) = of("SandboxTemplate", plan)
    return found["spec"]


def test_without_a_program_that_asks_there_is_nothing_of_it():
    plan = PLAN._replace(sandbox=None)
    assert sandbox.build(plan) == ()
    (deployment,) = of("Deployment", plan)
    assert deployment["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_the_pods_are_restricted_and_have_a_kernel_of_their_own():
    pod = template()["podTemplate"]["spec"]
    assert pod["runtimeClassName"] == "gvisor"
    assert pod["automountServiceAccountToken"] is False
    assert [*pod_security.of_template(template()["podTemplate"])] == []
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["args"] == ["sandbox"]
    assert "env" not in container, "nothing of the agent's is there"
    assert [item["name"] for item in pod["volumes"]] == ["tmp"]


def test_they_reach_nothing_and_only_their_agent_reaches_them():
    (policy,) = of("NetworkPolicy", name="base-sandbox")
    labels = template()["podTemplate"]["metadata"]["labels"]
    spec = policy["spec"]
    assert spec["podSelector"]["matchLabels"].items() <= labels.items()
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in spec
    (rule,) = spec["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": PLAN.selector}}]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]


def test_no_service_and_no_policy_takes_them_for_the_agent():
    labels = template()["podTemplate"]["metadata"]["labels"]
    assert not PLAN.selector.items() & labels.items()
    assert not {*PLAN.selector} & {*labels}
    assert sandbox_selector("base").items() <= labels.items()


def test_a_claim_changes_nothing_of_the_template():
    spec = template()
    assert spec["networkPolicyManagement"] == "Unmanaged", "ours is there before any pod"
    assert spec["envVarsInjectionPolicy"] == "Disallowed"
    assert spec["volumeClaimTemplatesPolicy"] == "Disallowed"
    assert spec["service"] is False


def test_the_agent_may_ask_for_pods_and_for_nothing_else():
    (role,) = of("Role")
    assert role["rules"] == [
        {
            "apiGroups": ["extensions.agents.x-k8s.io"],
            "resources": ["sandboxclaims"],
            "verbs": ["create", "get", "delete"],
        }
    ]
    (binding,) = of("RoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "base", "namespace": PLAN.namespace}
    ]
    (deployment,) = of("Deployment")
    assert deployment["spec"]["template"]["spec"]["automountServiceAccountToken"] is True


def test_what_it_may_ask_for_is_beside_what_the_spec_may():
    plan = PLAN._replace(rbac=plans.BASE.rbac)
    assert [item["metadata"]["name"] for item in of("Role", plan)] == ["base", "base-sandbox"]


def test_names_fit_however_long_the_agents_is():
    plan = PLAN._replace(name="n" * 53)
    names = {item["metadata"]["name"] for item in sandbox.build(plan)}
    assert all(len(name) <= 63 for name in names)


AGENT = """
apiVersion: fleetform.dev/v1alpha1
kind: Agent
metadata: {name: helper}
spec:
  systemPrompt: You help.
  model: {provider: ollama, name: qwen3, endpoint: "https://models.example"}
  auth: {type: none}
  tools: [{name: one}, {name: two}, {name: three}]
"""
TOOL = """
apiVersion: fleetform.dev/v1alpha1
kind: Tool
metadata: {name: NAME}
spec:
  type: code
  description: Computes.
  requiresApproval: true
  code: {allowModelCode: true, engine: ENGINE, memory: MEMORY}
"""
ENVIRONMENT = """
apiVersion: fleetform.dev/v1alpha1
kind: Environment
metadata: {name: prod}
spec:
  capabilities: [agent-sandbox]
  images: {pins: {fleetform/agent-runtime: {tag: 1.0.0}}}
  sandboxes: {runtimeClass: gvisor}
  network: {apiServer: [10.0.0.10/32]}
"""


@pytest.fixture
def rendered(tmp_path):
    rows = (("one", "sandbox", "64Mi"), ("two", "sandbox", "300Mi"), ("three", "python", "200Mi"))
    tools = [
        TOOL.replace("NAME", name).replace("ENGINE", engine).replace("MEMORY", memory)
        for name, engine, memory in rows
    ]
    files = {"agents/a.yaml": "---".join([AGENT, *tools]), "environments/prod.yaml": ENVIRONMENT}
    outcome = fleetform("render", "--env", "prod", cwd=write(tmp_path, files))
    assert outcome.code == 0, outcome.err
    root = tmp_path / "rendered/prod"
    return [item for file in sorted(root.rglob("*.yaml")) for item in read_yaml(file.read_text())]


def test_the_largest_program_decides_how_much_a_pod_may_take(rendered):
    objects = rendered
    (found,) = [item for item in objects if item["kind"] == "SandboxTemplate"]
    (container,) = found["spec"]["podTemplate"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "460Mi"
    (config,) = [item for item in objects if item["kind"] == "ConfigMap"]
    written = json.loads(config["data"]["agent.json"])["tools"]
    assert [item.get("pool") for item in written] == ["helper", "helper", None]
    (policy,) = [
        item
        for item in objects
        if item["kind"] == "NetworkPolicy" and item["metadata"]["name"] == "helper"
    ]
    assert {
        "to": [{"podSelector": {"matchLabels": {"fleetform.dev/sandbox-of": "helper"}}}],
        "ports": [{"protocol": "TCP", "port": 8080}],
    } in policy["spec"]["egress"]


@pytest.mark.parametrize(
    ("name", "need"),
    [
        ("pods", 4),
        ("count/pods", 4),
        ("count/sandboxes.agents.x-k8s.io", 3),
        # An agent of the built-in size, and three pods of 300Mi for a program and 160Mi for what runs it.
        ("requests.memory", "736Mi"),
        ("limits.memory", "1892Mi"),
        ("requests.cpu", "250m"),
    ],
)
def test_a_quota_counts_the_pods_that_wait(tmp_path, name, need):
    tools = TOOL.replace("NAME", "one").replace("ENGINE", "sandbox").replace("MEMORY", "300Mi")
    agent = AGENT.replace("[{name: one}, {name: two}, {name: three}]", "[{name: one}]")
    for hard, said in ((need, False), (_less(need), True)):
        environment = ENVIRONMENT.replace("gvisor}", "gvisor, warm: 3}")
        environment += f"  tenants: {{default: {{hard: {{{name}: '{hard}'}}}}}}\n"
        files = {
            "agents/a.yaml": f"{agent}---{tools}",
            "environments/prod.yaml": environment,
        }
        done = fleetform("validate", "agents", "--env", "prod", cwd=write(tmp_path, files))
        assert ("the workloads of `default` need" in done.err) is said, done.err


def _less(amount) -> str:
    digits = "".join(char for char in str(amount) if char.isdigit())
    return f"{int(digits) - 1}{str(amount)[len(digits) :]}"


def test_a_limit_of_the_namespace_is_compared_with_what_a_program_may_take(tmp_path):
    tools = TOOL.replace("NAME", "one").replace("ENGINE", "sandbox").replace("MEMORY", "300Mi")
    agent = AGENT.replace("[{name: one}, {name: two}, {name: three}]", "[{name: one}]")
    agent += "  resources: {limits: {memory: 256Mi}}\n"
    said = []
    for most in ("459Mi", "460Mi"):
        environment = f"{ENVIRONMENT}  tenants: {{default: {{max: {{memory: {most}}}}}}}\n"
        files = {"agents/a.yaml": f"{agent}---{tools}", "environments/prod.yaml": environment}
        done = fleetform("validate", "agents", "--env", "prod", cwd=write(tmp_path, files))
        said.append("no pod of `helper` is created" in done.err)
    assert said == [True, False]


def test_pods_that_wait_cost_too(tmp_path):
    tools = TOOL.replace("NAME", "one").replace("ENGINE", "sandbox").replace("MEMORY", "300Mi")
    agent = AGENT.replace("[{name: one}, {name: two}, {name: three}]", "[{name: one}]")
    environment = ENVIRONMENT.replace("gvisor}", "gvisor, warm: 3}")
    environment += "  cost: {cpuHourUsd: 0.1, memoryGibHourUsd: 0}\n"
    files = {"agents/a.yaml": f"{agent}---{tools}", "environments/prod.yaml": environment}
    words = ("estimate", "--env", "prod", "--format", "json")
    done = fleetform(*words, cwd=write(tmp_path, files))
    assert done.code == 0, done.err
    rows = {row["workload"]: row for row in json.loads(done.out)["rows"]}
    assert rows["helper (sandboxes)"]["usd"]["least"] == pytest.approx(
        730 * 3 * 0.05 * 0.1, abs=0.01
    )
