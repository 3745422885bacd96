"""What a workflow may say, how its expressions are read, what an agent is asked, and what a run may be given."""

import json

import pytest
from pydantic import ValidationError

from fleetform_runtime.workflows import expressions
from fleetform_runtime.workflows.asking import asked, schema
from fleetform_runtime.workflows.submitting import completed, named, of_words
from runtime.tests.workflows import STEP, workflow

DATA = {
    "input": {"n": 1.5, "list": [{"a": "x"}], "yes": True, "text": "{{ .input.n }}"},
    "steps": {},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ .input.n }}", 1.5),
        ("{{.input.list}}", [{"a": "x"}]),
        ("{{ .input.list.0.a }}", "x"),
        ("{{ .input.yes }}", True),
        ("{{ .input.text }}", "{{ .input.n }}"),
        ("n: {{ .input.n }}, {{ .input.text }}", "n: 1.5, {{ .input.n }}"),
        (" {{ .input.yes }}", " true"),
        ("no hole", "no hole"),
        ({"a": ["{{ .input.n }}", {"b": "{{ .input.yes }}"}]}, {"a": [1.5, {"b": True}]}),
    ],
)
def test_an_expression_keeps_its_type_and_what_it_brings_is_data(text, value):
    assert expressions.filled(text, DATA) == value


@pytest.mark.parametrize(
    "path", [".input.x", ".input.n.x", ".input.list.1", ".input.list.-1", ".steps.a.output.b"]
)
def test_a_path_that_leads_nowhere_is_told(path):
    with pytest.raises(expressions.AbsentError, match=f"there is no {path}"):
        expressions.filled(f"{{{{ {path} }}}}", DATA)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"steps": [STEP, STEP]}, "two steps are named one"),
        ({"steps": [STEP | {"dependsOn": ["two"]}]}, "depends on two, which is no step"),
        ({"steps": [STEP | {"dependsOn": ["b"]}, {"name": "b", "agent": "writer", "dependsOn": ["one"]}]}, "wait for each other: b, one"),
        ({"steps": [STEP | {"agent": "other"}]}, "there is no agent other"),
        ({"steps": [STEP | {"input": {"x": "{{ .env.HOME }}"}}]}, "refers to neither"),
        ({"steps": [STEP | {"input": {"x": "{{ len .input }}"}}]}, "is no path"),
        ({"output": {"x": "{{ .steps.one }}"}}, "refers to neither"),
        ({"notify": True}, "notification is missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused(changes, told):
    with pytest.raises(ValidationError, match=told):
        workflow(definition=changes)


def test_an_agent_is_asked_for_what_the_workflow_needs():
    one = STEP | {
        "output": [{"name": "data", "path": ".result.data"}, {"name": "all", "path": ".result"}]
    }
    two = STEP | {"name": "two", "dependsOn": ["one"], "input": {"x": "{{ .steps.one.output.data.rows.0 }}"},
                  "output": [{"name": "text", "path": ".result"}]}  # fmt: skip
    settings = workflow(
        definition={"steps": [one, two], "output": {"s": "{{ .steps.one.output.data.sources }}"}}
    )
    first, second = settings.definition.steps
    wanted = schema(settings.definition, first)
    assert wanted == {
        "type": "object",
        "required": ["result"],
        "properties": {
            "result": {
                "type": "object",
                "required": ["data"],
                "properties": {
                    "data": {
                        "type": "object",
                        "required": ["rows", "sources"],
                        "properties": {"rows": {}, "sources": {}},
                    }
                },
            }
        },
    }
    assert json.dumps(wanted, separators=(",", ":")) in asked("r", first, wanted)
    assert schema(settings.definition, second) is None
    assert "JSON" not in asked("r", second, None)


INPUTS = [
    {"name": "topic", "type": "string", "required": True, "maxLength": 5},
    {"name": "depth", "type": "string", "default": "quick", "enum": ["quick", "deep"]},
    {"name": "count", "type": "integer"},
    {"name": "tags", "type": "array", "items": {"type": "string"}},
]
TAKES = workflow(definition={"input": INPUTS}).definition


def test_inputs_have_their_defaults():
    assert completed(TAKES, {"topic": "AI", "count": 3}) == {
        "topic": "AI",
        "depth": "quick",
        "count": 3,
    }


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({}, "the input topic is missing"),
        ({"topic": "AI", "other": 1, "more": 2}, "there is no input more; there is no input other"),
        ({"topic": "much too long"}, "topic"),
        ({"topic": "AI", "depth": "none"}, "depth"),
        ({"topic": "AI", "count": "3"}, "count"),
        ({"topic": "AI", "tags": [1]}, "tags"),
        ({"topic": None}, "topic"),
        ({"topic": "AI", "tags": ["x" * 1000] * 300}, "more than 262144 bytes"),
    ],
)
def test_wrong_inputs_are_told_by_name(given_, told):
    with pytest.raises(ValueError, match=told):
        completed(TAKES, given_)


def test_words_of_a_command_line_are_inputs_of_their_type():
    words = ["topic=a=b", "count=3", 'tags=["x"]', "other=7"]
    assert of_words(TAKES, words) == {"topic": "a=b", "count": 3, "tags": ["x"], "other": "7"}
    for wrong in (["topic"], ["=x"], ["topic=a", "topic=b"], ["count=three"]):
        with pytest.raises(ValueError, match=r"name=value|twice|write JSON"):
            of_words(TAKES, wrong)


@pytest.mark.parametrize("name", ["a", "report", "x" * 63, f"{'y' * 51}-zzz"])
def test_a_name_is_drawn_that_a_label_takes(name):
    found = named(name)
    assert len(found) <= 63
    assert found != named(name)
    assert "--" not in found
