"""Where conversations may be cut: never between a call and its result, whatever was said."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetform_runtime.messages import (
    Assistant,
    Image,
    Message,
    Summary,
    ToolCall,
    ToolResult,
    ToolResults,
    User,
    dump,
    load,
    standing,
)
from fleetform_runtime.models import sizes
from fleetform_runtime.models.history import valid
from fleetform_runtime.runs import compaction
from fleetform_runtime.runs.compaction import Pace, View

WORDS = st.text(string.ascii_letters + ' 한국어日本{}":1', max_size=40)
PICTURE = Image("data:image/png;base64,AAAA")
LONG = st.builds(lambda word, n: (word or "x") * n, WORDS, st.integers(1, 400))


@st.composite
def turns(draw: st.DrawFn, number: int) -> list[Message]:
    """One turn, with parallel calls, pictures and huge results; its last answer may be missing."""
    asked = draw(WORDS) or "?"
    found: list[Message] = [User([asked, PICTURE] if draw(st.booleans()) else asked)]
    for step in range(draw(st.integers(0, 5))):
        names = [f"{number}-{step}-{n}" for n in range(draw(st.integers(1, 3)))]
        found.append(Assistant(draw(WORDS), calls=[ToolCall(name, "t", "{}") for name in names]))
        shows = (PICTURE,) if draw(st.booleans()) else ()
        found.append(ToolResults([ToolResult(n, "t", draw(LONG), images=shows) for n in names]))
    return found


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Ended turns and one that goes on; some were broken off behind their calls."""
    found: list[Message] = []
    for number in range(draw(st.integers(0, 6))):
        found += draw(turns(number))
        is_broken = draw(st.integers(0, 5)) == 0
        call = [ToolCall(f"{number}-open", "t", "{}")]
        found.append(Assistant(calls=call) if is_broken else Assistant(draw(WORDS) or "."))
    return [*found, *draw(turns(99))]


def pairs(messages: list[Message]) -> list[tuple[str, str]]:
    """Return each call whose result is behind it, with the result."""
    found = []
    for n, message in enumerate(messages[:-1]):
        follower = messages[n + 1]
        if isinstance(message, Assistant) and isinstance(follower, ToolResults):
            held = {item.id: item.content for item in follower.results}
            found += [(call.id, held[call.id]) for call in message.calls]
    return found


@settings(deadline=None, max_examples=150)
@given(conversations(), st.floats(0.05, 1.2), st.floats(0.2, 1))
def test_whatever_is_covered_what_is_left_is_a_conversation(messages, share, goal):
    counts = [sizes.of_message(message) for message in messages]
    most = max(1, int(sum(counts) * share))
    view = View(cut=compaction.old_results(messages))
    place = compaction.boundary(messages, counts, view, int(most * goal), most)
    if place is None:
        return
    summary = Summary("notes")
    left = compaction.shown(messages, View(place, summary, view.cut))
    asked = messages[compaction.question(messages)]
    assert left[0] is summary
    assert asked in left, "the question that is being answered is always there"
    assert left[-1] is messages[-1] or isinstance(messages[-1], ToolResults)
    whole, covered = messages[place:], messages[:place]
    assert not isinstance(whole[0], ToolResults), "a result is never separated from its call"
    assert isinstance(whole[0], User) or isinstance(covered[-1], ToolResults)
    results = {name for name, _ in pairs(left)}
    assert results == {name for name, _ in pairs(messages) if name in results}
    repaired = valid(left)
    assert sum(isinstance(message, ToolResults) for message in repaired) == sum(
        isinstance(message, Assistant) and bool(message.calls) for message in left
    ), "nothing had to be invented but for turns that were broken off"
    assert len(left) < len(messages) + 1
    freed = sum(counts) - sum(counts[place:])
    assert freed >= 0.25 * sum(counts) - counts[compaction.question(messages)] - 1


@settings(deadline=None, max_examples=100)
@given(conversations())
def test_a_step_that_has_not_ended_is_never_covered(messages):
    for place in compaction.between_steps(messages, 0):
        for n in range(compaction.question(messages), place):
            message = messages[n]
            if isinstance(message, Assistant):
                follower = messages[n + 1]
                assert isinstance(follower, ToolResults)
                assert {call.id for call in message.calls} == {r.id for r in follower.results}


def test_a_turn_that_waits_for_a_person_is_not_covered():
    waiting = [User("pay"), Assistant(calls=[ToolCall("a", "pay", "{}")])]
    messages = [*waiting[:1], *step("x"), *waiting[1:]]
    assert list(compaction.between_steps(messages, 0)) == [3]
    assert list(compaction.between_steps([*messages, Assistant("later")], 0)) == [3]


