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
    "hashlib",
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


PATTERNS = """
import sys
if sys.argv[1] == "before":
    import yaml
import fleetform.reader
from fleetform.pyyaml import CParser, yaml
import re
print(isinstance(yaml.reader.Reader.NON_PRINTABLE, re.Pattern), isinstance(re.compile("a"), re.Pattern))
text = "a: [1, 2.5, 2026-01-01, yes, 0x1F, 1:30, null, '\u00e9']"
print([yaml.load(text, loader) for loader in (yaml.SafeLoader, yaml.CSafeLoader)])
print(issubclass(yaml.CSafeLoader, CParser))
try:
    yaml.safe_load("a: \x01")
except yaml.YAMLError as error:
    print(error)
"""


def test_patterns_of_pyyaml_are_compiled_when_it_reads_itself_and_change_nothing():
    def told(order: str) -> list[str]:
        command = [sys.executable, "-c", PATTERNS, order]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    ours, stock = told("after"), told("before")
    assert (ours[0], stock[0]) == ("False True", "True True")
    assert ours[1:] == stock[1:]
    assert ours[2] == "True"
    assert "special characters are not allowed" in "".join(ours)
