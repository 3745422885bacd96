"""Graphs as text: every node and every arrow, and no text that breaks out of its quotes."""

import json
import re

import pytest

from fleetform.drawing import FORMS, Edge, Node, drawn
from tests.fleet import fleetform
from tests.tools import ROOT

NODES = [Node("a/x", 'x "y"\n<b> & \\', "a"), Node("a/z", "z", "a", is_round=True), Node("o", "o")]
EDGES = [Edge("a/x", "a/z", 'says "no"'), Edge("a/z", "o")]


def test_mermaid_escapes_what_it_would_read():
    assert drawn("mermaid", NODES, EDGES).splitlines() == [
        "flowchart LR",
        '  subgraph f0["a"]',
        '    n0["x &quot;y&quot;<br>&lt;b> &amp; \\"]',
        '    n1(["z"])',
        "  end",
        '  n2["o"]',
        '  n0 -->|"says &quot;no&quot;"| n1',
        "  n1 --> n2",
    ]


def test_dot_escapes_what_it_would_read():
    text = drawn("dot", NODES, EDGES)
    labels = [json.loads(found) for found in re.findall(r"label=(\"(?:[^\"\\]|\\.)*\")", text)]
    assert labels == ["a", 'x "y"\n<b> & \\', "z", "o", 'says "no"']
    assert text.count("->") == 2


@pytest.mark.parametrize("form", FORMS)
def test_the_example_fleet_is_drawn_with_who_calls_whom(form):
    outcome = fleetform("graph", "--env", "prod", "--format", form, cwd=ROOT)
    assert outcome.code == 0, outcome.err
    assert "research-run-001" in outcome.out
    assert "langfuse" not in outcome.out
    outside = fleetform("graph", "--env", "prod", "--format", form, "--outside", cwd=ROOT).out
    assert "langfuse" in outside


def test_a_workflow_is_drawn_step_by_step():
    outcome = fleetform("graph", "research-report-workflow", "--env", "prod", cwd=ROOT)
    assert outcome.code == 0, outcome.err
    assert 'n4["write-report<br>writer-agent"]' in outcome.out
    assert "  n2 --> n4\n  n3 --> n4\n" in outcome.out
    assert outcome.out in (ROOT / "docs/workflows.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nowhere"], 1, "there is no workflow `nowhere`"),
        (["research-report-workflw"], 1, "did you mean `research-report-workflow`"),
        (["--format", "svg"], 2, "--format is mermaid or dot"),
    ],
)
def test_what_cannot_be_drawn_is_told(words, code, told):
    outcome = fleetform("graph", *words, "--env", "prod", cwd=ROOT)
    assert (outcome.code, outcome.out) == (code, "")
    assert told in outcome.err
