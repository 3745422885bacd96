"""For any document: views and models read the same, and two validators refuse the same."""

import jsonschema
import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetform import view
from fleetform.kinds import NAMES as KINDS
from fleetform.models import model
from fleetform.validators import schema
from tests.documents import documents, mutations, same

each_kind = pytest.mark.parametrize("kind", KINDS)
few = settings(max_examples=30, deadline=None)


@each_kind
def test_a_view_of_any_document_equals_its_model(kind):
    @few
    @given(documents(kind))
    def check(document):
        typed = model(kind).model_validate(document)
        same(view.read(kind, document), typed)

    check()


@each_kind
def test_what_a_view_gives_back_is_what_it_read(kind):
    @few
    @given(documents(kind))
    def check(document):
        seen = view.read(kind, document)
        assert view.read(kind, view.dump(seen)) == seen

    check()


@pytest.mark.proof
@each_kind
def test_both_validators_accept_and_refuse_the_same(kind):
    reference = jsonschema.Draft202012Validator(schema(kind))
    fast = jsonschema_rs.validator_for(schema(kind))

    @settings(max_examples=80, deadline=None)
    @given(st.one_of(documents(kind), mutations(kind)))
    def check(document):
        assert fast.is_valid(document) == reference.is_valid(document)

    check()


@each_kind
def test_what_the_schema_accepts_the_model_accepts(kind):
    fast = jsonschema_rs.validator_for(schema(kind))

    @few
    @given(mutations(kind))
    def check(document):
        if fast.is_valid(document):
            model(kind).model_validate(document)

    check()
