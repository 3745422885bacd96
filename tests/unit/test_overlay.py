"""The difference of two objects is what a person would write, and nothing else."""

import pytest

from fleetform.platforms.kubernetes.targets.overlay import Difference


def merged(base, wanted):
    found = Difference(base, wanted, mergeable=True)
    return found.merge, found.operations


def test_equal_objects_differ_in_nothing():
    assert merged({"a": {"b": [1]}}, {"a": {"b": [1]}}) == ({}, [])


def test_a_merge_holds_the_changed_leaves_only():
    base = {"spec": {"a": 1, "b": {"c": "x", "d": "y"}}}
    assert merged(base, {"spec": {"a": 1, "b": {"c": "z", "d": "y"}}}) == (
        {"spec": {"b": {"c": "z"}}},
        [],
    )


def test_what_goes_is_null_and_what_comes_is_whole():
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "d": {"e": 3}}}) == (
        {"a": {"d": {"e": 3}, "b": None}},
        [],
    )


def test_the_first_container_is_merged_by_its_name():
    base = {"containers": [{"name": "agent", "image": "x", "pull": "a"}, {"name": "side"}]}
    wanted = {"containers": [{"name": "agent", "image": "x", "pull": "b"}, {"name": "side"}]}
    assert merged(base, wanted) == ({"containers": [{"name": "agent", "pull": "b"}]}, [])


def test_a_later_container_is_not_since_a_merge_would_put_it_first():
    first = {"name": "agent", "env": [{"name": f"N{n}", "value": "x" * 20} for n in range(4)]}
    base = {"containers": [first, {"name": "side", "image": "x"}]}
    wanted = {"containers": [first, {"name": "side", "image": "y"}]}
    assert merged(base, wanted) == (
        {},
        [{"op": "replace", "path": "/containers/1/image", "value": "y"}],
    )


def test_an_item_that_comes_is_one_operation():
    rules = [{"to": [{"ipBlock": {"cidr": f"10.{n}.0.0/16"}}]} for n in range(4)]
    base, wanted = {"egress": rules[:3]}, {"egress": rules}
    assert merged(base, wanted) == ({}, [{"op": "add", "path": "/egress/3", "value": rules[3]}])


def test_an_item_that_goes_is_one_operation():
    rules = [{"to": [{"ipBlock": {"cidr": f"10.{n}.0.0/16"}}]} for n in range(4)]
    base, wanted = {"egress": rules}, {"egress": [*rules[:1], *rules[2:]]}
    assert merged(base, wanted) == ({}, [{"op": "remove", "path": "/egress/1"}])


def test_a_list_that_changes_in_most_is_replaced():
    assert merged({"a": [1, 2, 3]}, {"a": [4, 5, 6]}) == (
        {},
        [{"op": "replace", "path": "/a", "value": [4, 5, 6]}],
    )


def test_words_of_a_command_line_are_merged_as_a_whole():
    assert merged({"args": ["a", "b"]}, {"args": ["a"]}) == ({"args": ["a"]}, [])


def test_an_emptied_map_stays_an_empty_map():
    assert merged({"a": {"emptyDir": {"sizeLimit": "1Gi"}}}, {"a": {"emptyDir": {}}}) == (
        {},
        [{"op": "replace", "path": "/a/emptyDir", "value": {}}],
    )


def test_an_empty_value_that_comes_is_an_operation():
    assert merged({"a": 1}, {"a": 1, "b": {}}) == (
        {},
        [{"op": "add", "path": "/b", "value": {}}],
    )


def test_a_custom_resource_gets_operations_only():
    found = Difference({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, mergeable=False)
    assert found.merge == {}
    assert found.operations == [
        {"op": "remove", "path": "/a/c"},
        {"op": "replace", "path": "/a/b", "value": 3},
    ]


@pytest.mark.parametrize(("key", "written"), [("a/b", "/a~1b"), ("a~b", "/a~0b")])
def test_keys_are_escaped_in_pointers(key, written):
    found = Difference({key: 1}, {key: 2}, mergeable=False)
    assert found.operations[0]["path"] == written
