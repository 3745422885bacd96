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
    command = ["make", "-s", f"FLEETFORM={tool}", "ENVIRONMENTS=prod"]

    def make(*targets: str) -> int:
        done = subprocess.run(
            [*command, *targets], cwd=repository, capture_output=True, check=False
        )
        return done.returncode

    assert make("check") != 0
    assert make("validate", "render", "check", "help") == 0
