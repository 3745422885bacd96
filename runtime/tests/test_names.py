"""Names of tools are unique, whoever lists what in which order."""

import re

from hypothesis import given
from hypothesis import strategies as st

from fleetform_runtime.tools.mcp.names import apart, clean, distinct

ACCEPTED = re.compile(r"[A-Za-z0-9_-]{1,64}")
NAMES = st.text(st.sampled_from("ab._-é/ "), min_size=1, max_size=70)


def test_a_clean_name_stays():
    assert distinct(["read", "file_read", "a" * 64]) == ["read", "file_read", "a" * 64]
    assert distinct(["file.read"]) == ["file_read"]


def test_what_comes_to_the_same_is_told_apart_and_the_clean_one_keeps_its_name():
    first, second, third = distinct(["file.read", "file_read", "file/read"])
    assert second == "file_read"
    assert len({first, second, third}) == 3
    assert distinct(["file/read", "file.read", "file_read"]) == [third, first, second]


def test_what_is_too_long_is_cut_with_a_hash():
    one, other = distinct(["x" * 70 + "_read", "x" * 70 + "_delete"])
    assert one != other
    assert {len(one), len(other)} == {64}


@given(st.lists(NAMES, unique=True, max_size=12))
def test_own_names_are_unique_accepted_and_independent_of_their_order(names):
    found = distinct(names)
    assert len({*found}) == len(found)
    assert all(ACCEPTED.fullmatch(name) for name in found)
    assert distinct(names[::-1]) == found[::-1]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "a_b"]), st.sampled_from(["x", "y", "b_x", "a_x"])),
        unique=True,
    ),
    st.sets(st.sampled_from(["x", "a_x", "z"])),
)
def test_no_name_of_several_servers_is_anothers(named, reserved):
    found = apart(named, reserved)
    assert len({*found}) == len(found)
    assert not reserved & {*found}
    once = {name for _, name in named if [n for _, n in named].count(name) == 1}
    for (_, name), offered in zip(named, found, strict=True):
        if name in once - reserved:
            assert offered == name


def test_a_long_name_of_a_server_is_cut_with_a_hash():
    assert len(clean("s" * 40 + "_" + "t" * 40)) == 64
