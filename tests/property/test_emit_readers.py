"""Every string comes back from Go's, YAML 1.1's and YAML 1.2's readers as it went in."""

import itertools
import json
import random
from collections.abc import Iterator

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetform.emit import emit, emit_all
from tests.conformance import readers

AMBIGUOUS = (
    "y Y yes Yes YES n N no No NO on On ON off Off OFF true True TRUE false False FALSE null Null "
    "NULL ~ nan NaN .nan .NaN inf .inf -.inf +.INF Infinity none None nil undefined 0 1 -1 +1 00 "
    "08 09 012 -012 0o17 0O17 0x1F 0X1f 0b101 1_000 1__0 1_ _1 1e3 1E5 1e-3 1e+3 e3 .5 5. .5e3 "
    "+.5 -.5 1.5 1.5e 1e 1e400 -1e400 9007199254740993 18446744073709551616 0.1.2 1:30 12:30:45 "
    "190:20:30.15 1:60 :30 2024-01-01 2024-1-1 2024-01-01T00:00:00Z 2024-13-45 = << <<: - -- --- "
    "... ? : # % @ ` ! !! !!str !!binary & &a * *a | |- > >- [ ] { } , [] {} a: a:b a#b :a #a -a "
    "?a 'a' \"a\" 'a \"a a' a\" a, a,b \\ \\n \\x00 \\u0041 //a {{ }} {{.a}} ${A} $(A) %YAML --- "
    "...a ---a 0. 0x 0o 0b .e3 +1e3 1e3_ 1,000 ١٢٣ １２ ½ ² é 日本語 😀 "
)
WORDS = AMBIGUOUS.split()
SHAPES = (
    "",
    " ",
    "  ",
    "\t",
    "\n",
    "\n\n",
    "\r",
    "\r\n",
    " a",
    "a ",
    "\ta",
    "a\t",
    "a: b",
    "a #b",
    "a : b",
    "- a",
    "? a",
    "a\n",
    "a\n\n",
    "a\n\n\n",
    "a\nb",
    "\na",
    "\n a",
    " a\nb",
    "a\n b",
    "a\n  \nb",
    "a\n\t\nb",
    "a\n ",
    "a\n\t",
    "a \nb ",
    "a\n   ",
    "a\n   \n",
    "a\r\nb",
    "a\rb",
    "a\n---\nb",
    "---\na",
    "a\n...\n",
    "%a\nb",
    "#a\n#b",
    "a\n#b\n",
    "|\n a",
    "- a\n- b",
    "a:\n  b",
    "a\x85b",
    "a\u2028b",
    "a\nb\u2029c",
    "\ufeff",
    "\ufeffa",
    "a\ufeff",
    "a\n\ufeff",
    "\ufffe",
    "\uffff",
    "\ufffd",
    "\x00",
    "\x7f",
    "\x80",
    "\x9f",
    "\xa0",
    "\xa0a",
    "a\n\xa0\nb",
    "\u200b",
    "\u202e",
    "\u3000",
    "k" * 1_100,
    "é" * 1_100,
    "a b " * 400,
    "a" * 70_000,
    "\\" * 500,
    '"' * 501,
)
ALPHABETS = (
    "ynotfalseNUL~.0123456789e+-_:x",
    "ab :#-?,[]{}&*!|>'\"%@`\\=<$()/.~^",
    " \t\n\r\x0b\x0cab-#:",
    "a\n b\n  c\n\n",
    "\x00\x07\x1b\x7f\x80\x85\x9f\xa0\xad\u061c\u200b\u200d\u2028\u2029\u202e\u2066\ufeff\ufffd\uffff",
    "éßñΩжא日本語한ْ́😀👩\u200d🔬\U0001fffe\U0010ffff",
)
SURROGATES = range(0xD800, 0xE000)


def generated(count: int) -> Iterator[str]:
    """Yield random strings, the same in each run, a third of them with several lines."""
    chance = random.Random(1)
    for number in range(count):
        alphabet = ALPHABETS[number % len(ALPHABETS)]
        if chance.random() < 0.2:
            alphabet += chance.choice(ALPHABETS)
        text = "".join(chance.choices(alphabet, k=chance.randrange(1, 14)))
        if chance.random() < 0.3:
            text = chance.choice(WORDS) + chance.choice(["", " ", "\n", ":", "\n\n"]) + text
        yield text


