"""The committed output as other people's tools see it, each one's count held against ours."""

from pathlib import Path

import pytest
import yaml
from tests.tools import ROOT

from . import checkov, kubeconform, models, promtool, readers, rendered

# The groups of the custom resources that an environment's capabilities bring; models.py has the
# others, so that a group in neither is noticed and not passed over.
CUSTOM_GROUPS = {
    "argoproj.io",
    "cert-manager.io",
    "external-secrets.io",
    "flagger.app",
    "gateway.networking.k8s.io",
    "keda.sh",
    "kustomize.toolkit.fluxcd.io",
    "monitoring.coreos.com",
}

ALERT_TESTS = ROOT / "tests" / "alerts"

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


@in_each_environment
def test_promtool_accepts_every_rule(objects, tmp_path):
    for number, manifest in enumerate(promtool.rule_objects(objects)):
        count, complaints = promtool.check(
            promtool.write_groups(manifest, tmp_path / f"{number}.yaml")
        )
        assert complaints == ""
        assert count == len([*promtool.rules(manifest)])


@pytest.fixture
def alert_tests(tmp_path: Path) -> list[Path]:
    """Copy the unit tests beside <environment>/<namespace>/<name>.yaml, the rules they name."""
    for environment in rendered.ENVIRONMENTS:
        files = rendered.object_files(rendered.folder(environment))
        for manifest in promtool.rule_objects(rendered.objects(files)):
            metadata = manifest["metadata"]
            path = f"{environment}/{metadata['namespace']}/{metadata['name']}.yaml"
            promtool.write_groups(manifest, tmp_path / path)
    copies = [tmp_path / file.name for file in sorted(ALERT_TESTS.glob("*.yaml"))]
    for copy in copies:
        copy.write_bytes((ALERT_TESTS / copy.name).read_bytes())
    return copies


def test_the_alerts_pass_their_unit_tests(alert_tests):
    assert [complaint for file in alert_tests if (complaint := promtool.unit_test(file))] == []


def test_every_alert_has_a_unit_test(alert_tests):
    tested = {
        case["alertname"]
        for file in alert_tests
        for group in yaml.safe_load(file.read_text("utf-8"))["tests"]
        for case in group.get("alert_rule_test", [])
    }
    assert tested == {
        rule["alert"]
        for environment in rendered.ENVIRONMENTS
        for manifest in promtool.rule_objects(
            rendered.objects(rendered.object_files(rendered.folder(environment)))
        )
        for rule in promtool.rules(manifest)
        if "alert" in rule
    }
