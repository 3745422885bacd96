"""What Fleetform wrote is read back as it was, and nothing in it becomes an object of Python."""

import pytest
import yaml

from fleetform import written
from fleetform.emit import emit, emit_all

DOCUMENT = {"a": ["no", "1e3", "", "x\n  y\n"], "b": {"c": 1, "d": None, "e": True}}


def test_a_document_comes_back():
    assert written.load(emit(DOCUMENT)) == DOCUMENT
    assert written.load(emit(DOCUMENT).encode()) == DOCUMENT


def test_several_documents_come_back():
    assert [*written.load_all(emit_all([DOCUMENT, {"f": 2}]))] == [DOCUMENT, {"f": 2}]


@pytest.mark.parametrize("text", ["a: [", "!!python/object/apply:os.getcwd []"])
def test_what_is_no_plain_data_is_refused(text):
    with pytest.raises(yaml.YAMLError):
        written.load(text)
    with pytest.raises(yaml.YAMLError):
        [*written.load_all(text)]
