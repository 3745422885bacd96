"""`fleetform policy` says what is enforced, by codes that exist, and finds every place that weakens it."""

import json

import pytest

from fleetform import policies
from fleetform.platforms.kubernetes.objects import admission
from tests.errors.cases import CASES
from tests.fleet import AGENT, API, ENVIRONMENT, GOOD, fleetform, write
from tests.house.test_codes import ELSEWHERE
from tests.tools import ROOT


def test_every_code_that_keeps_a_policy_is_said_somewhere():
    named = {code for item in policies.POLICIES for code in item.codes}
    said = {case.name.partition(".")[0] for case in CASES}
    assert named <= said | ELSEWHERE
    assert all(item.codes for item in policies.POLICIES if item.kept == "refused")


def test_names_are_unique_and_sources_are_given():
    names = [item.name for item in policies.POLICIES]
    assert len({*names}) == len(names) > 10
    assert all(item.source and item.says for item in policies.POLICIES)


def test_every_field_that_weakens_is_found_where_it_is_used(tmp_path):
    weak = (
        AGENT
        + "  podTemplate: {writableRootFilesystem: true}\n"
        + '  rbac:\n    rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]\n'
        + "    allowDangerous: [secrets]\n"
    )
    write(tmp_path, {**GOOD, "agents/a.yaml": weak})
    done = fleetform("policy", "--format", "json", cwd=tmp_path)
    assert done.code == 0
    found = {
        (item["file"], item["line"], item["path"]) for item in json.loads(done.out)["weakened"]
    }
    assert found == {
        ("agents/a.yaml", 7, "spec.auth.type = none"),
        ("agents/a.yaml", 8, "spec.podTemplate.writableRootFilesystem = True"),
        ("agents/a.yaml", 11, "spec.rbac.allowDangerous[0] = secrets"),
    }


def test_approvers_of_their_own_calls_weaken(tmp_path):
    keys = ", ".join(f"{{name: {name}, secretRef: {{name: keys, key: {name}}}}}" for name in "ab")
    weak = AGENT.replace(
        "  auth: {type: none}\n", f"  auth: {{type: apiKey, apiKey: {{keys: [{keys}]}}}}\n"
    )
    weak += '  tools: [{name: t, endpoint: "https://t.example", requiresApproval: true}]\n'
    weak += "  approvals: {approvers: {keys: [a]}, self: true}\n"
    write(tmp_path, {**GOOD, "agents/a.yaml": weak})
    assert weakened(tmp_path) == {("agents/a.yaml:9", "spec.approvals.self = True"): ["prod"]}
    write(tmp_path, {"agents/a.yaml": weak.replace("self: true", "self: false")})
    assert weakened(tmp_path) == {}


def test_memories_of_one_user_whoever_calls_weaken(tmp_path):
    weak = (
        AGENT + "  memory: {type: in-memory, policy: {longTermMemory: {enabled: true, user: me}}}\n"
    )
    write(tmp_path, {**GOOD, "agents/a.yaml": weak})
    paths = {path for _, path in weakened(tmp_path)}
    assert paths == {
        "spec.auth.type = none",
        "spec.memory.policy.longTermMemory.user = me",
    }


def weakened(folder, *arguments):
    """Return what is weakened: places with their environments."""
    done = fleetform("policy", "--format", "json", *arguments, cwd=folder)
    assert done.code == 0, done.err
    rows = json.loads(done.out)["weakened"]
    return {(f"{row['file']}:{row['line']}", row["path"]): row["environments"] for row in rows}


def test_what_weakens_stands_where_it_was_set_with_its_environments(tmp_path):
    agents = {
        "agents/a.yaml": AGENT.replace("  auth: {type: none}\n", "  extends: base\n"),
        "agents/t.yaml": f"{API}\nkind: AgentTemplate\nmetadata: {{name: base}}\nspec:\n  auth: {{type: none}}\n",
    }
    patch = """  patches:
    - target: {kind: Agent}
      spec:
        serviceAccount: robot
        podTemplate: {annotations: {sidecar.istio.io/inject: "false", example.com/x: z}}
        objectPatches:
          - target: {kind: Service}
            merge: {spec: {type: NodePort}}
          - target: {kind: Service}
            merge: {spec: {sessionAffinity: ClientIP}}
  objectPatches:
    - target: {kind: NetworkPolicy}
      json6902: [{op: test, path: /spec, value: 1}, {op: remove, path: /spec/egress}]
    - target: {kind: Deployment}
      merge: {metadata: {labels: {team: a}}, spec: {minReadySeconds: 3}}
"""
    environments = {
        "environments/base.yaml": ENVIRONMENT.replace("prod", "base") + "  abstract: true\n",
        "environments/dev.yaml": ENVIRONMENT.replace("prod", "dev"),
        "environments/prod.yaml": ENVIRONMENT + patch,
    }
    write(tmp_path, {**agents, **environments})
    both = {("agents/t.yaml:5", "spec.auth.type = none"): ["dev", "prod"]}
    assert weakened(tmp_path) == {
        **both,
        ("environments/prod.yaml:9", "spec.serviceAccount = robot"): ["prod"],
        (
            "environments/prod.yaml:10",
            "spec.podTemplate.annotations.sidecar.istio.io/inject = false",
        ): ["prod"],
        ("environments/prod.yaml:12", "spec.objectPatches[0].target"): ["prod"],
        ("environments/prod.yaml:17", "spec.objectPatches[0].target"): ["prod"],
    }
    assert weakened(tmp_path, "--env", "dev") == {next(iter(both)): ["dev"]}
    text = fleetform("policy", "--env", "prod", cwd=tmp_path).out
    assert "changes spec.egress of a NetworkPolicy, which no spec may\n  in prod\n" in text


