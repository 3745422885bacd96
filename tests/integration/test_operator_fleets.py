"""The fleets that the operators get are accepted: what a rule refuses is known long before operators start."""

from pathlib import Path

import pytest

from tests.operators import fleets

SERVERS = fleets.Servers(*[fleets.NOBODY] * 3)


@pytest.mark.parametrize("name", fleets.NAMES)
def test_a_fleet_for_the_operators_is_rendered(name: str, tmp_path: Path) -> None:
    found = fleets.objects(name, tmp_path, SERVERS)
    kinds = {item["kind"] for item in found}
    assert {"Namespace", "Deployment"} <= kinds
