"""Two paths of one host are either apart, or refused because one takes the other's requests."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_routes import said, server

SEGMENTS = st.lists(st.sampled_from(["a", "A", "b", "c"]), max_size=3)


@given(st.lists(SEGMENTS, min_size=2, max_size=4), st.booleans())
def test_any_two_paths_of_a_host_are_apart_or_refused(tmp_path_factory, paths, slash):
    texts = [f"/{'/'.join(path)}" + ("/" if slash and path else "") for path in paths]
    documents = [server(f"s{n}", "desk", f"{{path: {text}}}") for n, text in enumerate(texts)]
    found = said(tmp_path_factory.mktemp("fleet"), *documents)
    plain = [[part.lower() for part in path] for path in paths]
    nested = any(
        one[: len(other)] == other or other[: len(one)] == one
        for one, other in combinations(plain, 2)
    )
    assert bool(found) is nested
