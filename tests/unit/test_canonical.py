"""The rules of Go's bytes, one by one; Go itself is asked in test_canonical_go."""

import hashlib

import pytest

from fleetform.canonical import digest, dumps


def test_members_are_sorted_and_indented_by_two():
    value = {"b": [1, {"d": True, "c": []}], "a": {}, "Z": "x"}
    assert dumps(value) == (
        '{\n  "Z": "x",\n  "a": {},\n  "b": [\n    1,\n    {\n      "c": [],\n'
        '      "d": true\n    }\n  ]\n}'
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (0.7, "0.7"),
        (100.5, "100.5"),
        (2**53, "9007199254740992"),
        (-(2**53), "-9007199254740992"),
        (1e16, "10000000000000000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (2.5e-10, "2.5e-10"),
        (5e-324, "5e-324"),
        (True, "true"),
        (False, "false"),
    ],
)
def test_numbers_have_the_form_of_go(value, text):
    assert dumps(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("<a href='x'>&", "\"\\u003ca href='x'\\u003e\\u0026\""),
        ("\u2028\u2029", '"\\u2028\\u2029"'),
        ('"\\/', '"\\"\\\\/"'),
        ("\b\f\n\r\t", '"\\b\\f\\n\\r\\t"'),
        ("\0\x0b\x1b\x1f", '"\\u0000\\u000b\\u001b\\u001f"'),
        ("\x7f\x80é😀\ufeff\ufffe", '"\x7f\x80é😀\ufeff\ufffe"'),
    ],
)
def test_strings_have_the_escapes_of_go(value, text):
    assert dumps(value) == text
    assert dumps({value: 1}) == f"{{\n  {text}: 1\n}}"


@pytest.mark.parametrize(
    "value",
    [
        None,
        float("nan"),
        float("inf"),
        2**53 + 1,
        -(2**53) - 1,
        pytest.param(10**5000, id="5001 digits"),
        "\ud800",
    ],
)
def test_what_helm_would_change_is_refused(value):
    for document in (value, [value], {"a": {"b": value}}):
        with pytest.raises(ValueError, match=r"null|number|2\*\*53|surrogates"):
            dumps(document)


@pytest.mark.parametrize("value", [(1,), {1}, b"a", {1: 2}, object()])
def test_what_json_does_not_know_is_refused(value):
    with pytest.raises(TypeError):
        dumps(value)


def test_the_digest_is_that_of_the_canonical_bytes():
    data = {"prompt.md": "Ask.\n", "agent.json": '{\n  "a": 1\n}'}
    expected = '{\n  "agent.json": "{\\n  \\"a\\": 1\\n}",\n  "prompt.md": "Ask.\\n"\n}'
    assert digest(data) == hashlib.sha256(expected.encode()).hexdigest()


def test_the_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": "1", "b": "2"}) == digest({"b": "2", "a": "1"})
