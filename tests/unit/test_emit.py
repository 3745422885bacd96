"""What the text looks like, and what is refused; what readers make of it: test_emit_readers."""

from enum import StrEnum
from textwrap import dedent

import pytest

from fleetform import emit as module
from fleetform.emit import emit, emit_all


class Kind(StrEnum):
    SERVICE = "Service"


def test_keys_keep_their_order_and_lists_stand_at_their_key():
    document = {
        "kind": "Pod",
        "apiVersion": "v1",
        "spec": {
            "containers": [
                {"name": "agent", "ports": [{"containerPort": 8080}], "env": []},
                {"name": "other", "resources": {"limits": {"cpu": 1, "share": 0.5}}},
            ],
            "empty": {},
            "args": ["serve", ["nested", ["deep"]], {}, []],
        },
    }
    assert emit(document) == dedent("""\
        kind: Pod
        apiVersion: v1
        spec:
          containers:
          - name: agent
            ports:
            - containerPort: 8080
            env: []
          - name: other
            resources:
              limits:
                cpu: 1
                share: 0.5
          empty: {}
          args:
          - serve
          - - nested
            - - deep
          - {}
          - []
        """)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (0, "0"),
        (-(2**63), "-9223372036854775808"),
        (2**64 - 1, "18446744073709551615"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.7, "0.7"),
        (1e22, "1.0e+22"),
        (1.5e-7, "1.5e-07"),
        (Kind.SERVICE, "Service"),
        ({}, "{}"),
        ([], "[]"),
    ],
)
def test_scalars_have_one_form(value, text):
    assert emit(value) == f"{text}\n"
    assert emit({"key": value}) == f"key: {text}\n"
    assert emit([value]) == f"- {text}\n"


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "apps/v1",
        "app.kubernetes.io/name",
        "ghcr.io/fleet/agent:1.2@sha256:0a",
        "https://example.org/a:b",
        "Customer Support Agent",
        "yesterday",
        "x-on",
    ],
)
def test_harmless_words_stay_bare(text):
    assert emit({text: text}) == f"{text}: {text}\n"


AMBIGUOUS = (
    "y N Yes NO on OFF True FALSE Null NaN Inf infinity ~ = << - ? : 1 012 0x1F 0o17 1e3 .5 +.inf "
    "1:30 2024-01-01 1_000 -a .a a: a# a'b [a] {a} *a &a !a %a @a |a >a `a a,b é 10m"
)


@pytest.mark.parametrize(
    "text", [*AMBIGUOUS.split(), "", " a", "a ", "a: b", "a #b", "a  b", "- a"]
)
def test_whatever_a_reader_could_take_for_something_else_is_quoted(text):
    assert emit({text: text}) == f'"{text}": "{text}"\n'


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ('"', '\\"'),
        ("\\", "\\\\"),
        ("\t", "\\t"),
        ("\r\n", "\\r\\n"),
        ("\0\x1b\x7f\x85\x9f", "\\x00\\x1b\\x7f\\x85\\x9f"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\ufeff\ufffe\uffff", "\\ufeff\\ufffe\\uffff"),
        ("\u202e\u2066", "\\u202e\\u2066"),
        ("é\u200d😀\ufffd\U0010ffff", "é\u200d😀\ufffd\U0010ffff"),
    ],
)
def test_only_what_readers_or_reviewers_could_misread_is_escaped(text, escaped):
    assert emit({text: text}) == f'"{escaped}": "{escaped}"\n'


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("a\nb", "|-\n    a\n    b\n"),
        ("a\n", "|\n    a\n"),
        ("a\n\n\n", "|+\n    a\n\n\n"),
        ('# a: "b" {{ .c }}\n\n\n\n  - d\t\n---\n', None),
    ],
)
def test_clean_text_of_several_lines_is_a_block(text, block):
    if block is None:
        block = '|\n    # a: "b" {{ .c }}\n\n\n\n      - d\t\n    ---\n'
    assert emit({"data": {"prompt": text}}) == f"data:\n  prompt: {block}"
    assert emit({"data": [{"prompt": text}]}) == f"data:\n- prompt: {block}"
    assert emit([[text]]) == f"- - {block}"


@pytest.mark.parametrize(
    "text", ["\n", "\na", " a\nb", "\ta\nb", "a\r\nb", "a\n\x00", "a\u2028\nb"]
)
def test_text_that_a_block_would_change_is_quoted(text):
    written = emit({"prompt": text})
    assert written.startswith('prompt: "')
    assert written.count("\n") == 1


def test_a_key_too_long_for_one_line_is_an_explicit_key():
    key = "k" * 1_001
    assert emit({"a": [{key: {"b": 1}}]}) == f"a:\n- ? {key}\n  :\n    b: 1\n"


def test_equal_objects_are_written_out_twice():
    shared = {"app": "a"}
    assert emit({"one": shared, "two": shared}) == "one:\n  app: a\ntwo:\n  app: a\n"


def test_long_lines_are_not_folded():
    text = "word, " * 1_000
    assert emit({"a": text}) == f'a: "{text}"\n'


def test_what_is_remembered_is_bounded():
    for number in range(3 * module._MOST_REMEMBERED):
        emit({f"k{number}": f"v{number}"})
    assert len(module._SCALARS) <= module._MOST_REMEMBERED
    assert all(len(heads) <= module._MOST_REMEMBERED for heads in module._HEADS.values())


def test_a_stream_has_its_header_once_and_a_separator_between_documents():
    header = "# Source: agents/a.yaml\n# Do not edit.\n"
    assert emit_all([{"a": 1}, {"b": 2}], header) == f"{header}a: 1\n---\nb: 2\n"
    assert emit_all([{"a": 1}], header.rstrip()) == f"{header}a: 1\n"
    assert emit_all([{"a": 1}]) == "a: 1\n"
    assert emit_all([]) == ""


def test_a_header_cannot_smuggle_content():
    with pytest.raises(ValueError, match="starts with #"):
        emit_all([{}], "# Source: a\nkind: Secret")
    assert emit_all([{}], "# a\rb\x85c\u2028d") == "# a\\rb\\x85c\\u2028d\n{}\n"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), 2**64, -(2**63) - 1])
def test_numbers_that_readers_do_not_share_are_refused(number):
    with pytest.raises(ValueError, match=r"number|64 bits"):
        emit({"a": [number]})


@pytest.mark.parametrize("value", [(1,), {1}, b"a", object()])
def test_values_that_are_not_plain_are_refused(value):
    with pytest.raises(TypeError, match=type(value).__name__):
        emit({"a": value})


@pytest.mark.parametrize("key", [1, None, True])
def test_keys_that_are_no_strings_are_refused(key):
    with pytest.raises(TypeError, match="not a string"):
        emit({key: 1})


@pytest.mark.parametrize("document", ["a\ud800", {"\udfff": 1}, ["\ud83d\n"]])
def test_lone_surrogates_are_refused(document):
    with pytest.raises(ValueError, match="lone surrogate"):
        emit(document)
