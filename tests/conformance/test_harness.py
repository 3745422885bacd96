"""Each check of this folder on a good sample, and on the same with one thing wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pydantic
import pytest
import yaml

from fleetform.platforms.kubernetes.kinds import KINDS
from tests import tools

from . import checkov, kubeconform, models, promtool, readers, rendered

SAMPLE = Path(__file__).with_name("sample")

Change = Callable[[rendered.Object], object]


def sample(kind: str, change: Change = lambda _: None) -> rendered.Object:
    """Return the sample's object of a kind after a change."""
    objects = rendered.objects(rendered.yaml_files(SAMPLE))
    (manifest,) = [manifest for manifest in objects if manifest["kind"] == kind]
    change(manifest)
    return manifest


def write(manifest: rendered.Object, folder: Path) -> Path:
    file = folder / "object.yaml"
    file.write_text(yaml.safe_dump(manifest), "utf-8")
    return file


def container(deployment: rendered.Object) -> rendered.Object:
    return deployment["spec"]["template"]["spec"]["containers"][0]


def test_kubeconform_accepts_the_sample_and_counts_it():
    files = rendered.object_files(SAMPLE)
    assert kubeconform.judge(files) == kubeconform.Verdict(len(rendered.objects(files)), [])


@pytest.mark.parametrize(
    ("kind", "change", "complaint"),
    [
        ("Deployment", lambda o: o["spec"].update(replica=2), "replica"),
        ("Deployment", lambda o: container(o).update(imagePullPolice="Always"), "imagePullPolice"),
        ("Deployment", lambda o: o["spec"].pop("selector"), "selector"),
        ("Deployment", lambda o: o["spec"].update(replicas="2"), "/spec/replicas"),
        ("Deployment", lambda o: o["spec"].update(replicas=None), "/spec/replicas"),
        ("Deployment", lambda o: o["metadata"].update(label={}), "label"),
        ("Deployment", lambda o: o.update(apiVersion="apps/v1beta1"), "could not find schema"),
        (
            "Deployment",
            lambda o: container(o)["resources"]["limits"].update(memory="1 Gi"),
            "/limits/memory",
        ),
        ("Service", lambda o: o["spec"]["ports"][0].update(targetPort=1.5), "targetPort"),
        ("Service", lambda o: o.update(kind="Servise"), "could not find schema"),
        ("ScaledObject", lambda o: o["spec"].update(maxReplicaCount="9"), "maxReplicaCount"),
        ("ScaledObject", lambda o: o["spec"].update(maxReplicas=9), "maxReplicas"),
        ("ScaledObject", lambda o: o["metadata"].update(label={}), "label"),
        ("ScaledObject", lambda o: o["spec"]["triggers"][0]["metadata"].update(x=5), "/x"),
        ("ExternalSecret", lambda o: o["spec"]["data"][0].pop("secretKey"), "secretKey"),
        (
            "ExternalSecret",
            lambda o: o.update(apiVersion="external-secrets.io/v1beta1"),
            "could not find schema",
        ),
        ("HTTPRoute", lambda o: o["spec"]["rules"][0].update(backends=[]), "backends"),
        (
            "HTTPRoute",
            lambda o: o["spec"]["rules"][0]["matches"][0]["path"].update(type="Prefix"),
            "/path/type",
        ),
        ("PrometheusRule", lambda o: o["spec"]["groups"][0].pop("name"), "name"),
    ],
)
def test_kubeconform_refuses(kind, change, complaint, tmp_path):
    verdict = kubeconform.judge([write(sample(kind, change), tmp_path)])
    assert verdict.scanned == 1
    (refusal,) = verdict.refused
    assert complaint in refusal


def test_kubeconform_refuses_a_key_that_stands_twice(tmp_path):
    file = tmp_path / "object.yaml"
    file.write_text((SAMPLE / "namespaces.yaml").read_text() + "kind: Namespace\n")
    (refusal,) = kubeconform.judge([file]).refused
    assert "already" in refusal


