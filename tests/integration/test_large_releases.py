"""What no release can hold: Helm keeps it in a Secret, compressed."""

import base64
import json
import random

import pytest

from tests.fleet import AGENT, fleetform
from tests.unit.test_releases import fleet

NOISE = base64.b64encode(random.Random(7).randbytes(525_000)).decode()
PROSE = "You answer questions of customers about their orders, kindly and briefly. " * 9_500


@pytest.mark.parametrize(("prompt", "code"), [(NOISE, 1), (PROSE, 0)], ids=["noise", "prose"])
def test_a_release_that_no_secret_holds_is_refused_before_anything_is_written(
    prompt, code, tmp_path
):
    fleet(tmp_path, AGENT.replace("You help.", json.dumps(prompt)))
    outcome = fleetform("render", "--target", "helm", "--target", "manifests", cwd=tmp_path)
    assert outcome.code == code, outcome.err[:500]
    assert (tmp_path / "rendered").exists() is (code == 0)
    if code:
        assert "agents/a.yaml:3:12: error: metadata.name: the release of `helper` would" in (
            outcome.err
        )
    assert fleetform("render", "--target", "manifests", cwd=tmp_path).code == 0
