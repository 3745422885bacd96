"""What Helm makes of our values is what the plain manifests say, object for object."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fleetform import emit, pipeline
from fleetform.platforms.kubernetes.build import Build
from fleetform.platforms.kubernetes.targets import helm
from fleetform.problems import errors
from tests import generated
from tests.conformance import readers
from tests.fleet import write
from tests.parity import charts
from tests.parity.exact import many_by_chance
from tests.parity.objects import differences, of_text
from tests.tools import ROOT

ENVIRONMENTS = ("dev", "staging", "prod")

in_both_helms = pytest.mark.parametrize("helm_version", charts.EACH_HELM)


def planned(agents: Path, environments: Path, environment: str) -> Build:
    """Plan and build an environment; what stands in its way fails the test."""
    found, problems = pipeline.judged(pipeline.read([agents]), environments, environment, ["helm"])
    assert found is not None, problems
    assert errors(problems) == ()
    assert found.kubernetes is not None
    return found.kubernetes


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
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_example_fleet_is_the_same_from_helm(environment, helm_version, tmp_path):
    made = planned(ROOT / "agents", ROOT / "environments", environment)
    check([made], helm_version, tmp_path)


@in_both_helms
@many_by_chance
def test_fleets_made_by_chance_are_the_same_from_helm(helm_version, seeds):
    """One run of Helm renders them all: starting it costs more than rendering."""
    with TemporaryDirectory() as folder:
        builds = []
        for seed in seeds:
            root = write(Path(folder) / str(seed), generated.fleet(seed, longest=helm.LONGEST_NAME))
            builds.append(planned(root / "agents", root / "environments", "prod"))
        check(builds, helm_version, Path(folder) / helm_version)
