"""Merging and comparing objects: for any two of them."""

import json

from hypothesis import given
from hypothesis import strategies as st

from fleetform.platforms.kubernetes.objects.changes import differences
from fleetform.platforms.kubernetes.objects.operations import merge

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)


@given(JSON, JSON)
def test_a_merge_leaves_no_null_that_it_was_given_and_changes_nothing_in_place(lower, upper):
    before = json.dumps(lower)
    merged = merge(lower, upper)
    assert json.dumps(lower) == before
    assert merge(merged, upper) == merged
    if isinstance(upper, dict):
        assert all(key not in merged for key, value in upper.items() if value is None)
    else:
        assert merged == upper


@given(JSON, JSON)
def test_differences_are_none_exactly_when_nothing_differs(old, new):
    same = json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)
    found = [*differences(old, new)]
    # A null that is there is, to Kubernetes, one that is not.
    if same:
        assert found == []
    elif not found:
        assert (
            "null" in json.dumps([old, new])
            or "{}" in json.dumps([old, new])
            or "[]" in json.dumps([old, new])
        )
