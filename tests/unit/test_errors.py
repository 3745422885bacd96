"""Every message: the exact text, at the exact place, once, with what to do next."""

import json
import re

import pytest

from fleetform.cli import report
from fleetform.problems import Problem, errors
from tests.errors.cases import CASES, REWRITE, promised, validate
from tests.fleet import AGENT, GOOD, fleetform, write


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
