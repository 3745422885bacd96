"""Every message: the exact text, at the exact place, once, with what to do next."""

import ast
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import fleetform as package
from fleetform.cli import report
from fleetform.problems import Problem, errors
from tests.errors.cases import CASES, REWRITE, validate
from tests.fleet import AGENT, GOOD, fleetform, write

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


def promised(case: Path) -> str:
    """Return the code that a case is named after."""
    return case.name.partition(".")[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_message_is_exactly(case, capsys):
    """It has a hint, and the code that the case is named after; no other error is said."""
    problems = [Problem(**row) for row in json.loads(validate(case, "json").out)]
    assert promised(case) in {problem.code for problem in problems}
    assert len(errors(problems)) <= 1
    assert all(problem.hint for problem in problems)
    expected = case / "expected.txt"
    assert expected.exists(), f"{expected} is missing: {REWRITE}"
    report.show(problems, report.Format.TEXT)
    valid = "" if errors(problems) else r"\d+ documents? valid\n"
    shown = re.escape(capsys.readouterr().err) + valid
    assert re.fullmatch(shown, expected.read_text("utf-8"))


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


def test_a_configuration_that_no_config_map_holds_is_refused(tmp_path):
    text = f"{AGENT}  container:\n    image: {{repository: example/own, tag: '1'}}\n"
    files = f'    configFiles: {{a: &half "{"x" * 600_000}", b: *half}}\n'
    write(tmp_path, {**GOOD, "agents/a.yaml": text + files})
    outcome = fleetform("render", cwd=tmp_path)
    assert outcome.code == 1
    assert (
        "agents/a.yaml:4:1: error: spec: the configuration has 1200002 bytes, a ConfigMap holds "
        "1 MiB\n  hint: shorten the prompt, or move reference text into a tool\n"
    ) in outcome.err
