"""Object patches: who matches, in which order, what null means, and what explain says of them."""

import json

import jsonpatch
import pytest

from fleetform.platforms.kubernetes.objects.judged import validator
from tests.fleet import AGENT, ENVIRONMENT, GOOD, fleetform, read_yaml, write
from tests.tools import ROOT

ENV_PATCHES = """  objectPatches:
    - target: {kind: Deployment, namespace: default, labels: {app.kubernetes.io/component: agent}}
      merge: {spec: {replicas: 2, minReadySeconds: 2, template: {spec: {priorityClassName: low}}}}
"""
OWN_PATCHES = """  objectPatches:
    - target: {kind: Deployment}
      merge: {spec: {minReadySeconds: 1, progressDeadlineSeconds: 900}}
    - target: {kind: Service, name: helper}
      json6902:
        - {op: test, path: /spec/type, value: ClusterIP}
        - {op: add, path: /metadata/labels/example.com~1a, value: x}
        - {op: copy, from: /metadata/labels/example.com~1a, path: /metadata/labels/example.com~1b}
        - {op: move, from: /metadata/labels/example.com~1a, path: /metadata/labels/example.com~1c}
"""
OTHER = AGENT.replace("helper", "other")


def fleet(folder, own=OWN_PATCHES, environment=ENV_PATCHES):
    agents = f"{AGENT}{own}---\n{OTHER}"
    files = {"agents/a.yaml": agents, "environments/prod.yaml": ENVIRONMENT + environment}
    return write(folder, {**GOOD, **files})


def rendered(folder, name):
    outcome = fleetform("render", cwd=folder)
    assert outcome.code == 0, outcome.err
    text = (folder / f"rendered/prod/default/{name}.yaml").read_text()
    return {item["kind"]: item for item in read_yaml(text)}


def test_a_specs_patches_change_its_own_objects_and_the_environments_come_last(tmp_path):
    fleet(tmp_path)
    own, other = rendered(tmp_path, "helper"), rendered(tmp_path, "other")
    spec = own["Deployment"]["spec"]
    assert spec["template"]["spec"]["priorityClassName"] == "low"
    assert spec["replicas"] == 2
    assert (spec["minReadySeconds"], spec["progressDeadlineSeconds"]) == (2, 900)
    labels = own["Service"]["metadata"]["labels"]
    assert {key for key in labels if "example" in key} == {"example.com/b", "example.com/c"}
    assert other["Deployment"]["spec"]["template"]["spec"]["priorityClassName"] == "low"
    assert "progressDeadlineSeconds" not in other["Deployment"]["spec"]
    assert "example.com/b" not in other["Service"]["metadata"]["labels"]


def test_patches_of_environments_add_up_along_the_chain(tmp_path):
    fleet(tmp_path, own="")
    child = ENVIRONMENT.replace("prod", "child") + (
        "  extends: prod\n"
        "  objectPatches:\n"
        "    - target: {kind: Deployment}\n"
        "      merge: {spec: {replicas: 3}}\n"
    )
    write(tmp_path, {"environments/child.yaml": child})
    assert fleetform("render", "--env", "child", cwd=tmp_path).code == 0
    text = (tmp_path / "rendered/child/default/helper.yaml").read_text()
    (deployment,) = [item for item in read_yaml(text) if item["kind"] == "Deployment"]
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["template"]["spec"]["priorityClassName"] == "low"


def test_explain_says_which_patch_set_what_over_what(tmp_path):
    fleet(tmp_path)
    field = "Deployment/helper.spec.minReadySeconds"
    outcome = fleetform("explain", "Agent/helper", field, "--json", cwd=tmp_path)
    (entry,) = json.loads(outcome.out)
    assert entry["final"] == {
        "value": 2,
        "layer": "spec.objectPatches[0] of Environment prod",
        "file": "environments/prod.yaml",
        "line": 7,
    }
    assert [(over["value"], over["file"], over["line"]) for over in entry["overridden"]] == [
        (1, "agents/a.yaml", 9),
        (None, "", 0),
    ]
    whole = fleetform("explain", "Agent/helper", cwd=tmp_path).out
    assert "Service/helper.metadata.labels.example.com/b" in whole
    assert "Deployment/other" not in whole
    assert "spec.systemPrompt" in whole


def test_without_a_patch_explain_plans_nothing(tmp_path):
    fleet(tmp_path, own="", environment="")
    assert "Deployment/" not in fleetform("explain", "Agent/helper", cwd=tmp_path).out


def test_every_object_of_the_example_fleet_passes_the_schema_that_patches_are_judged_by():
    kinds = set()
    for file in ROOT.glob("rendered/*/**/*.yaml"):
        for item in read_yaml(file.read_text("utf-8")):
            if item["kind"] != "Kustomization":
                assert validator(item["kind"]).is_valid(item), (file, item["kind"])
                kinds.add(item["kind"])
    assert len(kinds) > 15


@pytest.mark.parametrize(
    "file", sorted((ROOT / "schemas/objects").glob("*.json")), ids=lambda f: f.stem
)
def test_every_schema_of_an_object_can_be_used(file):
    kind = json.loads(file.read_text("utf-8"))["properties"]["kind"]["enum"][0]
    assert file.stem == kind.lower()
    assert not validator(kind).is_valid({"kind": kind})


def test_the_library_does_what_rfc_6902_says_of_the_edges():
    document = {"a": [1, 2], "m~n": 0, "x/y": 1}
    operations = [
        {"op": "add", "path": "/a/-", "value": 3},
        {"op": "replace", "path": "/m~0n", "value": None},
        {"op": "copy", "from": "/x~1y", "path": "/z"},
    ]
    changed = jsonpatch.apply_patch(document, operations)
    assert changed == {"a": [1, 2, 3], "m~n": None, "x/y": 1, "z": 1}
    assert document["a"] == [1, 2]
