"""What Helm makes of our values is what the plain manifests say, object for object."""

import os
from pathlib import Path

import pytest

from fleetform import emit, pipeline
from fleetform.problems import errors
from fleetform.targets import helm
from fleetform.targets.build import Build
from tests import generated
from tests.conformance import readers
from tests.fleet import write
from tests.parity import charts
from tests.parity.objects import differences, of_text
from tests.tools import ROOT

EXAMPLES = ("dev", "staging", "prod")
FLEETS = int(os.environ.get("FLEETFORM_PARITY", "30"))
"""How many fleets are made by chance; `make parity` asks for 300."""
PER_RUN = 10

in_both_helms = pytest.mark.parametrize("helm_version", charts.HELMS)


def planned(agents: Path, environments: Path, environment: str) -> Build:
    """Plan and build an environment; what stands in its way fails the test."""
    built, problems = pipeline.judged(pipeline.read([agents]), environments, environment, ["helm"])
    assert built is not None, problems
    assert errors(problems) == ()
    return built


def check(builds: list[Build], helm_version: str, folder: Path) -> None:
    """Compare all releases of some fleets with their manifests, chart by chart."""
    wanted = {
        (number, unit.namespace, unit.workload or helm.SHARED): unit
        for number, made in enumerate(builds)
        for unit in made.units
        if unit.namespace
    }
    releases = [
        (number, release) for number, made in enumerate(builds) for release in helm.releases(made)
    ]
    assert len(releases) == len(wanted)
    groups: dict[tuple[str, str], list[tuple[int, helm.Release]]] = {}
    for number, release in releases:
        groups.setdefault((release.chart, release.namespace), []).append((number, release))
    for (chart, space), members in groups.items():
        # As Helm reads the files that we write, not as we hold them.
        documents = readers.go(emit.emit_all([release.document for _, release in members]))
        root = charts.umbrella(folder / f"{chart}-{space}", chart, documents)
        found = charts.template(helm_version, root, space, len(members))
        for (number, release), theirs in zip(members, found, strict=True):
            unit = wanted[number, space, release.name]
            ours = of_text(emit.emit_all(list(unit.objects)))
            assert differences(ours, theirs) == [], f"{space}/{release.name}"


@in_both_helms
@pytest.mark.parametrize("environment", EXAMPLES)
def test_the_example_fleet_is_the_same_from_helm(environment, helm_version, tmp_path):
    made = planned(ROOT / "agents", ROOT / "environments", environment)
    check([made], helm_version, tmp_path)


@in_both_helms
@pytest.mark.parametrize("first", range(0, FLEETS, PER_RUN))
def test_fleets_made_by_chance_are_the_same_from_helm(first, helm_version, tmp_path):
    builds = []
    for seed in range(first, first + PER_RUN):
        root = write(tmp_path / str(seed), generated.fleet(seed, longest=helm.LONGEST_NAME))
        builds.append(planned(root / "agents", root / "environments", "prod"))
    check(builds, helm_version, tmp_path / "charts")
