"""What holds for anything at all that comes from providers and servers."""

import contextlib
import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetform_runtime import jsons
from fleetform_runtime.messages import Assistant, ToolCall, ToolResult, ToolResults, User, dump
from fleetform_runtime.models.history import valid
from fleetform_runtime.tools import ToolError
from fleetform_runtime.tools.mcp.schemas import UnusableError, fitted
from fleetform_runtime.tools.schema import Arguments
from fleetform_runtime.workflows import expressions

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["object", "#", "#/$defs/a", "x"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["type", "properties", "items", "$ref", "$defs", "a", "allOf", "anyOf", "not", "required", "enum"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=25,
)  # fmt: skip


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["type", "properties", "$ref", "$defs", "allOf", "anyOf", "x"]), JSON
    )
)
def test_whatever_a_server_lists_ends_and_is_taken(schema):
    try:
        found = fitted(schema)
    except UnusableError:
        return
    assert found.shown["type"] == "object"
    assert isinstance(found.shown["properties"], dict)
    if found.checked is not None:
        with contextlib.suppress(ToolError):  # what takes too long never ends here
            Arguments(found.checked).check({"a": {"a": {"a": [{}, [{}]]}}})


TEXTS = st.text(st.characters(exclude_categories=[]), max_size=12)
MESSAGES = st.one_of(
    st.builds(User, TEXTS),
    st.builds(
        Assistant,
        TEXTS,
        calls=st.lists(st.builds(ToolCall, TEXTS, TEXTS, TEXTS), max_size=3),
        source=st.sampled_from(["", "a", "b"]),
    ),
    st.builds(ToolResults, st.lists(st.builds(ToolResult, TEXTS, TEXTS, TEXTS), max_size=3)),
)


@settings(deadline=None)
@given(st.lists(MESSAGES, max_size=8), st.sampled_from(["", "a"]), st.booleans())
def test_any_conversation_at_all_is_made_valid_and_stays_so(messages, source, tools):
    found = valid(messages, source, tools=tools)
    json.dumps([jsons.read(dump(message)) for message in found]).encode()
    seen: set[str] = set()
    for index, message in enumerate(found):
        if isinstance(message, Assistant):
            assert message.text.strip() or message.calls
            for call in message.calls:
                assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", call.name)
                assert call.id not in seen
                seen.add(call.id)
                assert isinstance(json.loads(call.arguments), dict)
            if message.calls:
                assert [r.id for r in found[index + 1].results] == [c.id for c in message.calls]
        if isinstance(message, User):
            assert message.text()
            assert index == 0 or not isinstance(found[index - 1], User)
        if isinstance(message, ToolResults):
            assert isinstance(found[index - 1], Assistant)
    if not tools:
        assert not seen


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_what_is_filled_in_is_never_read_again(value):
    assert expressions.filled({"a": "{{ .input.x }}"}, {"input": {"x": value}}) == {"a": value}
