"""Sizes err on the safe side, and conversations are cut to them without breaking a pair."""

import base64
import json
import random

import pytest

from fleetform_runtime.messages import Assistant, ToolCall, ToolResult, ToolResults, User
from fleetform_runtime.models import ChatRequest, ModelError, ToolSpec, sizes
from fleetform_runtime.runs.fitting import Fitting, cut
from fleetform_runtime.sections.model import Model

# Characters of a token at least, as measured with two tokenizers of open models.
MEASURED = [
    ("The quick brown fox jumps over the lazy dog, and the clocks were striking thirteen. ", 5.3),
    ("오늘 회의에서 결정된 내용을 정리해서 보내 주세요. ", 1.0),
    ("今日は天気がとてもいいですね。", 0.96),
    ("今天天气很好，我们去公园吧。", 1.0),
    (json.dumps([{"name": f"pod-{n}", "cpu": n * 3, "ready": True} for n in range(9)]), 1.33),
    ("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 3\n", 1.33),
    (base64.b64encode(random.Random(1).randbytes(300)).decode(), 1.3),
    ("สวัสดีครับ วันนี้อากาศดี ", 0.75),
    ("😀🎉", 0.34),
]


@pytest.mark.parametrize(("text", "characters"), MEASURED)
def test_no_text_has_more_tokens_than_are_counted(text, characters):
    long = text * 20
    assert sizes.tokens(long) >= len(long) / characters
    assert sizes.tokens(long) <= 3.2 * len(long)


def test_prose_is_not_counted_as_if_it_were_data():
    words = MEASURED[0][0] * 20
    assert sizes.tokens(words) < len(words) / 3


def test_schemas_of_tools_count():
    tool = ToolSpec("t", "Does.", {"type": "object", "properties": {"a": {"type": "string"}}})
    bare = sizes.of_request(ChatRequest("s", [User("q")]))
    assert sizes.of_request(ChatRequest("s", [User("q")], [tool] * 10)) > bare + 200


def turn(words: str, *results: str) -> list:
    calls = [ToolCall(f"{words}{n}", "t", "{}") for n in range(len(results))]
    steps = [
        step
        for call, result in zip(calls, results, strict=True)
        for step in (Assistant(calls=[call]), ToolResults([ToolResult(call.id, "t", result)]))
    ]
    return [User(words), *steps, Assistant(f"answer to {words}")]


def test_whole_turns_go_first_and_the_oldest_before_the_others():
    history = [*turn("one", "x"), *turn("two", "y"), User("three")]
    assert cut(history, 10_000) == history
    kept = cut(history, sum(map(sizes.of_message, history[4:])))
    assert kept == history[4:]
    assert cut(history, 1)[-1] == User("three")


def test_within_a_turn_older_results_make_room_for_newer_ones():
    words = "a result of many words " * 400
    history = [User("go"), *turn("x", words, words, words)[1:-1]]
    kept = cut(history, 3_500)
    contents = [m.results[0].content for m in kept if isinstance(m, ToolResults)]
    assert [len(content) < 600 for content in contents] == [True, True, False]
    assert "cut to fit the model" in contents[0]
    assert sum(map(sizes.of_message, kept)) <= 3_500


@pytest.mark.parametrize(
    ("said", "window"),
    [
        ("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 in the messages, 1000 in the completion).", 8192),
        ("prompt is too long: 210000 tokens > 200000 maximum", 200000),
        ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", 1048576),
        ("the request exceeds the available context size (4096 tokens), try increasing it", 4096),
        ("Range of input length should be [1, 30720]", 30720),
        ("Input tokens exceed the configured limit of 272,000 tokens.", 272000),
    ],
)  # fmt: skip
def test_a_window_that_a_model_tells_is_remembered(said, window):
    from fleetform_runtime.models.failures import failure

    error = failure(400, json.dumps({"error": {"message": said}}).encode())
    assert (error.kind, error.window) == ("context", window)
    model = Model(provider="openai", name="m")
    fitting = Fitting((model,))
    request = ChatRequest("s", [User("a " * window * 4), Assistant("b"), User("c")])
    assert fitting.after("m", request, error) is not None
    assert fitting.fitted("m", request).messages == [User("c")]


def test_nothing_is_left_to_cut_of_one_message():
    fitting = Fitting((Model(provider="openai", name="m"),))
    request = ChatRequest("s", [User("word " * 5_000)])
    assert fitting.after("m", request, ModelError("context", "too long")) is None


@pytest.mark.parametrize(
    ("of", "kind"), [("messages[3].content", "context"), ("input[0]", "context"), ("input", "context"),
    ("messages[1].content[0].text", "context"), ("messages[2].tool_calls[0].function.arguments", "context"),
    ("messages[2].tool_calls[0].id", "refused"), ("messages[0].name", "refused"),
    ("tools[0].function.name", "refused"), ("metadata.input", "refused")],
)  # fmt: skip
def test_a_string_that_is_too_long_is_a_conversation_only_if_it_is_a_part_of_one(of, kind):
    from fleetform_runtime.models.failures import failure

    body = {"message": f"Invalid '{of}': string too long.", "code": "string_above_max_length"}
    assert failure(400, json.dumps({"error": body}).encode()).kind == kind


def test_what_a_fallback_says_of_its_window_is_not_the_models_own():
    fitting = Fitting((Model(provider="openai", name="m"), Model(provider="openai", name="small")))
    error = ModelError("context", "too long")
    error.window, error.model = 1_000, "small"
    request = ChatRequest("s", [User("a " * 9_000), Assistant("b"), User("c")])
    assert fitting.after("m", request, error) is not None
    assert fitting.window("m") is None
    assert fitting.window("small") == 1_000
