"""What each kind of cluster does its own way, and that an environment's fields win."""

from typing import get_args

import pytest

from fleetform.models.environment import EnvironmentSpec
from fleetform.platforms.kubernetes.clusters import CLUSTERS
from tests.fleet import AGENT, API, fleetform, read_yaml, write

ENVIRONMENT = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  platform: PLATFORM
  capabilities: [gateway-api]
  targets: [manifests, helm]
  images: {{registry: registry.example, pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
  expose:
    host: agents.example
    gateway: {{name: public, namespace: gateways}}
"""
EXPOSED = AGENT + "  expose: {}\n"


def rendered(folder, platform, change=lambda text: text, spec=EXPOSED):
    environment = change(ENVIRONMENT.replace("PLATFORM", platform))
    write(folder, {"agents/a.yaml": spec, "environments/prod.yaml": environment})
    done = fleetform("render", "--env", "prod", cwd=folder)
    assert done.code == 0, done.err
    texts = [file.read_text() for file in (folder / "rendered").rglob("*.yaml")]
    found = {item["kind"]: item for text in texts for item in read_yaml(text)}
    (values,) = read_yaml((folder / "charts/values/prod/default/helper.yaml").read_text())
    return found, values, done.err


def test_every_platform_has_its_facts():
    assert {*CLUSTERS} == {*get_args(EnvironmentSpec.model_fields["platform"].annotation)}


def test_openshift_assigns_users_and_answers_names_elsewhere(tmp_path):
    found, values, _ = rendered(tmp_path, "openshift")
    pod = found["Deployment"]["spec"]["template"]["spec"]
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & {*pod["securityContext"]}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert {values["podSecurityContext"][name] for name in ("runAsUser", "runAsGroup", "fsGroup")} == {0}  # fmt: skip
    (dns,) = [
        rule
        for rule in found["NetworkPolicy"]["spec"]["egress"]
        if rule["ports"] == [{"protocol": name, "port": 5353} for name in ("TCP", "UDP")]
    ]
    (peer,) = dns["to"]
    assert peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == "openshift-dns"  # fmt: skip


def test_a_user_that_a_spec_asks_for_is_asked_of_openshift_with_a_warning(tmp_path):
    spec = EXPOSED + "  podTemplate: {runAsUser: 1000650000}\n"
    found, values, said = rendered(tmp_path, "openshift", spec=spec)
    context = found["Deployment"]["spec"]["template"]["spec"]["securityContext"]
    assert context["runAsUser"] == values["podSecurityContext"]["runAsUser"] == 1000650000
    assert "the cluster assigns users to each namespace" in said


@pytest.mark.parametrize(
    ("platform", "timeouts", "has"),
    [("gke", "", False), ("gke", "true", True), ("eks", "", True), ("eks", "false", False)],
)
def test_a_route_has_a_timeout_where_its_gateway_takes_one(tmp_path, platform, timeouts, has):
    field = f", requestTimeouts: {timeouts}}}" if timeouts else "}"
    found, values, _ = rendered(
        tmp_path,
        platform,
        lambda text: text.replace("namespace: gateways}", f"namespace: gateways{field}"),
    )
    assert ("timeouts" in found["HTTPRoute"]["spec"]["rules"][0]) is has
    assert (values["httpRoute"].get("requestTimeout") == "") is not has


def test_a_timeout_that_no_route_takes_is_said(tmp_path):
    _, _, said = rendered(tmp_path, "gke", lambda text: text + "    requestTimeoutSeconds: 60\n")
    assert "`requestTimeoutSeconds` has no effect" in said


def test_the_place_of_the_dns_can_be_given(tmp_path):
    dns = "  network: {dnsNamespace: names, dnsLabels: {app: resolver}, dnsPort: 5300}\n"
    found, _, _ = rendered(tmp_path, "openshift", lambda text: text + dns)
    rule = found["NetworkPolicy"]["spec"]["egress"][-1]
    text = str(found["NetworkPolicy"]["spec"]["egress"])
    assert "'names'" in text and "'resolver'" in text and "5300" in text, rule  # noqa: PT018
    assert "openshift" not in text


def test_the_test_of_a_release_comes_from_the_registry_of_the_environment(tmp_path):
    _, values, _ = rendered(tmp_path, "generic")
    assert values["tests"] == {"image": {"repository": "registry.example/library/busybox"}}


@pytest.mark.parametrize(
    ("helm", "tests"),
    [
        ("{test: {enabled: false}}", {"enabled": False}),
        (
            "{test: {image: {repository: tools/probe, tag: '3'}}}",
            {"image": {"repository": "registry.example/tools/probe", "tag": "3"}},
        ),
    ],
)
def test_the_test_of_a_release_can_be_changed_and_left_out(tmp_path, helm, tests):
    _, values, _ = rendered(tmp_path, "generic", lambda text: text + f"  helm: {helm}\n")
    assert values["tests"] == tests


@pytest.mark.parametrize("platform", ["eks", "gke", "generic"])
def test_a_volume_for_many_pods_needs_a_class_that_can(tmp_path, platform):
    volume = "  volumes: [{name: notes, mountPath: /notes, claim: {size: 1Gi, accessMode: ReadWriteMany}}]\n"
    _, _, said = rendered(tmp_path, platform, spec=EXPOSED + volume)
    assert ("one node at a time" in said) is (platform != "generic")
    own = volume.replace("size: 1Gi", "size: 1Gi, storageClass: shared")
    _, _, said = rendered(tmp_path, platform, spec=EXPOSED + own)
    assert "one node at a time" not in said


def test_a_patch_may_leave_users_to_a_cluster(tmp_path):
    """As one did before there was a platform for it."""
    gone = "{runAsUser: null, runAsGroup: null, fsGroup: null, fsGroupChangePolicy: null}"
    patch = f"  objectPatches:\n    - target: {{kind: Deployment}}\n      merge: {{spec: {{template: {{spec: {{securityContext: {gone}}}}}}}}}\n"
    found, values, _ = rendered(tmp_path, "generic", lambda text: text + patch)
    context = found["Deployment"]["spec"]["template"]["spec"]["securityContext"]
    assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    names = ("runAsUser", "runAsGroup", "fsGroup", "fsGroupChangePolicy")
    assert not any(values["podSecurityContext"][name] for name in names)
