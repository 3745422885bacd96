"""What agents of others answer in a step, however odd, becomes a value or a reason, and never the end of the engine."""

import json
from typing import Any

import pytest
from aiohttp import web

from fleetform_runtime import jsons
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.telemetry import logs
from fleetform_runtime.workflows import expressions
from fleetform_runtime.workflows.calls import A2aCaller, CallError, Message, of_text
from fleetform_runtime.workflows.records import StepState, read_step, step_json
from fleetform_runtime.workflows.settings import StepAgent
from fleetform_runtime.workflows.submitting import of_file, of_words, submitted
from runtime.tests.upstreams import upstream
from runtime.tests.workflows import store, workflow

pytestmark = pytest.mark.anyio
K = {"properties": {"result": {"required": ["k"]}}}
LONG = "123456789012345678901234567890"
USAGE = "https://fleetform.dev/a2a/usage/v1"


@pytest.mark.parametrize(
    ("text", "wanted", "value"),
    [
        ("It rose [1], and fell [2].", None, "It rose [1], and fell [2]."),
        ('Use {"a": 1} as an example.', None, 'Use {"a": 1} as an example.'),
        ('Sure. {"result": [1]} Anything else?', None, {"result": [1]}),
        ("[1]", None, [1]),
        ("```json\n[1]\n```", None, [1]),
        ('```json {"a": 1} ```', None, {"a": 1}),
        ("```markdown\n# Title\n```", None, "```markdown\n# Title\n```"),
        ('{"k": 1}\n\nNote: {this} holds.', K, {"k": 1}),
        ('```json\n{"k": "```py\\n1\\n```"}\n```\nBye {x}', K, {"k": "```py\n1\n```"}),
        ('As [1] says, {"a": 2} is none. {"k": {"b": "}"}} {z}', K, {"k": {"b": "}"}}),
        ("{" * 50_000, K, "{" * 50_000),
        ("[" * 300 + "]" * 300, None, "[" * 300 + "]" * 300),
        ('{"k": 1', K, '{"k": 1'),
        ("7", None, "7"),
        ("", None, ""),
    ],
)
def test_an_answer_is_the_json_that_is_meant_and_otherwise_its_text(text, wanted, value):
    assert of_text(text, wanted) == value


@pytest.mark.parametrize(
    ("text", "is_same"),
    [
        ('{"b": [{"x": "é", "y": null}], "a": 1}', True),
        ('{"a": true, "b": [{"x": "é", "y": null}]}', False),
        ('{"a": 1.0, "b": [{"x": "é", "y": null}]}', False),
        ('{"a": 1, "b": [{"x": "é", "y": false}]}', False),
        ('{"a": 1, "b": [{"x": "é"}]}', False),
    ],
)
async def test_the_same_name_is_the_same_run_if_its_inputs_are_the_same_json(text, is_same):
    first = {"a": 1, "b": [{"x": "é", "y": None}]}
    settings = workflow(definition={"input": [{"name": "o", "type": "object"}]})
    async with store() as kept:
        begun, _ = await submitted(settings, kept, "r", {"o": first}, "ann")
        again = submitted(settings, kept, "r", {"o": json.loads(text)}, "ann")
        if is_same:
            assert await again == (begun, False)
        else:
            with pytest.raises(HttpProblem, match="run_exists"):
                await again


def answer(**members: Any) -> bytes:
    status = {"state": "TASK_STATE_COMPLETED"}
    task = {"id": "t", "status": status, "artifacts": [{"parts": [{"text": "done"}]}]} | members
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"task": task}}).encode()


def of(value: str) -> bytes:
    return answer(artifacts=[{"parts": [{"data": "HERE"}]}]).replace(b'"HERE"', value.encode())


def problem(data: Any) -> bytes:
    return json.dumps({"error": {"code": -32603, "message": [1], "data": data}}).encode()


