"""The charts by themselves: what a person sees who has Helm and no generator."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleetform import emit
from fleetform.platforms.kubernetes.targets import values
from tests.conformance import apiserver, kubeconform, readers
from tests.parity.charts import CHARTS, EACH_HELM, HELMS, validator
from tests.parity.objects import by_key, differences
from tests.tools import ROOT, run, tool

RELEASES = sorted((CHARTS / "values").glob("*/*/*.yaml"))
EXPORT = ROOT / "tools/charts/export.py"
in_both_helms = pytest.mark.parametrize("helm", EACH_HELM)


def example(chart: str) -> str:
    """Return the values of the chart's README."""
    readme = (CHARTS / chart / "README.md").read_text("utf-8")
    return readme.partition("```yaml\n")[2].partition("```")[0]


def template(helm: str, chart: str, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    return run(
        helm, "template", "support", CHARTS / chart, "-n", "ai", "-f", "-", *options, text=text
    )


def made(helm: str, chart: str, text: str, *options: str) -> list[dict[str, Any]]:
    """Return what a chart makes of values, read as a cluster would."""
    done = template(helm, chart, text, *options)
    assert done.returncode == 0, done.stderr
    return [item for item in readers.go(done.stdout) if item]


def chart_of(values_file: Path) -> str:
    return "namespace" if values_file.stem == "fleetform-namespace" else "agent"


# -- what follows from values.yaml ----------------------------------------------------------------


def test_schemas_readmes_and_rules_follow_from_the_values():
    command = [sys.executable, EXPORT, "--check", tool("schemas")]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("chart", ["agent", "namespace"])
def test_the_defaults_of_a_chart_are_what_its_schema_allows(chart):
    assert validator(chart).is_valid(values.defaults(chart))


# -- a person with Helm alone ---------------------------------------------------------------------


@in_both_helms
def test_the_readme_makes_a_complete_agent_of_about_fifteen_lines(helm, tmp_path):
    text = example("agent")
    assert len([line for line in text.splitlines() if not line.startswith("#")]) <= 17
    objects = made(helm, "agent", text)
    kinds = {item["kind"] for item in objects}
    assert kinds == {
        *("ServiceAccount", "ConfigMap", "Service", "Deployment", "NetworkPolicy", "Pod"),
    }
    file = tmp_path / "made.yaml"
    file.write_text(emit.emit_all(objects), "utf-8")
    verdict = kubeconform.judge([file])
    assert verdict.refused == []
    assert verdict.scanned == len(objects)


@pytest.mark.proof
@pytest.mark.parametrize("chart", ["agent", "namespace"])
@in_both_helms
def test_an_api_server_takes_what_the_readmes_make(helm, chart):
    objects = made(helm, chart, example(chart))
    assert apiserver.unexpected(apiserver.judge_objects(objects)) == []


@in_both_helms
def test_every_pod_of_the_readme_is_restricted(helm):
    workloads = made(helm, "agent", example("agent"))
    pods = [item["spec"] for item in workloads if item["kind"] == "Pod"]
    pods += [item["spec"]["template"]["spec"] for item in workloads if item["kind"] == "Deployment"]
    assert len(pods) == 2
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"].keys() == {"requests", "limits"}


@in_both_helms
def test_the_readme_of_the_namespace_chart_renders(helm):
    objects = made(helm, "namespace", example("namespace"))
    kinds = [item["kind"] for item in objects]
    assert sorted(kinds) == [
        *("ExternalSecret", "ExternalSecret", "NetworkPolicy", "PrometheusRule"),
        *("ResourceQuota", "SecretStore", "ServiceAccount"),
    ]


def revision(objects: list[dict[str, Any]]) -> tuple[str, dict[str, str]]:
    (config,) = [item for item in objects if item["kind"] == "ConfigMap"]
    (workload,) = [item for item in objects if item["kind"] == "Deployment"]
    volumes = workload["spec"]["template"]["spec"]["volumes"]
    (mounted,) = [volume["configMap"]["name"] for volume in volumes if "configMap" in volume]
    assert mounted == config["metadata"]["name"]
    assert config["immutable"] is True
    return mounted, config["data"]


@in_both_helms
def test_a_new_prompt_or_configuration_is_a_new_revision(helm):
    text = example("agent")
    names = {
        revision(made(helm, "agent", text, *options))[0]
        for options in (
            (),
            ("--set", "prompt=Another."),
            ("--set", "config.model.name=gpt-5"),
            ("--set-json", "config.model.temperature=0.2"),
        )
    }
    assert len(names) == 4
    assert revision(made(helm, "agent", text, "--set", "replicaCount=2"))[0] in names


@in_both_helms
def test_the_name_of_a_revision_is_the_hash_that_the_generator_takes(helm):
    from fleetform import canonical

    name, data = revision(made(helm, "agent", example("agent")))
    assert name == f"support-config-{canonical.digest(data)[:8]}"
    document = json.loads(data["agent.json"])
    assert data["agent.json"] == canonical.dumps(document) + "\n"
    assert document["agent"] == {"name": "support", "namespace": "ai"}
    assert document["server"] == {"port": 8080, "metricsPort": 9090, "shutdownGraceSeconds": 120}


@in_both_helms
def test_no_release_holds_its_namespace(helm):
    for chart in ("agent", "namespace"):
        assert "Namespace" not in {item["kind"] for item in made(helm, chart, example(chart))}


# -- what is missing or wrong ---------------------------------------------------------------------

WRONG = {
    "prompt: 7": "- at '/prompt': got number, want string",
    "image: {tagg: x}": "- at '/image': additional properties 'tagg' not allowed",
    "image: {digest: sha256:1}": "- at '/image/digest': 'sha256:1' does not match pattern",
    "secretFiles: [{name: x}]": "- at '/secretFiles/0': missing property 'keys'",
    "extraEnv: [{name: A, value: 1}]": "- at '/extraEnv/0/value': got number, want string",
    "autoscaling: {enabled: 'yes'}": "- at '/autoscaling/enabled': got string, want boolean",
    "tolerations: [{opertor: x}]": "- at '/tolerations/0': additional properties 'opertor' not allowed",
    "affinity: {nodeAfinity: {}}": "- at '/affinity': additional properties 'nodeAfinity' not allowed",
    "podSecurityContext: {runAsUsr: 1}": "- at '/podSecurityContext': additional properties 'runAsUsr' not allowed",
    "sidecars: [{image: x}]": "- at '/sidecars/0': missing property 'name'",
    "resources: {limits: {cpu: lots}}": "- at '/resources/limits/cpu': 'lots' does not match pattern",
    "fullnameOverride: " + "n" * 54: "- at '/fullnameOverride': maxLength: got 54, want 53",
    "commonLabels: {app.kubernetes.io/name: x}": "- at '/commonLabels/app.kubernetes.io~1name'",
    "config: {model: {provider: openai}, auth: {type: none}}": "- at '/config/model': missing property 'name'",
    "config: {model: {provider: openai, name: g}}": "- at '/config': missing property 'auth'",
    "kind: DaemonSet": "- at '/kind': value must be one of 'Deployment', 'StatefulSet', 'Job'",
    "replicaCount: '2'": "- at '/replicaCount': got string, want integer",
    "replicaCuont: 7": "- at '': additional properties 'replicaCuont' not allowed",
    "networkPolicy: {egress: [{too: []}]}": "- at '/networkPolicy/egress/0': additional properties 'too' not allowed",
}


@in_both_helms
@pytest.mark.parametrize(("text", "said"), WRONG.items(), ids=WRONG)
def test_a_wrong_value_is_refused_with_its_path(text, said, helm):
    done = template(helm, "agent", example("agent"), "--set-json", _as_json(text))
    assert done.returncode != 0
    assert said in done.stderr


def _as_json(text: str) -> str:
    ((key, value),) = yaml.safe_load(text).items()
    return f"{key}={json.dumps(value)}"


MISSING = {
    "{}": ["config: missing"],
    "config: {model: {provider: openai, name: g}, auth: {type: none}}": ["prompt: missing"],
    "{autoscaling: {enabled: true}, keda: {enabled: true}}": [
        "config: missing",
        "keda.enabled: autoscaling.enabled is set too",
        "keda.triggers: missing",
    ],
    "{image: {repository: a/b}, ports: [], ingress: {enabled: true}, httpRoute: {enabled: true}}": [
        "httpRoute: parentRefs and hostnames",
        "ingress.hosts: missing",
        "ports: missing",
    ],
    "{image: {repository: a/b}, certificate: {enabled: true}}": ["certificate.issuerRef.name"],
    "{image: {repository: a/b}, enabled: false}": ["enabled: no effect"],
    "{image: {repository: a/b}, prompt: hi}": ["prompt: no effect"],
    "{image: {repository: a/b}, volumeClaimTemplates: [{name: a, size: 1Gi}]}": [
        "volumeClaimTemplates: no effect"
    ],
    "{image: {repository: a/b}, kind: StatefulSet, strategy: {type: Recreate}}": [
        "strategy: no effect"
    ],
    "{image: {repository: a/b}, schedule: '@daily'}": ["schedule: no effect"],
    "{image: {repository: a/b}, timeZone: Europe/Berlin}": ["timeZone: no effect"],
    "{image: {repository: a/b}, allowOverlap: false}": ["allowOverlap: no effect"],
    "{image: {repository: a/b}, activeDeadlineSeconds: 9}": ["activeDeadlineSeconds: no effect"],
    "{image: {repository: a/b}, rbac: {clusterWide: true}}": ["rbac.clusterWide: no effect"],
    "{image: {repository: a/b}, configDir: /x}": ["configDir: no effect"],
    "{image: {repository: a/b}, kind: Job}": [
        "ports: no effect",
        "startupProbe.enabled: a Job",
        "readinessProbe.enabled: a Job",
        "livenessProbe.enabled: a Job",
    ],
}


@in_both_helms
@pytest.mark.parametrize(("text", "said"), MISSING.items(), ids=MISSING)
def test_what_is_missing_gets_a_line_each(text, said, helm):
    done = template(helm, "agent", text)
    assert done.returncode != 0
    lines = done.stderr.splitlines()
    start = next(n for n, line in enumerate(lines) if "validate.yaml" in line) + 1
    found = lines[start : start + len(said)]
    assert all(line.startswith(begin) for line, begin in zip(found, said, strict=True)), lines
    assert not lines[start + len(said)].strip()


@pytest.mark.parametrize(
    ("text", "said"),
    {
        "dashboard: {enabled: true}": "dashboard.uid: missing",
        "dashboard: {enabled: true, uid: x, kind: GrafanaDashboard}": "dashboard.instanceSelector: missing",
        "dashboard: {kind: Dashboard}": "dashboard/kind': value must be one of 'ConfigMap', 'GrafanaDashboard'",
    }.items(),
)
@in_both_helms
def test_what_is_missing_in_a_namespace_is_told(text, said, helm):
    done = template(helm, "namespace", text)
    assert done.returncode != 0
    assert said in done.stderr


@in_both_helms
def test_an_umbrella_may_write_to_the_root(helm):
    assert made(helm, "agent", example("agent") + "global: {x: 1}\n")


@in_both_helms
def test_an_umbrella_switches_its_charts_by_conditions_and_refuses_unknown_values_in_them(
    helm, tmp_path
):
    names = ("one", "two")
    dependencies = [
        {"name": "agent", "version": "*", "alias": name, "condition": f"{name}.enabled"}
        for name in names
    ]
    chart = {"apiVersion": "v2", "name": "u", "version": "0.1.0", "dependencies": dependencies}
    (tmp_path / "Chart.yaml").write_text(json.dumps(chart))
    shutil.copytree(CHARTS / "agent", tmp_path / "charts/agent")
    own = yaml.safe_load(example("agent"))
    given = {name: {**own, "fullnameOverride": name, "enabled": name == "one"} for name in names}
    done = run(helm, "template", "x", tmp_path, "-f", "-", text=json.dumps(given))
    assert done.returncode == 0, done.stderr
    found = [item["metadata"]["name"] for item in readers.go(done.stdout) if item]
    assert "one" in found
    assert "two" not in found
    given["one"]["replicaCuont"] = 7
    done = run(helm, "template", "x", tmp_path, "-f", "-", text=json.dumps(given))
    assert done.returncode != 0
    assert "additional properties 'replicaCuont' not allowed" in done.stderr


# -- what is committed ----------------------------------------------------------------------------


def rendered(values_file: Path) -> list[dict[str, Any]]:
    """Return the plain manifests that a values file stands for."""
    _, environment, namespace, _ = values_file.relative_to(CHARTS).parts
    folder = ROOT / "rendered" / environment / namespace
    shared = chart_of(values_file) == "namespace"
    files = folder.glob("_namespace/*.*.yaml") if shared else [folder / f"{values_file.stem}.yaml"]
    return [item for file in sorted(files) for item in readers.go(file.read_text("utf-8"))]


@in_both_helms
@pytest.mark.parametrize("file", RELEASES, ids=lambda file: "/".join(file.parts[-3:]))
def test_a_committed_release_is_its_manifests_and_lints(file, helm):
    chart, space = CHARTS / chart_of(file), file.parent.name
    linted = run(helm, "lint", "--strict", chart, "-f", file, "-n", space)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert "WARNING" not in linted.stdout
    done = run(helm, "template", file.stem, chart, "-n", space, "-f", file, "--skip-tests")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    theirs = by_key(readers.go(done.stdout))
    assert differences(by_key(rendered(file)), theirs) == []


def test_there_is_a_release_for_every_file_of_the_rendered_fleet():
    names = {path.relative_to(CHARTS / "values").with_suffix("") for path in RELEASES}
    assert len(names) > 40
    wanted = {
        path.relative_to(ROOT / "rendered").with_suffix("")
        for path in ROOT.glob("rendered/*/*/*.yaml")
        if path.name != "kustomization.yaml" and path.parent.name != "_namespaces"
    }
    assert wanted <= names


@pytest.mark.parametrize("file", RELEASES, ids=lambda file: "/".join(file.parts[-3:]))
def test_values_stand_in_the_order_of_the_chart_and_repeat_no_default(file):
    own = values.defaults(chart_of(file))
    given = yaml.safe_load(file.read_text("utf-8"))
    assert [*given] == [key for key in own if key in given]
    assert [*_repeated(given, own)] == []


def _repeated(given: dict[str, Any], own: dict[str, Any]) -> Iterator[str]:
    for key, value in given.items():
        if isinstance(own.get(key), dict) and own[key]:
            yield from (f"{key}.{name}" for name in _repeated(value, own[key]))
        elif key in own and value == own[key]:
            yield key


# -- packages and hooks ---------------------------------------------------------------------------


@pytest.mark.parametrize("chart", ["agent", "namespace"])
def test_a_package_has_the_same_bytes_each_time(chart, tmp_path, monkeypatch):
    # Of Helm 4: Helm 3 knows no SOURCE_DATE_EPOCH and writes the time of day into the archive.
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    digests = set()
    for number in range(2):
        time.sleep(number)
        done = run("helm", "package", CHARTS / chart, "-d", tmp_path / str(number))
        assert done.returncode == 0, done.stderr
        (archive,) = (tmp_path / str(number)).glob("*.tgz")
        digests.add(hashlib.sha256(archive.read_bytes()).hexdigest())
    assert len(digests) == 1


@in_both_helms
def test_the_helm_test_asks_for_readiness_and_is_let_in(helm):
    own = (
        example("agent")
        + "readinessProbe: {path: /ready}\nports: [{name: http, containerPort: 81, servicePort: 82}]\n"
    )
    hooks = [
        item
        for item in made(helm, "agent", own)
        if item["metadata"].get("annotations", {}).get("helm.sh/hook") == "test"
    ]
    policy, pod = sorted(hooks, key=lambda item: item["kind"])
    assert pod["spec"]["containers"][0]["command"][-1] == "http://support.ai.svc:82/ready"
    (rule,) = policy["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 81}]
    assert (
        rule["from"][0]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    )
    # The Service must not take the test for one of the agent's pods.
    assert policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "support"
    assert pod["metadata"]["labels"]["app.kubernetes.io/name"] == "support-test"


def test_every_template_names_its_kind():
    for file in (CHARTS / "agent/templates").glob("[a-z]*.yaml"):
        kinds = re.findall(r"^kind: (?:\{\{ \$prefix \}\})?(\w+)", file.read_text("utf-8"), re.M)
        if file.stem != "validate":
            assert file.stem in {kind.lower() for kind in kinds}, file


# -- names, and values that are not there ---------------------------------------------------------


@pytest.mark.proof
@pytest.mark.parametrize("chart", ["agent", "namespace"])
def test_no_value_that_is_null_ends_in_a_template(chart):
    """One Helm will do: the templates say it, and not Helm."""
    for path in _paths(values.defaults(chart)):
        done = template(HELMS[-1], chart, example(chart), "--set-json", f"{path}=null")
        assert done.returncode == 0 or not NOT_SAID.search(done.stderr), (path, done.stderr)


NOT_SAID = re.compile("nil pointer|error calling|wrong type|invalid value")


def _paths(node: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, value in node.items():
        yield above + key
        if isinstance(value, dict):
            yield from _paths(value, f"{above}{key}.")


@in_both_helms
def test_a_map_that_is_null_is_named(helm):
    done = template(helm, "agent", example("agent"), "--set", "keda=null")
    assert done.returncode
    assert "keda: missing: remove the null" in done.stderr


@in_both_helms
@pytest.mark.parametrize("name", ["1abc", "9"])
def test_a_name_that_no_service_may_have_is_refused(helm, name):
    done = template(helm, "agent", example("agent"), "--set-string", f"fullnameOverride={name}")
    assert done.returncode
    assert f'"{name}" cannot be the name of a Service' in done.stderr


@in_both_helms
def test_aliases_of_an_umbrella_chart_have_names_of_their_own(helm, tmp_path):
    shutil.copytree(CHARTS / "agent", tmp_path / "charts/agent")
    aliases = ("support", "sales")
    version = yaml.safe_load((CHARTS / "agent/Chart.yaml").read_text("utf-8"))["version"]
    needs = [{"name": "agent", "version": version, "alias": alias} for alias in aliases]
    umbrella = {"apiVersion": "v2", "name": "umbrella", "version": "0.1.0", "dependencies": needs}
    (tmp_path / "Chart.yaml").write_text(json.dumps(umbrella), "utf-8")
    own = yaml.safe_load(example("agent"))
    text = json.dumps(dict.fromkeys(aliases, own))
    done = run(helm, "template", "rel", tmp_path, "-n", "ai", "-f", "-", text=text)
    assert done.returncode == 0, done.stderr
    objects = [item for item in readers.go(done.stdout) if item]
    found = [(item["kind"], item["metadata"]["name"]) for item in objects]
    assert len({*found}) == len(found)
    assert {("Deployment", "rel-support"), ("Deployment", "rel-sales")} <= {*found}
