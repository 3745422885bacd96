"""Schemas of servers are bounded before anything reads them, and written as providers take them."""

from typing import Any

import pytest

from fleetform_runtime.tools.mcp.schemas import (
    DEEPEST,
    LARGEST,
    Fitted,
    UnusableError,
    fitted,
)

EMPTY = {"type": "object", "properties": {}}


def chain(length: int, keyword: str = "allOf") -> dict[str, Any]:
    """Return a schema whose work doubles with each of its definitions."""
    defs = {
        f"d{n}": {keyword: [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]}
        for n in range(length)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{length}": {"type": "object"}}}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "object", "description": "x" * LARGEST}, "bytes"),
        (nested(DEEPEST), "nested"),
        ({"type": "string"}, "of type string"),
        ({"type": ["array", "null"]}, "of type array"),
    ],
)
def test_what_is_too_large_or_no_object_leaves_its_tool_out(schema, why):
    with pytest.raises(UnusableError, match=why):
        fitted(schema)


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_work_that_doubles_is_never_given_to_the_validator(keyword):
    assert fitted(chain(30, keyword)).checked is None
    assert fitted(chain(4, keyword)).checked is not None


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"not": {"$ref": "#"}},
        {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "additionalProperties": {"$ref": "#"}},
    ],
)  # fmt: skip
def test_a_schema_that_meets_itself_is_left_to_its_server(schema):
    assert fitted({"type": "object", **schema}).checked is None


def test_a_tree_is_checked():
    node = {
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
    }
    schema = {
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/node"}},
        "$defs": {"node": node},
    }
    found = fitted(schema)
    assert found.checked == schema
    assert found.shown == schema


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        (None, EMPTY),
        ({}, EMPTY),
        ({"type": "object"}, EMPTY),
        ({"type": ["object", "null"]}, EMPTY),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "$id": "x", "type": "object"},
            EMPTY,
        ),
        (
            {"type": "object", "properties": {"a": {"type": "nonsense", "description": "d"}}},
            {"type": "object", "properties": {"a": {"description": "d"}}},
        ),
        (
            {"type": "object", "properties": {"a": {"$ref": "https://x.example/y.json"}}},
            {"type": "object", "properties": {"a": {}}},
        ),
        (
            {"type": "object", "properties": {"a": {}}, "required": ["a", "gone"]},
            {"type": "object", "properties": {"a": {}}, "required": ["a"]},
        ),
        (
            {"anyOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": {}}}]},
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {}}},
        ),
    ],
)
def test_what_providers_refuse_is_written_otherwise(schema, shown):
    assert fitted(schema).shown == shown


def test_references_that_lead_somewhere_stay():
    schema = {
        "type": "object",
        "properties": {"q": {"anyOf": [{"$ref": "#/$defs/Q"}, {"type": "null"}]}},
        "$defs": {"Q": {"type": "object", "properties": {"n": {"type": "integer"}}}},
    }
    assert fitted(schema) == Fitted(schema, schema)
