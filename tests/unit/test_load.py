"""YAML in: trees with places, and a Problem for whatever readers of YAML disagree on."""

import pytest

from fleetform.load import MAX_BYTES
from fleetform.parse import parse
from fleetform.tree import at, locate


def said(text: str | bytes) -> list[tuple[int, int, str]]:
    """Return line, column and code of each problem of a file."""
    data = text if isinstance(text, bytes) else text.encode()
    return [(item.line, item.column, item.code) for item in parse(data, "x.yaml").problems]


def value(text: str) -> object:
    loaded = parse(f"v: {text}\n".encode(), "x.yaml")
    assert loaded.problems == ()
    return loaded.documents[0].tree["v"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("-7", -7),
        ("1.5", 1.5),
        ("1.0e+3", 1000.0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("word", "word"),
        ("two words", "two words"),
        ("1.2.3", "1.2.3"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("2026-11-21x", "2026-11-21x"),
        ('"on"', "on"),
        ("'012'", "012"),
        ('"1e3"', "1e3"),
        (r'"a\tb\u00e9\u2028"', "a\tbé\u2028"),
        ("|\n  a\n   b\n", "a\n b\n"),
        ("9007199254740992", 1 << 53),
    ],
)
def test_what_all_readers_agree_on_is_read(text, expected):
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "word",
    [
        "y",
        "N",
        "yes",
        "No",
        "on",
        "OFF",
        "012",
        "08",
        "0o17",
        "0x1F",
        "0b1",
        "1_000",
        "1e3",
        ".5e3",
        "1:30",
        "1:30:00",
        "2026-11-21",
        "2026-11-21T10:00:00",
        ".nan",
        ".inf",
        "-.INF",
        "=",
        "<<",
    ],
)
def test_a_bare_word_on_which_versions_disagree_is_refused_where_it_stands(word):
    (found,) = parse(f"a:\n  b: {word}\n".encode(), "x.yaml").problems
    assert (found.line, found.column, found.code) == (2, 6, "ambiguous-scalar")
    assert found.path == "a.b"
    assert found.hint == f'quote it: "{word}"'


def test_every_node_knows_where_its_key_and_its_value_stand():
    tree = parse(b"a:\n  - b: c\n    d:  [e, f]\n", "x.yaml").documents[0].tree
    mark, whole = locate(tree, ("a", 0, "d"))
    assert whole
    assert mark == ("x.yaml", 3, 5, 3, 9)
    assert locate(tree, ("a", 0, "d", 1))[0][1:3] == (3, 13)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", [(0, 0, "empty")]),
        ("# nothing but a comment\n", [(0, 0, "empty")]),
        ("---\n---\n", [(0, 0, "empty")]),
        ("null\n", [(0, 0, "empty")]),
        ("word\n", [(1, 1, "not-a-map")]),
        ("- a\n", [(1, 1, "not-a-map")]),
        ("a:\n  - b\n  -\n", [(3, 4, "empty-item")]),
        ("a: [null]\n", [(1, 5, "empty-item")]),
        ("a: 1\nb: 2\na: 3\n", [(3, 1, "duplicate-key")]),
        ("1: a\n", [(1, 1, "key-not-a-string")]),
        ("true: a\nnull: b\n", [(1, 1, "key-not-a-string"), (2, 1, "key-not-a-string")]),
        ("? [a]\n: b\n", [(1, 3, "key-not-a-string")]),
        ("? {a: b}\n: c\n", [(1, 3, "key-not-a-string")]),
        ("a: &x b\n*x : c\n", [(2, 1, "key-not-a-string")]),
        ("a: !!str b\n", [(1, 4, "tag")]),
        ("!!str a: b\n", [(1, 1, "tag")]),
        ("a: !x [b]\n", [(1, 4, "tag")]),
        ("a: !!python/object/apply:os.system [ls]\n", [(1, 4, "tag")]),
        ("a: {<<: b}\n", [(1, 5, "ambiguous-scalar")]),
        ("a: *b\n", [(1, 4, "alias")]),
        ("a: &x [*x]\n", [(1, 8, "alias")]),
        ("a: &x {b: *x}\n", [(1, 11, "alias")]),
        ("a: " + "9" * 5000, [(1, 4, "integer-too-big")]),
        ("a: -9007199254740993", [(1, 4, "integer-too-big")]),
        ("a: 1.0e+999\n", [(1, 4, "not-finite")]),
        ("a:\n\tb: c\n", [(2, 1, "yaml-syntax")]),
        ("a: [b\n", [(2, 1, "yaml-syntax")]),
        ('a: "b\n', [(2, 1, "yaml-syntax")]),
        ('a: "b\\0"\n', [(1, 4, "control-character")]),
        ('a: "\\e[31m"\n', [(1, 4, "control-character")]),
        ('a: "\\ud800"\n', [(1, 7, "yaml-syntax")]),
        ("a: b\n\x00\n", [(2, 1, "control-character")]),
        ("a: b\x85c\n", [(1, 5, "control-character")]),
        ("a: b\u2028c\n", [(1, 5, "control-character")]),
        ("a: b\n# \ufeff\n", [(2, 3, "control-character")]),
        ("a: b\r\nc: d\r\n", [(1, 1, "crlf")]),
        (b"\xef\xbb\xbfa: b\n", [(1, 1, "bom")]),
        ("a: b\n".encode("utf-16"), [(1, 1, "bom")]),
        ("a: é\n".encode("latin-1"), [(1, 4, "not-utf8")]),
        (bytes(range(256)), [(2, 118, "not-utf8")]),
        ("%YAML 3.0\n---\na: b\n", [(1, 1, "yaml-syntax")]),
        ("%TAG ! tag:x,2000:\n---\na: !b c\n", [(3, 4, "tag")]),
    ],
)
def test_bad_yaml_is_one_problem_at_its_place(text, problems):
    assert said(text) == problems


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 5000 + "]" * 5000,
        "{a: " * 5000 + "}" * 5000,
        "- " * 5000 + "a",
        "".join(" " * level + "a:\n" for level in range(1400)),
    ],
    ids=["flow lists", "flow maps", "block lists", "block maps"],
)
def test_deep_nesting_is_refused_at_the_level_that_is_too_deep(text):
    assert "too-deep" in [code for _, _, code in said(text)]
    assert parse(text.encode(), "x.yaml").documents == ()


