"""Streams are read in time that grows with their length, however they are cut."""

import time

import pytest

from fleetform_runtime import jsons
from fleetform_runtime.models import ModelError
from fleetform_runtime.models.stream import MOST_ITEMS, StreamedAnswer
from fleetform_runtime.net.lines import Lines
from fleetform_runtime.tools.mcp.protocol import EventReader

SECONDS = 5.0
"""Of processor time; the work of a quadratic reader takes a minute."""


def _event(delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + jsons.write({"choices": [choice]}) + b"\n\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_are_the_same_however_they_are_cut(size: int) -> None:
    raw = "a\r\n\r\nb\rc\né\n\nthe rest\r".encode()
    lines = Lines()
    found = [line for at in range(0, len(raw), size) for line in lines.feed(raw[at : at + size])]
    assert [*found, lines.end()] == [b"a", b"", b"b\rc", "é".encode(), b"", b"the rest"]
    assert lines.held == 0


def test_long_events_in_small_pieces_are_read_in_linear_time() -> None:
    text = "x" * 6_000_000
    raw = _event({"content": text}, "stop")
    answer, reader = StreamedAnswer("m", lambda delta: None), EventReader()
    began = time.process_time()
    for at in range(0, len(raw), 500):
        answer.feed(raw[at : at + 500])
        found = reader.feed(raw[at : at + 500])
    assert time.process_time() - began < SECONDS
    assert answer.answer().text == text
    assert len(found) == 1


def test_an_event_without_an_end_is_given_up() -> None:
    answer = StreamedAnswer("m", lambda delta: None)
    for _ in range(8):
        answer.feed(b"x" * 2**20)
    with pytest.raises(ModelError, match="too long"):
        answer.feed(b"x")


@pytest.mark.parametrize("shape", ["list", "text"])
def test_what_a_provider_wants_back_is_given_up_once_it_is_too_large(shape: str) -> None:
    answer = StreamedAnswer("m", lambda delta: None)
    began = time.process_time()
    for index in range(10 * MOST_ITEMS):
        part = [{"index": index, "type": "t"}] if shape == "list" else "x" * 100
        answer.feed(_event({"reasoning_details": part, "content": "a"}))
    answer.feed(_event({}, "stop"))
    assert time.process_time() - began < SECONDS
    made = answer.answer()
    assert (made.text, made.state) == ("a" * 10 * MOST_ITEMS, None)
