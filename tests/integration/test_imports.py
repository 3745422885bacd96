"""Start-up is a feature: what a command imports is bounded."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet import GOOD, write

HEAVY = ("jinja2", "jsonschema", "kubernetes", "pydantic", "requests", "rich", "ruamel")
UNUSED = (
    "typer",
    "dataclasses",
    "inspect",
    "socket",
    "difflib",
    "threading",
    "subprocess",
)
PROBE = """
import sys
from fleetform.cli import main
sys.argv[0] = "fleetform"
try:
    main()
except SystemExit as done:
    code = done.code
print("\\n".join(sorted({name.partition(".")[0] for name in sys.modules})))
sys.exit(code)
"""


def imported(folder: Path, *arguments: str) -> set[str]:
    """Return the packages that a command imports."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split("\n"))


@pytest.mark.parametrize(
    "arguments",
    [("render",), ("render", "--diff"), ("validate", "agents"), ("list",), ("--help",)],
    ids=" ".join,
)
def test_a_command_does_without_what_is_slow_to_import(arguments, tmp_path):
    found = imported(write(tmp_path, GOOD), *arguments)
    assert found & set(HEAVY) == set()


@pytest.mark.parametrize(
    "arguments", [("render",), ("render", "--env", "prod", "--check")], ids=" ".join
)
def test_rendering_with_plain_options_does_without_typer_and_what_few_runs_need(
    arguments, tmp_path
):
    folder = write(tmp_path, GOOD)
    imported(folder, "render")
    found = imported(folder, *arguments)
    assert found & set(UNUSED) == set()
