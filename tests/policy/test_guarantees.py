"""Every promise names a test, and every test that is named is there."""

import ast
import re
from pathlib import Path

import pytest

from tests.tools import ROOT

GUIDE = ROOT / "docs/guarantees.md"
ROWS = [
    line
    for line in GUIDE.read_text("utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| promise")
]
TESTS = re.compile(r"`((?:runtime/)?tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")
LINK = re.compile(r"\]\(([^)#:]+)[^)]*\)")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split(" | ")[0].removeprefix("| "))
def test_a_promise_names_tests_that_exist(row):
    named = TESTS.findall(row)
    assert named
    assert len(named) == row.count("::")
    for file, name in named:
        body = ast.parse((ROOT / file).read_text("utf-8"))
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        functions = {node.name for node in ast.walk(body) if isinstance(node, kinds)}
        assert name in functions, f"{file} has no {name}"


def test_there_are_promises_of_every_kind():
    assert len(ROWS) > 25
    for folder in (
        "hostile",
        "parity",
        "network",
        "policy",
        "cluster",
        "conformance",
        "operators",
        "property",
    ):
        assert any(f"`tests/{folder}/" in row for row in ROWS), folder


@pytest.mark.parametrize("name", ["SECURITY.md", "docs/guarantees.md"])
def test_links_lead_somewhere(name):
    file = ROOT / name
    found = LINK.findall(file.read_text("utf-8"))
    assert found
    assert [link for link in found if not (file.parent / Path(link)).exists()] == []
