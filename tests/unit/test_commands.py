"""What `diff`, `list`, `schema` and help print, and how commands leave."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fleetform.cli import COMMANDS
from tests.fleet import AGENT, API, ENVIRONMENT, GOOD, fleetform, write

DEV = ENVIRONMENT.replace("name: prod", "name: dev").replace("1.0.0", "1.1.0")
COMMAND = Path(sys.executable).with_name("fleetform")


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


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_examples(name, tmp_path):
    outcome = fleetform(name, "--help", cwd=tmp_path)
    assert outcome.code == 0
    assert f"fleetform {name}" in outcome.out.split("Examples:")[1]


@pytest.mark.parametrize("arguments", [["frobnicate"], ["render", "--frob"], ["diff", "dev"]])
def test_wrong_usage_leaves_with_two(arguments):
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Error" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_completion(shell):
    environment = {"_FLEETFORM_COMPLETE": f"source_{shell}", "PATH": ""}
    done = subprocess.run([COMMAND], env=environment, capture_output=True, text=True, check=True)
    assert "fleetform" in done.stdout


def test_a_full_disk_behind_standard_output_is_a_problem(tmp_path):
    write(tmp_path, GOOD)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COMMAND, "list"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write the output")


def test_a_reader_that_goes_away_is_none(tmp_path):
    agents = "---\n".join(AGENT.replace("helper", f"helper-{n}") for n in range(400))
    write(tmp_path, {**GOOD, "agents/a.yaml": agents})
    command = f"'{COMMAND}' list --json | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[\n", "")


def test_colour_stays_off_where_nobody_sees_it(tmp_path):
    write(tmp_path, {**GOOD, "agents/b.yaml": f"{API}\nkind: Agnt\n"})
    done = subprocess.run(
        [COMMAND, "validate", "agents"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
