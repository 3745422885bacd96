"""Go, as Helm runs it, writes the same bytes for any value."""

import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetform.canonical import dumps
from tests.tools import run


def by_go(value: object) -> str:
    """Decode and indent with Go, as Helm does with a chart's values."""
    done = run("yaml2json", "-indent", text=json.dumps(value))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("exponent", range(-12, 25))
def test_go_writes_the_same_bytes_around_each_power_of_ten(exponent):
    power = float(f"1e{exponent}")
    numbers = [power, -power, power * 1.5, power * 0.999999, power * 123456789 / 1e8, power / 3]
    assert dumps(numbers) == by_go(numbers)


SCALARS = (
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)
    | st.text(max_size=12)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=24,
)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_go_writes_the_same_bytes_for_any_value(value):
    assert dumps(value) == by_go(value)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=500, max_size=500))
def test_go_writes_the_same_bytes_for_any_float(patterns):
    floats = [struct.unpack("d", struct.pack("Q", pattern))[0] for pattern in patterns]
    finite = [number + 0.0 for number in floats if abs(number) < float("inf")]
    assert dumps(finite) == by_go(finite)


def test_go_writes_the_same_bytes_for_every_character():
    points = (p for p in range(0x110000) if not 0xD800 <= p < 0xE000)
    text = "".join(map(chr, points))
    assert dumps([text]) == by_go([text])