def test_the_models_load_the_sample():
    objects = rendered.objects(rendered.yaml_files(SAMPLE))
    loaded = [models.load(manifest) for manifest in objects if models.is_built_in(manifest)]
    assert [type(model).__name__ for model in loaded] == [
        "V1ServiceAccount",
        "V1ConfigMap",
        "V1Deployment",
        "V1Service",
        "V1NetworkPolicy",
        "V1PodDisruptionBudget",
        "V1Namespace",
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda o: o["spec"].update(replica=2),
        lambda o: o["spec"].update(replicas="2"),
        lambda o: o["spec"].pop("selector"),
        lambda o: container(o)["ports"][0].update(protokoll="TCP"),
    ],
)
def test_the_models_refuse(change):
    with pytest.raises(pydantic.ValidationError):
        models.load(sample("Deployment", change))


def test_the_models_refuse_an_unknown_kind():
    with pytest.raises(AttributeError, match="V1Deploiment"):
        models.load(sample("Deployment", lambda o: o.update(kind="Deploiment")))


@pytest.mark.proof
def test_promtool_accepts_and_counts_the_rules_of_the_sample(tmp_path):
    file = promtool.write_groups(sample("PrometheusRule"), tmp_path / "rules.yaml")
    assert promtool.check(file) == (2, "")


@pytest.mark.proof
@pytest.mark.parametrize(
    "expression", ["sum by (agent (up)", "rate(requests_total)", 'up{job="a"', "up ==="]
)
def test_promtool_refuses_a_wrong_expression(expression, tmp_path):
    rule = sample("PrometheusRule", lambda o: next(promtool.rules(o)).update(expr=expression))
    count, complaints = promtool.check(promtool.write_groups(rule, tmp_path / "rules.yaml"))
    assert count == 0
    assert "parse error" in complaints


@pytest.mark.proof
def test_promtool_refuses_the_same_rule_twice(tmp_path):
    rule = sample(
        "PrometheusRule", lambda o: o["spec"]["groups"][0]["rules"].extend([*promtool.rules(o)])
    )
    _, complaints = promtool.check(promtool.write_groups(rule, tmp_path / "rules.yaml"))
    assert "duplicate" in complaints


def alert_test(file: Path, *, rules: str, expected: list[rendered.Object]) -> Path:
    case = {"eval_time": "20m", "alertname": "AgentIsSilent", "exp_alerts": expected}
    series = [{"series": 'requests_total{agent="a"}', "values": "5x30"}]
    group = {"interval": "1m", "input_series": series, "alert_rule_test": [case]}
    file.write_text(json.dumps({"rule_files": [rules], "tests": [group]}))
    return file


SILENCE = {
    "exp_labels": {"agent": "a", "severity": "warning"},
    "exp_annotations": {"summary": "a has answered nobody for ten minutes"},
}


@pytest.mark.proof
def test_a_unit_test_of_an_alert_passes_or_fails_by_what_it_expects(tmp_path):
    promtool.write_groups(sample("PrometheusRule"), tmp_path / "dev/shop/helper.yaml")
    named = "dev/*/helper.yaml"
    right = alert_test(tmp_path / "right.yaml", rules=named, expected=[SILENCE])
    assert promtool.unit_test(right) == ""
    wrong = alert_test(tmp_path / "wrong.yaml", rules=named, expected=[])
    assert "FAILED" in promtool.unit_test(wrong)


@pytest.mark.proof
def test_a_unit_test_that_names_no_rules_fails(tmp_path):
    file = alert_test(tmp_path / "lost.yaml", rules="dev/*/gone.yaml", expected=[])
    assert "matches no file" in promtool.unit_test(file)


@pytest.mark.proof
def test_checkov_finds_nothing_in_the_sample_and_counts_it():
    objects = rendered.objects(rendered.yaml_files(SAMPLE))
    verdict = checkov.judge(SAMPLE)
    assert verdict.failed == []
    assert verdict.passed > 0
    assert verdict.scanned == checkov.resources(objects)