def step(name: str, content: str = "r", **fields) -> list[Message]:
    call = ToolCall(name, "t", "{}")
    return [Assistant(calls=[call]), ToolResults([ToolResult(name, "t", content, **fields)])]


def test_old_results_keep_their_beginning_and_end():
    body = "begin" + "x" * 10_000 + "end"
    messages = [
        User("q"),
        *step("a", body, images=(PICTURE,)),
        *step("b", body),
        *step("c"),
        *step("d"),
    ]
    left = compaction.shown(messages, View(cut=compaction.old_results(messages)))
    first, second = left[2].results[0], left[4].results[0]
    assert first.content.startswith("begin")
    assert "900 of 10008 characters are shown" in first.content
    assert first.content.endswith("end\n[1 images cut]")
    assert not first.images
    assert second.content == body, "the last three steps stay as they are"
    assert messages[2].results[0].content == body


def test_whole_turns_go_before_steps_of_the_newest_one():
    old = [User("one " * 300), Assistant("fine " * 300), User("two " * 300), Assistant("fine")]
    newest = [User("q"), *step("a", "r " * 300), *step("b", "r " * 300), *step("c", "r")]
    messages = [*old, *newest]
    counts = [sizes.of_message(message) for message in messages]
    total = sum(counts)
    assert compaction.boundary(messages, counts, View(), total * 2 // 3, total) == 2
    assert compaction.boundary(messages, counts, View(), total // 2, total) == 4
    assert compaction.boundary(messages, counts, View(), 40, 60) == 9
    assert compaction.shown(messages, View(9, Summary("n")))[1] == newest[0]
    assert compaction.boundary(newest[:1], counts[4:5], View(), 1, 1) is None


def test_what_would_free_little_is_not_summarised():
    messages = [
        User("hi"),
        Assistant("hello"),
        User("long " * 2_000),
        Assistant("ok"),
        User("more"),
    ]
    counts = [sizes.of_message(message) for message in messages]
    assert compaction.boundary(messages, counts, View(2, Summary("n")), 10, 20) == 4
    messages = [User("hi"), User("long " * 2_000)]
    counts = [sizes.of_message(message) for message in messages]
    assert compaction.boundary(messages, counts, View(), 10, 20) is None


def test_messages_are_counted_by_whole_turns():
    messages = [item for n in range(10) for item in (User(str(n)), Assistant("."))]
    assert compaction.of_count(messages, View(), 8) == 16
    assert compaction.of_count(messages[:1], View(), 2) is None
    again = [Summary("n"), User("q"), *step("a"), *step("b")]
    assert compaction.of_count(again, View(), 2) is None, "a summary alone is not summarised"
    assert compaction.of_count([*again, User("r")], View(), 2) == 6


@settings(deadline=None)
@given(conversations(), st.data())
def test_a_stored_summary_stands_for_everything_before_what_it_keeps(messages, data):
    for message in messages:
        message.at = "2026-01-01T00:00:00.000Z"
    rows: list[Message] = []
    view: list[Message] = []
    for message in messages:
        rows.append(message)
        view.append(message)
        if data.draw(st.integers(0, 6)) == 0:
            plain = [item for item in view if not isinstance(item, Summary)]
            keeps = data.draw(st.integers(0, len(plain)))
            summary = Summary(f"[{len(rows)}]", messages[0].at, keeps)
            rows.append(summary)
            view = [summary, *plain[len(plain) - keeps :]]
    stored = [load(dump(row)) for row in rows]
    assert [dump(row) for row in standing(stored)] == [dump(load(dump(row))) for row in view]
    assert standing(standing(stored)) == standing(stored)


@pytest.mark.parametrize(
    ("steps", "thrashes"),
    [
        ("s", False),
        ("sa", False),
        ("sas", True),
        ("sasaa", False),
        ("saasa", False),
        ("saasaasaa", True),
    ],
)
def test_summaries_that_make_no_room_end(steps, thrashes):
    pace = Pace()
    for letter in steps:
        if letter == "s":
            pace.summarised()
        else:
            pace.answers += 1
    assert pace.is_thrashing() is thrashes


def test_the_largest_part_is_named_by_its_tool():
    messages = [User("q"), *step("a", "r" * 500)]
    counts = [sizes.of_message(message) for message in messages]
    assert "the result of the tool t" in compaction.largest(messages, counts)
    assert "message of the user" in compaction.largest(messages[:1], counts[:1])
    assert "answer of the model" in compaction.largest([Assistant("x")], [9])
