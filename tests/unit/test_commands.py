"""What `diff`, `list`, `schema` and help print, and how commands leave."""

import json

import pytest

from fleetform.cli import COMMANDS
from tests.fleet import ENVIRONMENT, GOOD, fleetform, write

DEV = ENVIRONMENT.replace("name: prod", "name: dev").replace("1.0.0", "1.1.0")


def test_diff_of_an_environment_with_itself_is_empty(tmp_path):
    outcome = fleetform("diff", "prod", "prod", cwd=write(tmp_path, GOOD))
    assert (outcome.code, outcome.out) == (0, "")


def test_diff_shows_what_differs_and_leaves_with_three(tmp_path):
    write(tmp_path, {**GOOD, "environments/dev.yaml": DEV})
    outcome = fleetform("diff", "prod", "dev", cwd=tmp_path)
    assert outcome.code == 3
    assert "-        image: fleetform/agent-runtime:1.0.0\n" in outcome.out
    assert "+        image: fleetform/agent-runtime:1.1.0\n" in outcome.out
    assert not (tmp_path / "rendered").exists()


def test_validate_looks_where_every_command_does(tmp_path):
    outcome = fleetform("validate", cwd=write(tmp_path, GOOD))
    assert (outcome.code, outcome.err) == (0, "2 documents valid\n")
    moved = write(tmp_path / "elsewhere", {"agents/a.yaml": GOOD["agents/a.yaml"]})
    outcome = fleetform("validate", "--environments", "../environments", cwd=moved)
    assert (outcome.code, outcome.err) == (0, "2 documents valid\n")


def test_list_names_every_document_and_its_file(tmp_path):
    outcome = fleetform("list", cwd=write(tmp_path, GOOD))
    rows = [line.split() for line in outcome.out.splitlines()]
    assert rows == [
        ["KIND", "NAMESPACE", "NAME", "FILE"],
        ["Agent", "default", "helper", "agents/a.yaml"],
        ["Environment", "prod", "environments/prod.yaml"],
    ]


@pytest.mark.parametrize("option", [["--json"], ["--format", "json"]])
def test_list_can_be_read_by_machines(option, tmp_path):
    outcome = fleetform("list", *option, cwd=write(tmp_path, GOOD))
    assert [row["kind"] for row in json.loads(outcome.out)] == ["Agent", "Environment"]


def test_schema_lists_the_kinds_and_prints_each(tmp_path):
    kinds = fleetform("schema", cwd=tmp_path).out.split()
    assert len(kinds) == 9
    for kind in [*kinds, "any", "agent"]:
        schema = json.loads(fleetform("schema", kind, cwd=tmp_path).out)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_an_unknown_kind_is_wrong_usage(tmp_path):
    outcome = fleetform("schema", "Agnt", cwd=tmp_path)
    assert (outcome.code, "did you mean `Agent`?" in outcome.err) == (2, True)


@pytest.mark.parametrize(
    "arguments", [["--format", "table"], ["spec.scaling"], ["scaling", "--format", "table"]]
)
def test_schema_prints_fields_for_people(arguments, tmp_path):
    outcome = fleetform("schema", "Agent", *arguments, cwd=tmp_path)
    assert outcome.code == 0
    expected = "spec.scaling.minReplicas  integer, 0 to 10000\n    Minimum number of replicas"
    assert expected in outcome.out
    assert "\n    default: 1\n" in outcome.out
    assert ("spec.systemPrompt  " in outcome.out) == (arguments == ["--format", "table"])


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["Agent", "scaling.maxReplica"], "did you mean `spec.scaling.maxReplicas`?"),
        (["Agent", "metadata.nam", "--format", "table"], "did you mean `metadata.name`?"),
        (["Agent", "scaling", "--format", "json"], "write `fleetform schema Agent spec.scaling"),
        (["any", "--format", "table"], "write `fleetform schema Agent spec.scaling"),
        (["any", "spec"], "write `fleetform schema Agent spec.scaling"),
    ],
)
def test_a_table_that_does_not_exist_is_wrong_usage(arguments, hint, tmp_path):
    outcome = fleetform("schema", *arguments, cwd=tmp_path)
    assert (outcome.code, outcome.out) == (2, "")
    assert hint in outcome.err


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_examples(name, tmp_path):
    outcome = fleetform(name, "--help", cwd=tmp_path)
    assert outcome.code == 0
    assert f"fleetform {name}" in outcome.out.split("Examples:")[1]
