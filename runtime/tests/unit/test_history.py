"""Whatever was said before, what is sent to a provider is a conversation that it takes."""

import json
import re

import pytest

from fleetform_runtime.messages import (
    Assistant,
    Image,
    ToolCall,
    ToolResult,
    ToolResults,
    User,
    dump,
    load,
)
from fleetform_runtime.models.history import object_of, valid

CALLS = Assistant(calls=[ToolCall("1", "t", "{}"), ToolCall("2", "t", "{}")])
BOTH = ToolResults([ToolResult("1", "t", "a"), ToolResult("2", "t", "b")])


def test_every_call_has_one_result_in_the_order_of_the_calls():
    assert valid([User("q"), CALLS, BOTH]) == [User("q"), CALLS, BOTH]
    (_, _, made) = valid([User("q"), CALLS])
    assert [result.content for result in made.results] == ["No result.", "No result."]
    odd = ToolResults(
        [ToolResult("2", "t", "b"), ToolResult("9", "t", "x"), ToolResult("2", "t", "c")]
    )
    (_, _, mixed, _) = valid([User("q"), CALLS, odd, User("r")])
    assert [(result.id, result.content) for result in mixed.results] == [
        ("1", "No result."),
        ("2", "c"),
    ]
    assert valid([BOTH, User("q")]) == [User("q")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("null", {}),
        ("  ", {}),
        ('{"a": 1}', {"a": 1}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('{"a":1}{"a":1}', {"a": 1}),
        ('{"n": 123456789012345678901234}', {"n": 123456789012345678901234}),
        ('{"a": "\\ud83d"}', {"a": "\ufffd"}),
        ('{"a": NaN}', {"a": None}),
        ('{"a": 1', None),
        ("[1]", None),
        ("7", None),
        ('"words"', None),
        ('{"a":' * 300 + "1" + "}" * 300, None),
    ],
)
def test_arguments_are_the_object_that_was_meant(text, found):
    assert object_of(text) == found


def test_broken_arguments_names_and_identifiers_are_repaired_and_still_belong_together():
    calls = [
        ToolCall("call 1!", "look_up<|channel|>commentary", '{"q": "half'),
        ToolCall("same", "a tool/of mine", "[1]"),
        ToolCall("x" * 64, "", "{}"),
    ]
    results = ToolResults([ToolResult(call.id, call.name, "r") for call in calls])
    _, answer, given_back = valid([User("q"), Assistant(calls=calls), results])
    assert [call.name for call in answer.calls] == ["look_up", "a_tool_of_mine", "unknown"]
    assert [call.id for call in answer.calls] == [result.id for result in given_back.results]
    assert answer.calls[1].id == "same"
    assert all(re.fullmatch("[a-z0-9]{9}", answer.calls[n].id) for n in (0, 2))
    assert json.loads(answer.calls[0].arguments) == {"not_a_json_object": '{"q": "half'}


def test_an_identifier_that_comes_twice_in_a_session_is_another_one_the_second_time():
    turn = [
        User("q"),
        Assistant(calls=[ToolCall("call_0", "t", "{}")]),
        ToolResults([ToolResult("call_0", "t", "a")]),
    ]
    first, second = [m for m in valid([*turn, *turn]) if isinstance(m, Assistant)]
    assert first.calls[0].id == "call_0"
    assert second.calls[0].id != "call_0"


def test_what_a_provider_wants_back_goes_to_it_alone():
    call = ToolCall(
        "c1", "t", "{}", {"call": {"extra_content": {"google": {"thought_signature": "s"}}}}
    )
    said = Assistant(calls=[call], source="a", state={"reasoning_content": "hm"})
    stored = load(dump(said))
    assert (stored.state, stored.source, stored.calls[0].state) == (said.state, "a", call.state)
    kept = valid([User("q"), stored], "a")[1]
    assert (kept.state, kept.calls[0].state) == (said.state, call.state)
    gone = valid([User("q"), stored], "b")[1]
    assert (gone.state, gone.calls[0].state) == (None, None)
    assert re.fullmatch("[a-z0-9]{9}", gone.calls[0].id)


def test_empty_and_repeated_messages_are_none_any_more():
    image = Image("https://example.org/a.png")
    found = valid([User("a"), User(["b", image]), Assistant(""), User(" "), User("c")])
    assert found == [User(["a", "b", image]), Assistant("(nothing)"), User("(nothing)\n\nc")]


def test_without_tools_calls_are_told():
    found = valid([User("q"), CALLS, BOTH, Assistant("done"), User("r")], tools=False)
    assert [type(message).__name__ for message in found] == [
        "User",
        "Assistant",
        "User",
        "Assistant",
        "User",
    ]
    assert "called t with {}" in found[1].text
    assert "[result of t]\na" in found[2].content
