"""Canonical JSON is the same, whatever was written before."""

from hypothesis import given
from hypothesis import strategies as st

from fleetform import canonical
from fleetform.canonical import dumps

ALIKE = st.sampled_from([0, 1, 0.0, 1.0, -0.0, True, False, "", "1", "<a>"])
MEMBERS = st.recursive(
    ALIKE,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ba"), inner),
    max_leaves=4,
)


@given(st.lists(st.dictionaries(st.sampled_from("xyz"), MEMBERS), min_size=2, max_size=6))
def test_what_was_written_before_changes_nothing(values):
    written = [dumps(value) for value in values]
    alone = []
    for value in values:
        canonical._MEMBERS.clear()
        alone.append(dumps(value))
    assert written == alone
