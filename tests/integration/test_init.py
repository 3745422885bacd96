"""What `fleetform init` writes works with make."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet import fleetform


@pytest.fixture
def repository(tmp_path) -> Path:
    assert fleetform("init", "acme", cwd=tmp_path).code == 0
    return tmp_path / "acme"


def test_make_validates_renders_and_checks(repository):
    tool = Path(sys.executable).parent / "fleetform"
    command = [
        "make",
        "-s",
        f"FLEETFORM={tool}",
    ]

    def make(*targets: str) -> int:
        done = subprocess.run(
            [*command, *targets], cwd=repository, capture_output=True, check=False
        )
        return done.returncode

    assert make("check") != 0
    assert make("validate", "render") == 0
    assert make("check") != 0  # of dev
    assert make("render", "ENV=dev") == 0
    assert make("check") == 0


def test_without_the_tool_make_still_helps_and_says_what_to_do(repository):
    def make(target: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "-s", "FLEETFORM=/nowhere/fleetform", target]
        return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)

    assert "render" in make("help").stdout
    assert make("help").returncode == 0
    done = make("render")
    assert done.returncode != 0
    assert "put it on PATH, or run make FLEETFORM=/path/to/fleetform" in done.stderr


def test_keys_and_conversations_are_not_committed(repository):
    for path in (".env", ".fleetform/sessions/a.json"):
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text("secret")
    subprocess.run(["git", "init", "-q"], cwd=repository, check=True)
    done = subprocess.run(
        ["git", "status", "--short", "--untracked-files=all"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "agents/hello/agent.yaml" in done.stdout
    assert ".env" not in done.stdout
    assert ".fleetform/" not in done.stdout