@pytest.mark.proof
def test_checkov_finds_a_privileged_container(tmp_path):
    change = {"privileged": True, "allowPrivilegeEscalation": True}
    pod = sample("Deployment", lambda o: container(o)["securityContext"].update(change))
    write(pod, tmp_path)
    assert {failure.split()[0] for failure in checkov.judge(tmp_path).failed} >= {
        "CKV_K8S_16",
        "CKV_K8S_20",
    }


@pytest.mark.proof
def test_the_count_shows_a_file_that_checkov_passes_over(tmp_path):
    shutil.copytree(SAMPLE, tmp_path, dirs_exist_ok=True)
    prompt = {"prompt": "Write {{ .Values.name }} where the name belongs."}
    config = sample("ConfigMap", lambda o: o["data"].update(prompt))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    objects = rendered.objects(rendered.yaml_files(tmp_path))
    assert checkov.judge(tmp_path).scanned == checkov.resources(objects) - 1


@pytest.mark.proof
def test_checkov_on_nothing_counts_nothing(tmp_path):
    (tmp_path / "broken.yaml").write_text("apiVersion: v1\nkind: [")
    assert checkov.judge(tmp_path) == checkov.Verdict(0, 0, [])


def test_the_readers_agree_on_the_sample():
    for file in rendered.yaml_files(SAMPLE):
        text = file.read_text("utf-8")
        expected = readers.canonical(readers.go(text))
        assert len(expected) == len(rendered.objects([file]))
        assert readers.canonical(readers.yaml_1_1(text)) == expected
        assert readers.canonical(readers.yaml_1_2(text)) == expected


@pytest.mark.parametrize("word", ["1e3", "yes", "on", "012", "1:30", "0o17"])
def test_the_readers_disagree_on_a_bare(word):
    text = f"value: {word}\n"
    readings = [readers.go(text), readers.yaml_1_1(text), readers.yaml_1_2(text)]
    assert len({tuple(readers.canonical(reading)) for reading in readings}) > 1


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a: [\n", "a: b: c\n", "\ta: 1\n"])
def test_the_go_reader_refuses(text):
    with pytest.raises(ValueError, match="yaml2json: document 1: "):
        readers.go(text)


def test_readings_differ_between_true_and_one_but_not_between_numbers_of_one_value():
    assert readers.canonical([True]) != readers.canonical([1])
    assert readers.canonical([{"a": 1.0}]) == readers.canonical([{"a": 1}])


def test_go_indents_json_as_helm_does():
    done = tools.run("yaml2json", "-indent", text='{"b":1.0,"a":"<é"}\n[1e21]\n')
    first, second = done.stdout.split("\0")
    assert first == '{\n  "a": "\\u003cé",\n  "b": 1\n}'
    assert second == "[\n  1e+21\n]"


def test_a_test_without_the_mark_may_not_ask_for_a_tool_that_takes_minutes_to_build():
    with pytest.raises(pytest.fail.Exception, match="mark what asks it `proof`"):
        tools.tool("checkov")


def test_a_missing_tool_is_a_failure_that_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setattr(tools.installer, "TARGET", tmp_path)
    with pytest.raises(pytest.fail.Exception, match=r"python3 tools/install\.py kubeconform$"):
        tools.tool("kubeconform")


def test_an_empty_folder_is_a_failure_that_says_what_to_run(tmp_path):
    with pytest.raises(pytest.fail.Exception, match="make render ENV="):
        rendered.yaml_files(tmp_path)


def test_the_control_plane_of_tests_knows_every_custom_kind():
    known = {path.stem for path in (tools.tool("schemas") / "crds").glob("*.json")}
    custom = {f"{kind.resource}.{kind.group}" for kind in KINDS} & known
    assert custom <= {*tools.module("tools/cluster.py").DEFINED}