async def asked(body: bytes) -> Any:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async with upstream(handler) as server:
        caller = A2aCaller(Secrets({}))
        agent = StepAgent(name="writer", url=f"{server.url}/a2a")
        try:
            return await caller.ask(agent, Message("m", "do", {}, None), lambda *_: None)
        finally:
            await caller.close()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (of(f'{{"n": {LONG}}}'), "unreadable"),
        (answer(artifacts=[{"parts": [{"text": f'{{"result": {LONG}}}'}]}]), "unreadable"),
        (problem({"code": ["overloaded"]}), "a2a-32603"),
        (problem([None, 1, {"https://fleetform.dev/a2a/error/v1": {"code": {}}}]), "a2a-32603"),
        (b'{"code": [1]}', "unreadable"),
        (answer(id="x" * 10_000, status={"state": "TASK_STATE_WORKING"}), "unreadable"),
        (answer(status={"state": "TASK_STATE_FAILED", "message": {"parts": [{"text": "x" * 9_999}]}}), "failed"),
        (b"<html>", "unreadable"),
    ],
)  # fmt: skip
async def test_what_cannot_be_kept_is_a_failure_of_the_step_that_says_why(body, code):
    with pytest.raises(CallError) as failure:
        await asked(body)
    assert failure.value.code == code
    assert len(str(failure.value)) <= 1_000


@pytest.mark.parametrize("code", ["<!channel> pay here", "x" * 65, 7, None, ["a"]])
async def test_a_reason_that_is_no_word_is_the_state_of_the_task(code):
    about = {"https://fleetform.dev/a2a/error/v1": {"code": code}}
    with pytest.raises(CallError) as failure:
        await asked(answer(status={"state": "TASK_STATE_FAILED"}, metadata=about))
    assert failure.value.code == "failed"


async def test_half_a_character_is_replaced_and_the_rest_of_the_answer_kept():
    assert (await asked(of('"a\\ud800b"'))).value == "a\ufffdb"


async def test_of_what_an_answer_has_cost_numbers_are_kept():
    said = f'{{"output_tokens": 3, "input_tokens": {LONG}, "cost_usd": 1e999, "x": true, "y": [1], "z": -1}}'
    found = await asked(answer(metadata={USAGE: "HERE"}).replace(b'"HERE"', said.encode()))
    assert found.usage == {"output_tokens": 3}
    state = StepState(usage=dict(found.usage))
    assert read_step(step_json(state)) == state


@pytest.mark.parametrize(("after", "kept"), [(5, 5), (-1, None), (float("inf"), None), (1e9, None)])
def test_a_pause_that_nobody_means_is_none(after, kept):
    assert CallError("overloaded", "later", may_retry=True, after=after).after == kept


def test_a_place_in_a_list_that_no_list_has_is_absent():
    with pytest.raises(expressions.AbsentError):
        expressions.at({"a": [1]}, ".a." + "9" * 5_000)


@pytest.mark.parametrize("raw", [LONG, f'{{"a": [-{LONG}]}}', "9" * 5_000])
def test_no_number_of_an_input_is_rounded(tmp_path, raw):
    with pytest.raises(ValueError, match=r"more than 64 bits|infinity"):
        jsons.exact(raw)
    kind = {"name": "n", "type": "integer", "description": "n"}
    definition = workflow(definition={"input": [kind]}).definition
    with pytest.raises(ValueError, match="the input n is of type integer: write JSON"):
        of_words(definition, [f"n={raw}"])
    place = tmp_path / "input.json"
    place.write_text(f'{{"n": {raw}}}')
    with pytest.raises(ValueError, match="it is not JSON"):
        of_file(place)


def test_numbers_that_are_kept_exactly_are_read():
    assert (
        jsons.exact('[18446744073709551615, 0.12345678901234567890, "' + LONG + '"]')[0]
        == 2**64 - 1
    )


def test_a_text_of_the_command_line_is_text():
    definition = workflow(
        definition={"input": [{"name": "t", "type": "string", "description": "t"}]}
    )
    with pytest.raises(ValueError, match="the input t is not text in UTF-8"):
        of_words(definition.definition, ["t=\udcff"])


def test_what_a_terminal_would_obey_is_shown_and_not_obeyed():
    assert logs.one_line("\x1b[2Jred\r\nSucceeded") == "\\x1b[2Jred\\r\\nSucceeded"
