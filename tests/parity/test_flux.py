"""What Flux makes of our objects on their way: it builds each folder with Kustomize before it applies it."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from fleetform import pipeline
from fleetform.problems import errors
from tests import generated
from tests.conformance import readers
from tests.fleet import write
from tests.parity.exact import assert_same, by_identity
from tests.parity.test_kustomize import build, by_chance, seeds

BEYOND_HELM = {"release-name-too-long"}


def delivered(folder: Path, seed: int, way: str) -> dict[str, dict[str, str]]:
    """Return the texts of the targets, by folder, of a fleet made by chance."""
    files = generated.layered(seed)
    prod = json.loads(files["environments/prod.yaml"])
    prod["spec"]["gitops"] = {"tool": "flux", "way": way}
    files["environments/prod.yaml"] = json.dumps(prod, ensure_ascii=False) + "\n"
    root = write(folder, files)
    specs = pipeline.read([root / "agents"])
    found, problems = pipeline.judged(specs, root / "environments", "prod", ["manifests", "flux"])
    assert {problem.code for problem in errors(problems)} <= BEYOND_HELM
    assert found is not None
    return pipeline.texts(found)


@by_chance()
@seeds
def test_releases_of_any_fleet_survive_the_build(seed):
    with TemporaryDirectory() as name:
        texts = delivered(Path(name), seed, "helm")["flux/prod"]
        releases = {path: text for path, text in texts.items() if path.startswith("releases/")}
        write(Path(name), releases)
        listed = json.dumps({"resources": sorted(releases)})  # as Flux writes one itself
        write(Path(name), {"kustomization.yaml": listed})
        assert_same(by_identity([build(Path(name))]), by_identity(releases.values()))


@by_chance()
@seeds
def test_plain_manifests_of_any_fleet_survive_it_folder_by_folder(seed):
    with TemporaryDirectory() as name:
        folders = delivered(Path(name), seed, "manifests")
        for folder, texts in folders.items():
            write(Path(name) / folder, texts)
        text = folders["flux/prod"]["kustomizations.yaml"]
        objects = readers.go(text)
        made = [build(Path(name) / item["spec"]["path"]) for item in objects]
        plain = folders["rendered/prod"].items()
        wanted = [text for path, text in plain if not path.endswith("kustomization.yaml")]
        assert_same(by_identity(made), by_identity(wanted))
        assert len({item["metadata"]["name"] for item in objects}) == len(objects)
