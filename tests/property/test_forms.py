"""What is written by its form is what `emit` writes, whatever the names are."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleetform import forms
from fleetform.emit import WORDS, emit

NAMES = st.one_of(
    st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True),
    st.sampled_from(
        (*sorted(WORDS), "xad", "e-07", "xx", "u3164", "ab-q", "aa", "aba", "null-a", "u")
    ),
    st.text(max_size=4),
)
"""Names of workloads, and what no workload can be called."""
AFFIXES = (
    "",
    "-",
    ".",
    ": ",
    " #",
    "\n",
    "\n\n",
    "ä",
    "\\",
    '"',
    "'",
    "\t",
    "\xad",
    "\u3164",
    "n",
    "o",
    "tr",
    "0",
    "Q",
    "QX",
)
texts = st.lists(st.sampled_from(("{name}", "{config}", "{stem}", *AFFIXES)), max_size=5).map(
    "".join
)
leaves = texts | st.sampled_from((0, 97, 1.0, 1e-07, True, None, 1_633_771_873, 7_037_921))
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
documents = st.dictionaries(texts, trees, min_size=1, max_size=4)


def filled(node, name, config):
    """Return a document with names in their places."""
    if isinstance(node, str):
        return node.format(name=name, config=config, stem=name[:-1])
    if isinstance(node, list):
        return [filled(item, name, config) for item in node]
    if isinstance(node, dict):
        return {filled(k, name, config): filled(v, name, config) for k, v in node.items()}
    return node


@settings(max_examples=400)
@given(documents, st.lists(NAMES, min_size=2, max_size=4))
@example({"a": "{name}"}, ["agent", "12345"])
@example({"a": "{stem}", "b": 1}, ["agentu", "otheru"])
@example({"a": "\xad{name}"}, ["xadxad", "abcdef"])
@example({"a": "tr{name}"}, ["up", "ue"])
@example({"a": "{name}", "b": 1_633_771_873}, ["aaaa", "abcd"])
@example({"a": "\xad{name}"}, ["adx", "xad"])
@example({"ab-": ["ab-{config}", "{name}"]}, ["cd-q", "ab-q"])
def test_the_text_by_form_is_that_of_emit_for_any_names(document, names):
    forms._FORMS.clear()
    for number, name in enumerate(names):
        config = f"{name}-config-{number:08x}"
        found = filled(document, name, config)
        assert forms.writer([config, name])(found) == emit(found)


@given(documents, documents)
def test_two_documents_have_one_form_only_when_names_are_all_that_differs(first, second):
    forms._FORMS.clear()
    for document, name in ((first, "support"), (second, "billing"), (first, "billing")):
        found = filled(document, name, f"{name}-config")
        assert forms.writer([f"{name}-config", name])(found) == emit(found)


def test_the_form_of_one_name_serves_others():
    forms._FORMS.clear()
    document = {"kind": "Service", "metadata": {"name": "{name}"}, "mount": "{config}"}
    for name in ("agent-1", "agent-2", "support"):
        found = filled(document, name, f"{name}-config-00c0ffee")
        assert forms.writer([f"{name}-config-00c0ffee", name])(found) == emit(found)
    assert len(forms._FORMS) == 1


def test_forms_are_forgotten_before_they_are_too_many(monkeypatch):
    forms._FORMS.clear()
    monkeypatch.setattr(forms, "_MOST_FORMS", 3)
    for number in range(10):
        forms.writer(["agent"])({"name": "agent", "number": number})
    assert 0 < len(forms._FORMS) <= 3


@pytest.mark.parametrize(
    "document",
    [
        {"name": "agent", "data": {}},
        {"name": "agent", "long": "x" * 70_000},
        {"name": "agent QXXXX"},
    ],
    ids=["data", "long", "word"],
)
def test_what_has_no_form_is_written_as_usual(document):
    forms._FORMS.clear()
    assert forms.writer(["agent"])(document) == emit(document)
    assert forms._FORMS == {}


@pytest.mark.parametrize("value", [("agent",), {1: "agent"}, object(), float("nan"), "\ud800"])
def test_what_cannot_be_written_is_refused_in_the_same_words(value):
    document = {"name": "agent", "value": value}
    with pytest.raises((TypeError, ValueError)) as usual:
        emit(document)
    with pytest.raises(type(usual.value), match=re.escape(str(usual.value))):
        forms.writer(["agent"])(document)
