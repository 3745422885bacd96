"""The command line as a process: usage, completion, streams."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet import AGENT, API, GOOD, write

COMMAND = Path(sys.executable).with_name("fleetform")


@pytest.mark.parametrize("arguments", [["frobnicate"], ["render", "--frob"], ["diff", "dev"]])
def test_wrong_usage_leaves_with_two(arguments):
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Error" in done.stderr


def test_the_package_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "fleetform", "--version"], capture_output=True, text=True, check=True
    )
    own = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == own.stdout != ""


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
