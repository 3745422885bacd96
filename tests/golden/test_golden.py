"""Small fleets and the whole tree that each becomes, side by side."""

import pytest
import yaml

from fleetform.platforms.kubernetes.kinds import KINDS
from tests.golden.cases import CASES, REWRITE, delivered, expected, rendered

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_case
def test_a_fleet_becomes_exactly_its_expected_tree(case):
    texts = expected(case)
    assert texts, f"{case.name} has no expected tree: {REWRITE}"
    assert rendered(case) == texts


@each_case
def test_a_fleet_is_delivered_by_exactly_its_expected_objects(case):
    assert delivered(case) == expected(case, "delivered")


def test_the_cases_have_every_kind_that_is_built():
    texts = [text for case in CASES for text in expected(case).values()]
    kinds = {
        item["kind"] for text in texts for item in yaml.load_all(text, Loader=yaml.CSafeLoader)
    }
    assert kinds == {kind.kind for kind in KINDS} | {"Kustomization"}
