"""`fleetform policy` says what is enforced, by codes that exist, and finds every place that weakens it."""

import json

from fleetform import policies
from fleetform.platforms.kubernetes.objects import admission
from tests.errors.cases import CASES
from tests.fleet import AGENT, GOOD, fleetform, write
from tests.tools import ROOT
from tests.unit.test_errors import ELSEWHERE


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
        ("agents/a.yaml", 8, "spec.podTemplate.writableRootFilesystem = True"),
        ("agents/a.yaml", 11, "spec.rbac.allowDangerous[0] = secrets"),
    }


def test_a_fleet_that_weakens_nothing_says_so():
    done = fleetform("policy", cwd=ROOT)
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
