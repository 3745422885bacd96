"""Views and models read the same, and two validators refuse the same."""

from functools import cache

import jsonschema
import jsonschema_rs
import pytest

from fleetform import view
from fleetform.kinds import NAMES as KINDS
from fleetform.models import model
from fleetform.validators import schema
from tests.documents import committed, same

CORPUS = [*committed()]


@cache
def validators(kind):
    """Return two validators of a kind that share nothing."""
    return jsonschema.Draft202012Validator(schema(kind)), jsonschema_rs.validator_for(schema(kind))


each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize(
    ("kind", "document"),
    [pytest.param(kind, document, id=f"{name}-{kind}") for name, kind, document in CORPUS],
)
def test_a_view_of_a_committed_document_equals_its_model(kind, document):
    same(view.read(kind, document), model(kind).model_validate(document))


def test_the_corpus_has_every_kind():
    assert {kind for _, kind, _ in CORPUS} == set(KINDS)


@pytest.mark.parametrize("document", [item[1:] for item in CORPUS], ids=lambda item: item[0])
def test_both_validators_accept_every_committed_document(document):
    kind, content = document
    for validator in validators(kind):
        validator.validate(content)


# -- the schemas ---------------------------------------------------------------------------------


def properties(body, path=""):
    """Yield path and rule of every property of a schema."""
    for name, rule in body.get("properties", {}).items():
        yield f"{path}.{name}", rule
    for name, definition in body.get("$defs", {}).items():
        yield from properties(definition, name)


@pytest.mark.parametrize("kind", [*KINDS, "fleetform"])
def test_a_schema_is_valid_and_needs_no_other_file(kind):
    body = schema(kind)
    assert body["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(body)
    references = {part["$ref"] for part in _maps(body) if "$ref" in part}
    assert references <= {f"#/$defs/{name}" for name in body["$defs"]}


def _maps(node):
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _maps(value)
    elif isinstance(node, list):
        for value in node:
            yield from _maps(value)


@pytest.mark.parametrize("kind", [*KINDS, "fleetform"])
def test_every_property_of_a_schema_is_described(kind):
    body = schema(kind)
    found = dict(properties(body))
    assert found
    said = {
        path: {**_target(rule, body), **rule}.get("description") for path, rule in found.items()
    }
    assert [path for path, words in said.items() if not words] == []


def _target(rule, body):
    """Return the definition that a rule refers to; what it says need not be repeated."""
    return body["$defs"].get(rule.get("$ref", "").rpartition("/")[2], {})


@each_kind
def test_every_object_of_a_schema_is_closed(kind):
    body = schema(kind)
    parts = [body, *body["$defs"].values()]
    open_ = [part for part in parts if part.get("additionalProperties") is not False]
    # Devices have the names that their vendors give them.
    assert {part["title"] for part in open_} <= {"ResourceAmounts"}
    assert all("propertyNames" in part for part in open_)


# -- the handling of views -----------------------------------------------------------------------


def limits(**fields):
    return view.make("Agent", "Limits", fields)


def test_a_view_cannot_be_changed():
    with pytest.raises(AttributeError):
        limits().max_steps = 3


def test_a_view_says_what_was_given_and_what_is_a_default():
    assert view.given(limits(maxSteps=20)) == {"max_steps"}
    assert limits(maxSteps=20) == limits()


def test_replacing_and_overlaying_make_new_views():
    low, high = limits(maxSteps=1, maxToolCalls=2), limits(maxSteps=3)
    mixed = view.overlay(low, high)
    assert (mixed.max_steps, mixed.max_tool_calls) == (3, 2)
    assert view.replace(low, max_steps=9).max_steps == 9
    assert low.max_steps == 1
