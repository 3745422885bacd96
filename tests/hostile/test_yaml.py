"""YAML of every hostile class through the command line, and that bare words mean the same to all readers."""

import io
import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from fleetform.parse import parse
from tests.conformance import readers
from tests.fleet import GOOD, snapshot, write
from tests.hostile import hidden
from tests.hostile.yaml_corpus import DOCUMENTS, HEAD, KEYS, SCALARS


def refused(command, folder, text: str | bytes, *more: str) -> list[dict[str, Any]]:
    """Validate and render a bad spec: in bounds, with a place, nothing written; return the problems."""
    write(folder, {**GOOD, "agents/bad.yaml": text})
    before = snapshot(folder)
    rendered = command.run("render", cwd=folder)
    done = command.run("validate", "agents", *more, "--format", "json", cwd=folder)
    for ended in (rendered, done):
        ended.within_bounds()
        assert ended.code == 1, ended
    assert snapshot(folder) == before
    found = [item for item in json.loads(done.out) if item["severity"] == "error"]
    for item in found:
        assert item["file"] == "agents/bad.yaml"
        assert item["hint"]
    return found


def test_the_corpus_is_large_enough():
    assert len(DOCUMENTS) >= 40
    assert len(KEYS) >= 30
    assert len(set(SCALARS)) >= 60


@pytest.mark.parametrize(("text", "code"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_hostile_document_is_refused(text, code, command, tmp_path):
    found = refused(
        command, tmp_path, text, *(("--env", "prod") if code.startswith("extends") else ())
    )
    assert code in {item["code"] for item in found}, found
    assert all(item["line"] for item in found if item["code"] != "too-big")


@pytest.mark.parametrize("text", KEYS.values(), ids=KEYS)
def test_a_key_that_stands_twice_or_is_no_string_is_refused_where_it_stands(
    text, command, tmp_path
):
    found = refused(command, tmp_path, text)
    codes = {"duplicate-key", "key-not-a-string", "ambiguous-scalar", "tag"}
    about = [item for item in found if item["code"] in codes]
    assert about, found
    assert all(item["line"] and item["column"] for item in about)


@pytest.mark.parametrize("word", SCALARS)
def test_an_ambiguous_word_is_refused_as_a_value_and_as_a_key(word, command, tmp_path):
    found = refused(command, tmp_path, f"{HEAD}spec:\n  description: {word}\n  {word}: x\n")
    said = {(item["line"], item["column"]) for item in found if item["code"] == "ambiguous-scalar"}
    assert said == {(5, 16), (6, 3)}
    assert f'quote it: "{word}"' in {item["hint"] for item in found}


@pytest.mark.parametrize("word", SCALARS)
def test_each_ambiguous_word_is_one_to_some_reader(word):
    """Otherwise the refusal would be for nothing."""
    text = f"v: {word}\n"
    means = {repr(read(text)) for read in (_go, _yaml_1_1, _yaml_1_2)}
    assert len(means) > 1 or means != {repr(word)}, means


def _go(text: str) -> Any:
    try:
        return readers.go(text)[0]["v"]
    except ValueError:
        return None


def _yaml_1_1(text: str) -> Any:
    try:
        return yaml.safe_load(text)["v"]
    except (yaml.YAMLError, ValueError, KeyError):
        return None


def _yaml_1_2(text: str) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(io.StringIO(text))["v"]
    except Exception:
        return None


WORDS = st.text(st.sampled_from("0123456789+-._eExXoObB:~nyNaifIrtuslTFL="), min_size=1, max_size=7)


@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(st.lists(WORDS, min_size=200, max_size=200))
def test_a_bare_word_that_is_accepted_means_the_same_to_every_reader(words):
    """In one document each: Go's reader is a program of its own."""
    accepted = {}
    for word in words:
        loaded = parse(f"v: {word}\n".encode(), "x.yaml")
        if loaded.documents and not loaded.problems:
            accepted[word] = loaded.documents[0].tree["v"]
    rows = dict(enumerate(accepted.items()))
    text = "".join(f"k{number}: {word}\n" for number, (word, _) in rows.items()) or "{}"
    go, old = readers.go(text)[0], yaml.safe_load(text)
    for number, (word, value) in rows.items():
        for found in (go[f"k{number}"], old[f"k{number}"], _yaml_1_2(f"v: {word}\n")):
            assert found == value, word
            assert isinstance(found, bool) == isinstance(value, bool), word
            assert isinstance(found, str) == isinstance(value, str), word


@pytest.mark.parametrize("text", [*hidden.HIDDEN.values(), *hidden.MISPLACED.values()], ids=ascii)
def test_what_hides_in_a_spec_is_refused_and_stays_possible_as_an_escape(text, command, tmp_path):
    spec = HEAD + "spec:\n  description: %s\n"
    found = refused(command, tmp_path, spec % f'"{text}"')
    assert {item["code"] for item in found} <= {"hidden-character", "control-character", "bom"}
    (hint,) = {item["hint"] for item in found}
    assert yaml.safe_load(hint.rpartition(" as ")[2]) in text
    escaped = "".join(each if each.isascii() else f"\\U{ord(each):08x}" for each in text)
    (document,) = parse((spec % f'"{escaped}"').encode(), "x.yaml").documents
    assert document.tree["spec"]["description"] == text


@pytest.mark.parametrize("text", hidden.FINE, ids=ascii)
def test_what_scripts_and_emoji_need_is_accepted(text):
    assert parse(f"a: {text}\n# {text}\n".encode(), "x.yaml").problems == ()


@pytest.mark.parametrize(
    "point", [*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0)]
)
def test_a_control_character_is_refused_also_as_an_escape(point):
    """Kustomize fails on some, and cuts others."""
    for text in (f'a: "\\x{point:02x}"\n', f'"\\x{point:02x}": a\n', f'a: "{chr(point)}"\n'):
        (problem,) = parse(text.encode(), "x.yaml").problems
        assert problem.code in ("control-character", "yaml-syntax"), problem
        assert (problem.line, bool(problem.hint)) == (1, True)