def torture() -> Iterator[str]:
    yield from WORDS
    yield from SHAPES
    for word, ending in itertools.product(WORDS, ("\n", " ", "\nx", ":", " #")):
        yield word + ending


def code_points(step: int) -> Iterator[str]:
    """Yield every code point once: `step` of them in a row, and behind a line break."""
    for start in range(0, 0x110000, step):
        run = "".join(map(chr, (p for p in range(start, start + step) if p not in SURROGATES)))
        if run:
            yield run
            yield f"a\n{run}"


def plane_edges() -> Iterator[str]:
    """Yield the code points next to the ends of each block of 4,096, alone and within lines."""
    for start in range(0, 0x110000, 0x1000):
        for point in (start, start + 1, start + 0x85, start + 0xFFD, start + 0xFFE, start + 0xFFF):
            if point not in SURROGATES:
                yield from (chr(point), f"a{chr(point)}b", f"a\n{chr(point)}\nb\n")


def everywhere(texts: list[str]) -> dict[str, object]:
    """Put each string where strings stand: behind a key, behind dashes, as a key."""
    return {
        "values": [{"name": text, "deep": {"deeper": [text, [text]]}} for text in texts],
        "keys": [{text: 1} for text in texts],
        "listed": [{text: [text]} for text in texts],
    }


def once(texts: list[str]) -> dict[str, object]:
    """Put each string behind itself as a key: the readers written in Python are slow."""
    return {"pairs": [{text: text} for text in texts]}


def libyaml(text: str) -> list[object]:
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))


FAST = {"Go": readers.go, "PyYAML with libyaml": libyaml}
ALL = FAST | {"PyYAML": readers.yaml_1_1, "ruamel, YAML 1.2": readers.yaml_1_2}


def assert_unchanged(texts: list[str], name: str) -> None:
    document = everywhere(texts) if name in FAST else once(texts)
    (read,) = ALL[name](emit(document))
    assert set(read) == set(document)
    for part, items in document.items():
        for before, after in zip(items, read[part], strict=True):
            assert after == before, part


@pytest.mark.parametrize("name", ALL)
def test_no_reader_changes_a_tortured_string(name):
    assert_unchanged(list(torture()), name)


@pytest.mark.proof
@pytest.mark.parametrize("name", ALL)
def test_no_reader_changes_a_generated_string(name):
    texts = list(generated(24_000))
    assert len(set(texts)) > 20_000
    assert_unchanged(texts, name)


@pytest.mark.parametrize("name", FAST)
def test_no_reader_changes_a_code_point(name):
    assert_unchanged(list(code_points(256)), name)


@pytest.mark.parametrize("name", ALL)
def test_no_reader_changes_a_code_point_at_the_edge_of_a_block(name):
    assert_unchanged(list(plane_edges()), name)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(WORDS)
    | st.sampled_from(SHAPES[:-6])
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6) | st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=24,
)


def numbers_as_floats(node: object) -> object:
    """Make documents comparable: Go writes 1e16 with all its digits, like an integer."""
    if isinstance(node, dict):
        return {key: numbers_as_floats(value) for key, value in node.items()}
    if isinstance(node, list):
        return [numbers_as_floats(value) for value in node]
    # Go's reader takes -0.0 for 0.
    return node + 0.0 if isinstance(node, int | float) and not isinstance(node, bool) else node


def comparable(documents: list[object]) -> str:
    """Give text, as True equals 1.0, with sorted keys, as Go's reader sorts them."""
    return json.dumps(numbers_as_floats(documents), sort_keys=True)


@settings(max_examples=150, deadline=None)
@given(st.lists(DOCUMENTS, min_size=1, max_size=6))
def test_a_stream_of_any_shape_comes_back(documents):
    text = emit_all(documents, "# one\n")
    for read in FAST.values():
        assert comparable(read(text)) == comparable(documents)


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS)
def test_the_text_depends_on_the_document_alone(document):
    assert emit(document) == emit(json.loads(json.dumps(document)))