def test_without_an_environment_the_specs_are_read_alone(tmp_path):
    write(tmp_path, {"agents/a.yaml": AGENT})
    assert weakened(tmp_path) == {("agents/a.yaml:7", "spec.auth.type = none"): []}


def test_an_environment_that_is_not_there_is_said(tmp_path):
    done = fleetform("policy", "--env", "prodd", cwd=write(tmp_path, GOOD))
    assert done.code == 1
    assert "there is no environment `prodd`" in done.err


@pytest.mark.parametrize(
    ("patch", "count"),
    [
        ('{op: replace, path: "", value: {}}', 1),
        ("{op: add, path: /metadata/annotations, value: {}}", 0),
        ("{op: add, path: /metadata/annotations, value: {example.com/a: b}}", 0),
        ("{op: copy, from: /metadata/labels/app, path: /metadata/labels/squad}", 0),
        ("{op: move, from: /metadata/labels/app, path: /metadata/labels/squad}", 1),
        ("{op: remove, path: /metadata/annotations/example.com~1a}", 1),
        ("{op: add, path: /spec/template/spec/containers/-, value: {}}", 1),
        (f"{{op: add, path: /spec/template/spec/containers/{'9' * 5000}/image, value: x}}", 1),
        (
            "{op: add, path: /spec/template/spec/containers/0/readinessProbe/periodSeconds, value: 9}",
            0,
        ),
    ],
)
def test_a_patch_weakens_by_the_places_that_it_names(patch, count, tmp_path):
    lines = f"  objectPatches: [{{target: {{kind: Deployment}}, json6902: [{patch}]}}]\n"
    files = {**GOOD, "environments/prod.yaml": ENVIRONMENT + lines}
    found = weakened(write(tmp_path, files))
    assert len([path for _, path in found if "objectPatches" in path]) == count


def test_the_example_fleet_weakens_little_and_but_for_one_scope_in_environments():
    found = weakened(ROOT)
    specs = {path for place, path in found if not place.startswith("environments/")}
    confirmed = {path for path in specs if path.startswith("spec.rbac.allowDangerous[")}
    assert specs - confirmed == {"spec.rbac.scope = cluster"}
    others = [names for (_, path), names in found.items() if path not in confirmed]
    # In prod two groups of people have rights and a backup has a role, besides what is said of the cluster.
    assert sorted(others) == [["dev", "prod", "staging"], *[["prod"]] * 5, ["staging"]]
    assert {path for _, path in weakened(ROOT, "--env", "dev")} == specs


def test_a_fleet_that_weakens_nothing_says_so(tmp_path):
    keys = "{keys: [{name: gateway, secretRef: {name: keys, key: gateway}}]}"
    safe = AGENT.replace("auth: {type: none}", f"auth: {{type: apiKey, apiKey: {keys}}}")
    done = fleetform("policy", cwd=write(tmp_path, {**GOOD, "agents/a.yaml": safe}))
    assert done.code == 0
    assert done.out.endswith("nothing weakened\n")
    for item in policies.POLICIES:
        assert f"{item.name}: {item.says}\n" in done.out


def test_broken_specs_are_said_first(tmp_path):
    write(tmp_path, {**GOOD, "agents/a.yaml": "a: [\n"})
    done = fleetform("policy", cwd=tmp_path)
    assert done.code == 1
    assert "agents/a.yaml:2:1: error: not valid YAML" in done.err


def test_admission_policies_are_printed_without_reading_a_spec(tmp_path):
    done = fleetform("policy", "--admission", cwd=tmp_path)
    assert done.code == 0
    assert done.out.count("kind: ValidatingAdmissionPolicy\n") == len(admission.RULES)
    assert done.out.count("kind: ValidatingAdmissionPolicyBinding\n") == len(admission.RULES)
