"""The committed output as other people's tools see it, each one's count held against ours."""

from pathlib import Path

import pytest
import yaml

from tests.golden.cases import CASES
from tests.manifests import WITH_PODS, pod
from tests.tools import ROOT, run

from . import checkov, kubeconform, models, promtool, readers, rendered

# The groups of the custom resources that an environment's capabilities bring; models.py has the
# others, so that a group in neither is noticed and not passed over.
CUSTOM_GROUPS = {
    "argoproj.io",
    "cert-manager.io",
    "extensions.agents.x-k8s.io",
    "external-secrets.io",
    "flagger.app",
    "gateway.networking.k8s.io",
    "keda.sh",
    "kustomize.toolkit.fluxcd.io",
    "monitoring.coreos.com",
}


in_each_environment = pytest.mark.parametrize("environment", rendered.ENVIRONMENTS)


@pytest.fixture
def folder(environment: str) -> Path:
    return rendered.folder(environment)


@pytest.fixture
def objects(folder: Path) -> list[rendered.Object]:
    return rendered.objects(rendered.object_files(folder))


@in_each_environment
def test_every_object_is_valid_for_kubeconform(folder, objects):
    verdict = kubeconform.judge(rendered.object_files(folder))
    assert verdict.refused == []
    assert verdict.scanned == len(objects)


@in_each_environment
def test_every_built_in_object_loads_in_the_python_client(objects):
    built_in = [manifest for manifest in objects if models.is_built_in(manifest)]
    loaded = [models.load(manifest) for manifest in built_in]
    groups = {m["apiVersion"].partition("/")[0] for m in objects if not models.is_built_in(m)}
    assert len(loaded) == len(built_in) > 0
    assert groups <= CUSTOM_GROUPS


@pytest.mark.proof
@in_each_environment
def test_checkov_finds_nothing_and_sees_everything(folder, objects):
    verdict = checkov.judge(folder)
    assert verdict.failed == []
    assert verdict.passed > 0
    assert verdict.scanned == checkov.resources(objects)


@in_each_environment
def test_three_readers_of_yaml_read_the_same(folder):
    for file in rendered.yaml_files(folder):
        text = file.read_text("utf-8")
        expected = readers.canonical(readers.go(text))
        assert expected, file
        assert readers.canonical(readers.yaml_1_1(text)) == expected, file
        assert readers.canonical(readers.yaml_1_2(text)) == expected, file


@pytest.mark.proof
@in_each_environment
def test_promtool_accepts_every_rule(objects, tmp_path):
    for number, manifest in enumerate(promtool.rule_objects(objects)):
        count, complaints = promtool.check(
            promtool.write_groups(manifest, tmp_path / f"{number}.yaml")
        )
        assert complaints == ""
        assert count == len([*promtool.rules(manifest)])


@in_each_environment
def test_the_generic_runtime_reads_secrets_from_files_only(objects):
    """Stands in for CKV_K8S_35, which is skipped for images of users' own."""
    for found in _pods(objects):
        container = found["containers"][0]
        if "agent-runtime" in container["image"]:
            assert all("valueFrom" not in variable for variable in container.get("env", []))


@in_each_environment
def test_a_token_is_mounted_only_where_a_role_is_bound(objects):
    """Stands in for CKV_K8S_38, which cannot see the bindings."""
    bound = {
        subject["name"]
        for item in objects
        if item["kind"].endswith("RoleBinding")
        for subject in item["subjects"]
        if subject["kind"] == "ServiceAccount"
    }
    tokens = {
        found["serviceAccountName"]
        for found in _pods(objects)
        if found["automountServiceAccountToken"]
    }
    assert tokens == bound


def test_production_pins_every_image_by_its_digest():
    """Stands in for CKV_K8S_43, which is skipped for environments that follow tags."""
    manifests = rendered.objects(rendered.object_files(rendered.folder("prod")))
    images = [
        container["image"]
        for found in _pods(manifests)
        for container in (*found["containers"], *found.get("initContainers", ()))
    ]
    assert images
    assert [image for image in images if "@sha256:" not in image] == []


def _pods(objects):
    return [pod(item) for item in objects if item["kind"] in (*WITH_PODS, "CronJob")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_object_of_a_golden_tree_is_valid(case):
    files = rendered.object_files(case / "expected")
    verdict = kubeconform.judge(files)
    assert verdict.refused == []
    found = rendered.objects(files)
    assert verdict.scanned == len(found) > 0
    assert all(models.load(item) for item in found if models.is_built_in(item))


@in_each_environment
def test_kustomize_builds_the_same_objects_and_warns_of_nothing(folder, objects):
    done = run("kustomize", "build", folder)
    assert done.stderr == ""
    built = [document for document in yaml.safe_load_all(done.stdout) if document]
    assert _by_identity(built) == _by_identity(objects)


def _by_identity(manifests):
    found = {
        (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]): item
        for item in manifests
    }
    assert len(found) == len(manifests)
    return found


def test_base_and_overlays_hold_valid_objects_only():
    files = sorted(ROOT.glob("kustomize/**/resources.yaml"))
    verdict = kubeconform.judge(files)
    assert verdict.refused == []
    assert verdict.scanned == len(rendered.objects(files)) > 100
