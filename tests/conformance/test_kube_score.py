"""kube-score finds nothing critical, and what it is not asked about is kept in another way."""

import pytest
import yaml

from tests.conformance import kube_score, rendered
from tests.manifests import WORKLOADS, containers, pod, tree
from tests.tools import ROOT

pytestmark = pytest.mark.proof

each_environment = pytest.mark.parametrize("environment", rendered.ENVIRONMENTS)


def waiting(objects):
    """Yield the pods that agent-sandbox makes, whose templates kube-score does not know."""
    for item in objects:
        if item["kind"] == "SandboxTemplate":
            template = item["spec"]["podTemplate"]
            named = {**template["metadata"], "name": "sandbox", "namespace": item["metadata"]["namespace"]}  # fmt: skip
            yield {"apiVersion": "v1", "kind": "Pod", **template, "metadata": named}


@each_environment
def test_nothing_is_critical(environment, tmp_path):
    files = rendered.object_files(ROOT / "rendered" / environment)
    pods = tmp_path / "pods.yaml"
    pods.write_text(yaml.safe_dump_all([*waiting(rendered.objects(files))]), "utf-8")
    verdict = kube_score.judge([*files, pods])
    assert verdict.critical == []
    # It knows no custom resources, and says nothing of some built-in kinds.
    known = {"Deployment", "StatefulSet", "Service", "NetworkPolicy", "PodDisruptionBudget"}
    found = [item for item in rendered.objects(files) if item["kind"] in known]
    assert verdict.scanned >= len(found) > 20
    assert verdict.checked > 200


def test_it_would_find_something(tmp_path):
    (sample,) = [
        item
        for item in tree("rendered/prod").of("Deployment")
        if item["metadata"]["name"] == "writer-agent"
    ]
    file = tmp_path / "a.yaml"
    file.write_text(yaml.safe_dump(sample))
    # Alone, no policy closes its network, nor is there a budget for its pods.
    assert any("networkpolicy" in line for line in kube_score.judge([file]).critical)


@each_environment
def test_local_storage_is_bounded_without_requests_for_it(environment):
    for item in tree(f"rendered/{environment}").of(*WORKLOADS):
        for volume in pod(item)["volumes"]:
            assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"]
        for container in containers(item):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


@each_environment
def test_every_image_is_pinned(environment):
    for item in tree(f"rendered/{environment}").of(*WORKLOADS):
        for container in containers(item):
            _, _, tag = container["image"].rpartition("/")[2].partition(":")
            assert tag
            assert tag != "latest"


@each_environment
def test_the_generic_runtime_is_probed_on_a_path_of_its_own_for_each_question(environment):
    checked = 0
    for item in tree(f"rendered/{environment}").of(*WORKLOADS):
        main = pod(item)["containers"][0]
        if "agent-runtime" in main["image"]:
            names = ("startupProbe", "readinessProbe", "livenessProbe")
            assert len({main[name]["httpGet"]["path"] for name in names}) == 3
            checked += 1
    assert checked > 4
