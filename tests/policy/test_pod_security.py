"""Our own reading of the standard `restricted` against the fixtures of Kubernetes' admission module."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleetform.platforms.kubernetes.objects.pod_security import violations
from tests.fleet import AGENT, GOOD, fleetform, snapshot, write
from tests.manifests import COMMITTED, GENERATED, tree
from tests.manifests import template as template_of
from tests.tools import pod_security_fixtures

VERSION = "v1.35"
NAMES = {
    "capabilities_baseline": "capabilities_restricted",
    "procmount_baseline": "procmount",
    "procmount_restricted": "procmount",
    "seccompprofile_baseline": "seccompprofile_restricted",
}
"""Controls of the weaker standard, which the stricter one has again."""


STRICTER = {
    "base_windows": "nothing here runs on Windows, where some controls do not apply",
    "sysctls1": "some of its sysctls are safe since Kubernetes 1.32 only, and 1.30 is supported",
}
"""What the newest standard accepts and we do not."""


def fixtures(verdict: str) -> list[Path]:
    return sorted((pod_security_fixtures() / "restricted" / VERSION / verdict).glob("*.yaml"))


def controls(file: Path) -> set[str]:
    pod = yaml.safe_load(file.read_text("utf-8"))
    found = violations(pod["spec"], pod["metadata"].get("annotations"))
    return {item.control.lower() for item in found}


def test_there_are_fixtures_for_every_control():
    assert len(fixtures("fail")) >= 40
    assert len(fixtures("pass")) >= 10


def test_what_the_standard_refuses_we_refuse_by_the_same_control():
    missed = {}
    for file in fixtures("fail"):
        name = file.stem.rstrip("0123456789")
        if NAMES.get(name, name) not in controls(file):
            missed[file.stem] = controls(file)
    assert missed == {}


def test_what_the_standard_accepts_we_accept():
    wrong = {file.stem: controls(file) for file in fixtures("pass") if controls(file)}
    assert wrong.keys() == STRICTER.keys()


@pytest.mark.parametrize("name", [*COMMITTED, *GENERATED])
def test_no_rendered_pod_breaks_a_control(name):
    for item in tree(name).with_pods():
        template = template_of(item)
        assert [*violations(template["spec"], template["metadata"].get("annotations"))] == []


# -- what specs can ask for ------------------------------------------------------------------------


def pod(**body: Any) -> dict[str, Any]:
    return {"merge": {"spec": {"template": {"spec": body}}}}


def main(path: str, value: Any) -> dict[str, Any]:
    where = f"/spec/template/spec/containers/0/{path}"
    return {"json6902": [{"op": "add", "path": where, "value": value}]}


ASKED = {
    "hostNamespaces": pod(hostNetwork=True),
    "hostPathVolumes": pod(volumes=[{"name": "tmp", "hostPath": {"path": "/"}}]),
    "restrictedVolumes": pod(volumes=[{"name": "tmp", "nfs": {"server": "x", "path": "/"}}]),
    "sysctls": pod(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
    "runAsUser": pod(securityContext={"runAsUser": 0}),
    "runAsNonRoot": pod(securityContext={"runAsNonRoot": False}),
    "seccompProfile_restricted": pod(securityContext={"seccompProfile": {"type": "Unconfined"}}),
    "seLinuxOptions": pod(securityContext={"seLinuxOptions": {"type": "spc_t"}}),
    "appArmorProfile": pod(securityContext={"appArmorProfile": {"type": "Unconfined"}}),
    "windowsHostProcess": pod(securityContext={"windowsOptions": {"hostProcess": True}}),
    "privileged": main("securityContext/privileged", True),
    "allowPrivilegeEscalation": main("securityContext/allowPrivilegeEscalation", True),
    "capabilities_restricted": main(
        "securityContext/capabilities", {"drop": [], "add": ["SYS_ADMIN"]}
    ),
    "procMount": main("securityContext/procMount", "Unmasked"),
    "hostPorts": main("ports/0/hostPort", 80),
    "hostProbesAndHostLifecycle": main("livenessProbe/httpGet/host", "10.0.0.1"),
}


@pytest.mark.parametrize("place", ["spec", "environment"])
@pytest.mark.parametrize(("control", "patch"), ASKED.items())
def test_a_patch_that_asks_for_a_violation_is_refused_by_its_name(control, patch, place, tmp_path):
    patches = f"objectPatches: {json.dumps([{'target': {'kind': 'Deployment'}, **patch}])}"
    own = (
        f"patches: [{{target: {{kind: Agent}}, spec: {{{patches}}}}}]"
        if place == "spec"
        else patches
    )
    file = "environments/prod.yaml"
    write(tmp_path, {**GOOD, file: f"{GOOD[file]}  {own}\n"})
    before = snapshot(tmp_path)
    done = fleetform("render", cwd=tmp_path)
    assert done.code == 1
    assert f"{file}:" in done.err
    assert f"Pod Security `restricted` ({control})" in done.err
    assert snapshot(tmp_path) == before


ANNOTATIONS = {
    "container.apparmor.security.beta.kubernetes.io/agent": "appArmorProfile",
    "seccomp.security.alpha.kubernetes.io/pod": "seccompProfile_restricted",
    "container.seccomp.security.alpha.kubernetes.io/agent": "seccompProfile_restricted",
}


@pytest.mark.parametrize("place", ["patches", "objectPatches", "defaults"])
@pytest.mark.parametrize(("key", "control"), ANNOTATIONS.items())
def test_an_annotation_that_asks_for_a_violation_is_refused_from_wherever_it_comes(
    key, control, place, tmp_path
):
    pod = {"podTemplate": {"annotations": {key: "unconfined"}}}
    merge = {"spec": {"template": {"metadata": {"annotations": {key: "unconfined"}}}}}
    body = {
        "patches": [{"target": {"kind": "Agent"}, "spec": pod}],
        "objectPatches": [{"target": {"kind": "Deployment"}, "merge": merge}],
        "defaults": {"Agent": pod},
    }[place]
    file = "environments/prod.yaml"
    write(tmp_path, {**GOOD, file: f"{GOOD[file]}  {place}: {json.dumps(body)}\n"})
    done = fleetform("render", cwd=tmp_path)
    assert done.code == 1
    assert f"({control})" in done.err
    assert key in done.err


FIELDS = {
    "runAsUser": "podTemplate: {runAsUser: 0}",
    "hostNetwork": "podTemplate: {hostNetwork: true}",
    "securityContext": "podTemplate: {securityContext: {runAsUser: 0}}",
    "hostPath": "volumes: [{name: v, mountPath: /v, hostPath: /}]",
    "privileged": "podTemplate: {sidecars: [{name: s, image: {repository: a/b}, privileged: true}]}",
}


@pytest.mark.parametrize(("field", "text"), FIELDS.items())
def test_no_field_of_a_spec_can_say_it(field, text, tmp_path):
    write(tmp_path, {**GOOD, "agents/a.yaml": f"{AGENT}  {text}\n"})
    done = fleetform("validate", "agents", cwd=tmp_path)
    assert done.code == 1
    assert field in done.err
