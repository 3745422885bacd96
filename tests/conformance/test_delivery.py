"""What Flux and Argo CD are told: valid by their own definitions, complete, each object once."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.golden.cases import CASES
from tests.parity.objects import differences, of_text
from tests.tools import ROOT, run, tool

from . import kubeconform, rendered

DELIVERED = [
    case / "delivered" / tool / "prod"
    for case in CASES
    for tool in ("argocd", "flux")
    if (case / "delivered" / tool).is_dir()
]
FLUX = [path for path in DELIVERED if path.parent.name == "flux"]
EXAMPLES = sorted(ROOT.glob("flux/*"))
each_tree = pytest.mark.parametrize(
    "tree", [*DELIVERED, *EXAMPLES], ids=lambda path: path.relative_to(ROOT).as_posix()
)


def objects(tree: Path, kind: str) -> list[dict]:
    return [item for item in rendered.objects(rendered.object_files(tree)) if item["kind"] == kind]


@each_tree
def test_every_object_is_valid_by_its_definition(tree):
    files = rendered.object_files(tree)
    verdict = kubeconform.judge(files)
    assert verdict.refused == []
    assert verdict.scanned == len(rendered.objects(files)) > 0


@each_tree
def test_the_top_builds_without_a_word_and_holds_no_release(tree):
    done = run("kustomize", "build", tree)
    assert (done.returncode, done.stderr) == (0, "")
    made = {item["kind"] for item in yaml.safe_load_all(done.stdout)}
    assert made <= {
        *("AppProject", "Application", "Kustomization"),
        *("GitRepository", "OCIRepository"),
    }


def paths(tree: Path) -> list[str]:
    """Return the folders that are applied, in the tool's own words."""
    flux = [item["spec"]["path"] for item in objects(tree, "Kustomization")]
    argocd = [item["spec"]["source"]["path"] for item in objects(tree, "Application")]
    return [path.removeprefix("./") for path in flux + argocd]


def folder(tree: Path, path: str) -> Path:
    """Return the folder of a path in the repository, which has goldens in two places."""
    _, found, below = path.rpartition("rendered/")
    if tree in EXAMPLES:
        return ROOT / path
    if found:
        return tree.parents[2] / "expected" / below.partition("/")[2]
    return tree.parents[1] / path


@each_tree
def test_each_plain_object_is_applied_exactly_once(tree):
    applied: Counter[Path] = Counter()
    for path in paths(tree):
        where = folder(tree, path)
        assert where.is_dir(), path
        applied.update(rendered.object_files(where))
    root = ROOT / "rendered" / tree.name if tree in EXAMPLES else tree.parents[2] / "expected"
    every = {*rendered.object_files(root)}
    if objects(tree, "HelmRelease"):
        every = {file for file in every if file.parent.name == "_namespaces"}
        every |= {*tree.glob("releases/*/*.yaml")}
    assert set(applied) == every
    assert set(applied.values()) == {1}


@each_tree
def test_nothing_comes_before_its_namespace(tree):
    made = objects(tree, "Kustomization")
    first = [
        item["metadata"]["name"] for item in made if item["spec"]["path"].endswith("_namespaces")
    ]
    for item in made:
        needs = [need["name"] for need in item["spec"].get("dependsOn", [])]
        assert needs == ([] if item["metadata"]["name"] in first else first)
    waves = {
        item["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]: item["spec"]["source"]
        for item in objects(tree, "Application")
    }
    assert not waves or waves["-1"]["path"].endswith("_namespaces")


@each_tree
def test_no_variable_is_ever_substituted(tree):
    for item in objects(tree, "Kustomization"):
        assert "postBuild" not in item["spec"]
    for item in objects(tree, "HelmRelease"):
        annotations = item["metadata"]["annotations"]
        assert annotations["kustomize.toolkit.fluxcd.io/substitute"] == "disabled"


@pytest.mark.parametrize("tree", FLUX, ids=lambda path: path.parents[2].name)
def test_releases_wait_for_others_without_a_circle(tree):
    waiting = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): {
            (need["namespace"], need["name"]) for need in item["spec"].get("dependsOn", [])
        }
        for item in objects(tree, "HelmRelease")
    }
    while waiting:
        ready = {key for key, needs in waiting.items() if not needs & waiting.keys()}
        assert ready
        waiting = {key: needs for key, needs in waiting.items() if key not in ready}


@pytest.mark.parametrize("tree", FLUX, ids=lambda path: path.parents[2].name)
def test_the_values_of_a_release_make_its_plain_manifests(tree, tmp_path):
    for item in objects(tree, "HelmRelease"):
        metadata, spec = item["metadata"], item["spec"]
        chart = "namespace" if metadata["name"] == "fleetform-namespace" else "agent"
        values = tmp_path / "values.yaml"
        values.write_text(yaml.safe_dump(spec["values"]), "utf-8")
        command = [tool("helm"), "template", spec["releaseName"], ROOT / "charts" / chart]
        command += ["--no-hooks", "--namespace", metadata["namespace"], "--values", values]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        folder = tree.parents[2] / "expected" / metadata["namespace"]
        shared = folder.glob("_namespace/*.*.yaml")
        files = shared if chart == "namespace" else [folder / f"{metadata['name']}.yaml"]
        plain = "---\n".join(file.read_text("utf-8") for file in sorted(files))
        assert differences(of_text(plain), of_text(done.stdout)) == []


def test_a_project_permits_what_is_rendered_and_no_more():
    (tree,) = [path for path in DELIVERED if path.parent.name == "argocd"]
    (project,) = objects(tree, "AppProject")
    plain = rendered.objects(rendered.object_files(tree.parents[2] / "expected"))
    outside = {item["kind"] for item in plain if "namespace" not in item["metadata"]}
    assert {entry["kind"] for entry in project["spec"]["clusterResourceWhitelist"]} == outside
    spaces = {item["metadata"]["namespace"] for item in plain if "namespace" in item["metadata"]}
    permitted = [entry["namespace"] for entry in project["spec"]["destinations"]]
    assert sorted(permitted) == sorted(spaces)
    for item in objects(tree, "Application"):
        assert item["spec"]["project"] == project["metadata"]["name"]
        assert item["spec"]["source"]["repoURL"] in project["spec"]["sourceRepos"]
        assert item["spec"]["destination"] in project["spec"]["destinations"]
