"""`fleetform charts`: the charts travel with the package."""

import pytest

from fleetform import charts
from tests.fleet import ENVIRONMENT, GOOD, fleetform, snapshot, write
from tests.tools import ROOT

HELM = {**GOOD, "environments/prod.yaml": ENVIRONMENT + "  targets: [manifests, helm]\n"}
FLUX = {
    **GOOD,
    "environments/prod.yaml": (
        ENVIRONMENT
        + "  targets: [flux, manifests]\n"
        + "  gitops: {way: helm, source: {name: f, url: https://git.example.com/f, branch: main}}\n"
    ),
}
WARNING = "warning: the charts that values are rendered for are not in charts\n  hint: run `fleetform charts`"


def test_the_charts_are_those_of_the_package(tmp_path):
    write(tmp_path, HELM)
    assert fleetform("render", cwd=tmp_path).code == 0
    assert fleetform("charts", "--check", cwd=tmp_path).code == 3
    assert fleetform("charts", cwd=tmp_path).code == 0
    for chart in charts.CHARTS:
        assert snapshot(tmp_path / "charts" / chart) == snapshot(ROOT / "charts" / chart)
    assert (tmp_path / "charts/values/prod/default/helper.yaml").is_file()
    assert fleetform("charts", "--check", cwd=tmp_path).code == 0


def test_what_another_version_wrote_is_replaced(tmp_path):
    assert fleetform("charts", cwd=tmp_path).code == 0
    write(
        tmp_path, {"charts/agent/Chart.yaml": "version: 0.0.1\n", "charts/own/Chart.yaml": "mine"}
    )
    done = fleetform("charts", "--check", cwd=tmp_path)
    assert (done.code, done.err.partition(" (")[0]) == (
        3,
        "charts is stale: run `fleetform charts`",
    )
    assert fleetform("charts", cwd=tmp_path).code == 0
    assert (tmp_path / "charts/agent/Chart.yaml").read_text() != "version: 0.0.1\n"
    assert (tmp_path / "charts/own/Chart.yaml").read_text() == "mine"


@pytest.mark.parametrize("files", [HELM, FLUX], ids=["helm", "flux"])
def test_values_without_charts_are_told_of(files, tmp_path):
    write(tmp_path, files)
    assert WARNING in fleetform("render", cwd=tmp_path).err
    assert fleetform("charts", cwd=tmp_path).code == 0
    assert WARNING not in fleetform("render", cwd=tmp_path).err


def test_releases_tell_of_missing_charts(tmp_path):
    write(tmp_path, HELM)
    done = fleetform("releases", cwd=tmp_path)
    assert done.code == 0
    assert WARNING in done.err


@pytest.mark.parametrize(
    "files",
    [
        GOOD,
        {
            **HELM,
            "environments/prod.yaml": (
                HELM["environments/prod.yaml"]
                + "  helm: {charts: oci://ghcr.io/acme/charts, version: 0.1.0}\n"
            ),
        },
    ],
    ids=["plain manifests", "charts of a registry"],
)
def test_nobody_asks_for_charts_that_are_not_used(files, tmp_path):
    write(tmp_path, files)
    assert "charts that values" not in fleetform("render", cwd=tmp_path).err


def test_another_folder_is_named_in_the_hint(tmp_path):
    text = HELM["environments/prod.yaml"] + "  helm: {charts: vendor/charts}\n"
    write(tmp_path, {**HELM, "environments/prod.yaml": text})
    assert "run `fleetform charts vendor/charts`" in fleetform("render", cwd=tmp_path).err
    assert fleetform("charts", "vendor/charts", cwd=tmp_path).code == 0
    assert "vendor" not in fleetform("render", cwd=tmp_path).err
