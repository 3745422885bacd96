"""The part of a schema that is prepared for some documents judges them as the whole schema does."""

import pytest
from hypothesis import given, settings
from hypothesis.strategies import lists

from fleetform import kinds, validators
from fleetform.kinds import NAMES as KINDS
from tests.documents import documents, mutations


@pytest.mark.proof
@pytest.mark.parametrize("kind", KINDS)
def test_the_part_refuses_what_the_whole_refuses(kind, monkeypatch):
    whole = validators.validator(kind, "")

    @settings(max_examples=15, deadline=None)
    @given(mutations(kind))
    def alone(document):
        monkeypatch.setattr(validators, "_reached", {})
        assert validators.accepts(kind, "", document) == whole.is_valid(document), document

    @settings(max_examples=10, deadline=None)
    @given(lists(mutations(kind), min_size=2, max_size=6))
    def after_others(found):
        monkeypatch.setattr(validators, "_reached", {})
        for document in found:
            assert validators.accepts(kind, "", document) == whole.is_valid(document), document

    alone()
    after_others()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kinds.BY_NAME[kind].spec])
def test_the_part_accepts_the_layers_that_the_whole_accepts(kind, monkeypatch):
    definition = kinds.BY_NAME[kind].spec
    whole = validators.validator(kind, definition)

    @settings(max_examples=10, deadline=None)
    @given(documents(kind), mutations(kind))
    def alone(sound, broken):
        for document in (sound, broken):
            layer = document.get("spec")
            monkeypatch.setattr(validators, "_reached", {})
            if isinstance(layer, dict):
                accepted = validators.accepts(kind, definition, layer)
                assert accepted == whole.is_valid(layer), layer

    alone()
