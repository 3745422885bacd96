"""Codes of Problems: each is said by a case, and none is asked for that nothing says."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import fleetform as package
from tests.errors.cases import CASES, promised

SOURCE = Path(package.__file__).parent
TESTS = Path(__file__).parents[1]
STAGES = (
    "load.py",
    "parse.py",
    "reader.py",
    "dialects",
    "check.py",
    "resolve",
    "rules",
    "plan",
    "platforms",
    "pipeline.py",
)
SAYS = frozenset(
    ("Problem", "problem", "_problem", "problem_at", "say", "whole_file", "_missing_field", "Fault")
)
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+|alias|bom|crlf|empty|merged|outside|tag")

# What stands in no spec but on the disk or the command line: test_load.py, test_bad_input.py, test_lifelong.py,
# test_paths.py, test_amplification.py, test_argo_workflows.py.
ELSEWHERE = {
    *(
        "config-too-big",
        "extends-too-much",
        "for-life",
        "no-cluster",
        "nothing-to-render",
        "refers-too-much",
        "release-too-big",
    ),
    *("not-a-file", "other-engine", "outside", "too-big", "too-many-documents", "unreadable"),
}


def _calls(file: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
            name = name.id if isinstance(name, ast.Name) else name
            if name in SAYS:
                yield node


def codes(stages: Iterable[str] = STAGES) -> set[str]:
    """Return every code of a Problem that some stages may say, by default those before writing."""
    files = [SOURCE / stage for stage in stages]
    files = [file for path in files for file in ([path] if path.is_file() else path.rglob("*.py"))]
    found = set()
    for file in files:
        for call in _calls(file):
            words = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
            named = [word for word in words if isinstance(word, str) and CODE.fullmatch(word)]
            found.update(named[:1])
    return found


def test_every_code_in_the_source_is_said_by_a_case():
    said = codes()
    assert len(said) > 90
    assert said - {*map(promised, CASES)} - ELSEWHERE == set()


def _asked_for(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the codes that a test compares those of Problems with: `item.code == "…"`, `"…" in {row["code"] …}`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        parts = [*ast.walk(node)]
        if any(
            ast.unparse(part).endswith((".code", "['code']")) for part in parts if _is_place(part)
        ):
            for part in parts:
                value = part.value if isinstance(part, ast.Constant) else None
                if isinstance(value, str) and CODE.fullmatch(value):
                    yield part.lineno, value


def _is_place(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute | ast.Subscript)


def test_every_code_that_a_test_asks_for_can_be_said():
    """A test that looks for a code which nothing says any more finds nothing, and passes for ever."""
    said = codes([""]) | ELSEWHERE | {*map(promised, CASES)}
    asked = [
        (f"{file.relative_to(TESTS)}:{line}", code)
        for file in sorted(TESTS.rglob("*.py"))
        for line, code in _asked_for(ast.parse(file.read_text("utf-8")))
    ]
    assert len({code for _, code in asked}) > 20
    assert [place for place in asked if place[1] not in said] == []
    assert [*_asked_for(ast.parse("[i for i in p if i.code == 'not-served']"))] == [
        (1, "not-served")
    ]
