"""Cycles are told in the order in which one walks them, each once."""

import pytest

from fleetform.rules.graphs import cycles

CASES = {
    "none": ({"a": ["b"], "b": ["c"], "c": []}, []),
    "itself": ({"a": ["a"]}, [["a"]]),
    "against the alphabet": ({"a": ["c"], "c": ["b"], "b": ["a"]}, [["a", "c", "b"]]),
    "two": ({"a": ["b"], "b": ["a"], "c": ["d"], "d": ["c"]}, [["a", "b"], ["c", "d"]]),
    "two through one": ({"a": ["b", "c"], "b": ["a"], "c": ["a"]}, [["a", "b"]]),
    "nowhere": ({"a": ["x"], "b": ["b"]}, [["b"]]),
}


@pytest.mark.parametrize(("edges", "found"), CASES.values(), ids=CASES)
def test_cycles(edges, found):
    told = [*cycles(edges)]
    assert len(told) == len(found)
    if [*map(set, told)] != [*map(set, found)]:
        # Of cycles that share a node any one may be told.
        assert all(step in edges[node] for cycle in told for node, step in _steps(cycle))
    else:
        assert told == found


def _steps(cycle):
    return zip(cycle, [*cycle[1:], cycle[0]], strict=True)


def test_every_one_of_many_cycles_is_reported():
    edges = {f"n{number}": [f"n{number ^ 1}"] for number in range(400)}
    assert len([*cycles(edges)]) == 200
