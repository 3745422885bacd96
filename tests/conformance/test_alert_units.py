"""Each alert fires when it should and stays silent when it should not, by promtool's own word."""

import shutil
from pathlib import Path

import pytest
import yaml

from fleetform.emit import emit
from fleetform.platforms.kubernetes.alerts import groups
from fleetform.platforms.kubernetes.objectives import Objective

from . import promtool

pytestmark = pytest.mark.proof

CASES = sorted((Path(__file__).parents[1] / "alerts").glob("*.yaml"))
NAMESPACE = "ai-agents"
OWN = {"lenient": {"errorRatio": 0.5, "readyRatio": 0.25}, "strict": {"errorRatio": 0.02}}
"""Thresholds of the agents of tests/alerts/own.yaml; the rules of the other cases have none."""
PROMISED = {
    "shop": Objective(99.5, 95, "30.0", 20, 30),
    "bulk": Objective(99.5, None, "", 20, 30),
    "lax": Objective(97, None, "", 20, 90),
}
"""Objectives of the agents of tests/alerts/objectives.yaml."""
ALL = groups(NAMESPACE, promised=PROMISED, budget=100, collector=True)


def expectations() -> list[tuple[str, bool]]:
    """Give each alert that a case asks about, and whether it is to fire."""
    return [
        (question["alertname"], bool(question["exp_alerts"]))
        for case in CASES
        for group in yaml.safe_load(case.read_text("utf-8"))["tests"]
        for question in group["alert_rule_test"]
    ]


@pytest.fixture(scope="module")
def rules(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("alerts")
    (folder / "rules.yaml").write_text(emit({"groups": groups(NAMESPACE)}), "utf-8")
    (folder / "own.rules.yaml").write_text(emit({"groups": groups(NAMESPACE, own=OWN)}), "utf-8")
    (folder / "all.rules.yaml").write_text(emit({"groups": ALL}), "utf-8")
    return folder / "rules.yaml"


@pytest.mark.parametrize("name", ["rules.yaml", "own.rules.yaml", "all.rules.yaml"])
def test_promtool_accepts_every_rule(rules, name):
    made = ALL if name.startswith("all") else groups(NAMESPACE)
    count = sum(len(group["rules"]) for group in made)
    assert promtool.check(rules.with_name(name)) == (count, "")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_alerts_fire_and_stay_silent_as_the_case_says(case, rules):
    copied = shutil.copy(case, rules.parent)
    assert promtool.unit_test(Path(copied)) == ""


def test_every_alert_is_seen_firing_and_silent():
    asked = set(expectations())
    names = {rule["alert"] for group in ALL for rule in group["rules"] if "alert" in rule}
    assert asked == {(name, fires) for name in names for fires in (True, False)}