def test_nesting_up_to_the_bound_is_read():
    assert said("a: " + "[" * 63 + "]" * 63) == []


def test_an_alias_bomb_is_refused_before_it_goes_off():
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 10))
    assert [code for _, _, code in said(f"l0: &l0 [x]\n{levels}")] == ["too-many-nodes"]


def test_an_alias_is_what_its_anchor_says():
    tree = parse(b"a: &x {b: [1, 2]}\nc: *x\n", "x.yaml").documents[0].tree
    assert tree["c"] == {"b": [1, 2]}


def test_an_anchor_on_a_key_or_of_another_document_changes_nothing():
    assert said("&x a: b\n") == []
    assert said("a: &x b\n---\na: *x\n") == [(3, 4, "alias")]


def test_a_document_that_breaks_off_is_left_out_and_those_around_it_are_read():
    loaded = parse(b"a: 1\n---\nb: [\n---\nc: 3\n--- {d: \n---\ne: 5\n", "x.yaml")
    assert [dict(document.tree) for document in loaded.documents] == [{"a": 1}, {"c": 3}, {"e": 5}]
    assert [(item.line, item.code) for item in loaded.problems] == [
        (4, "yaml-syntax"),
        (7, "yaml-syntax"),
    ]
    assert loaded.documents[2].tree.mark.line == 8


def test_a_document_mark_inside_a_block_of_text_is_text():
    (document,) = parse(b"a: |\n  ---\n  b\n", "x.yaml").documents
    assert document.tree["a"] == "---\nb\n"


def test_a_document_that_is_too_deep_does_not_hide_the_next_one():
    loaded = parse(("a: " + "[" * 99 + "]" * 99 + "\n---\nb: 1\n").encode(), "x.yaml")
    assert [dict(document.tree) for document in loaded.documents] == [{"b": 1}]


def test_the_yaml_1_1_directive_does_not_bring_back_its_booleans():
    assert [code for _, _, code in said("%YAML 1.1\n---\na: yes\n")] == ["ambiguous-scalar"]


@pytest.mark.parametrize("text", ["a: [" + "on," * 20_000 + "on]", "{" + "a: 1," * 20_000 + "}"])
def test_a_flood_of_problems_ends_after_the_first_hundred(text):
    assert len(said(text)) == 101


def test_a_long_file_of_broken_documents_ends_after_the_first_hundred():
    assert len(said("---\na: [\n" * 10_000)) == 101


def test_a_file_of_one_mebibyte_is_read():
    text = "a: '" + "x" * (MAX_BYTES - 6) + "'\n"
    assert len(text) == MAX_BYTES
    assert said(text) == []


def test_paths_lead_to_the_place_in_lists_and_maps():
    (found,) = parse(b"spec:\n  tools:\n    - name: a\n    - name: on\n", "x.yaml").problems
    assert found.path == "spec.tools[1].name"


def test_a_tree_can_be_walked_by_paths():
    tree = parse(b"a: [{b: c}]\n", "x.yaml").documents[0].tree
    assert at(tree, ("a", 0, "b")) == "c"
    assert at(tree, ("a", 1, "b"), "none") == "none"
