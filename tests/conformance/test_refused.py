"""What a patch makes of an object is refused where Kubernetes refuses it, and nowhere else."""

import json
from copy import deepcopy
from typing import Any

import jsonpatch
import pytest

from fleetform.platforms.kubernetes.objects import refused
from tests.conformance import apiserver
from tests.fleet import AGENT, ENVIRONMENT, fleetform, read_yaml, write
from tests.manifests import NAMES, tree

Json = Any
SPEC = f"""{AGENT}  memory: {{type: none}}
  scaling: {{minReplicas: 2, maxReplicas: 4}}
  volumes: [{{name: scratch, mountPath: /scratch, emptyDir: 1Gi}}]
"""
POD, MAIN = "/spec/template/spec", "/spec/template/spec/containers/0"
VOLUME = {"name": "more", "emptyDir": {"sizeLimit": "1Gi"}}
MOUNT = {"name": "scratch", "mountPath": "/more"}


def add(path: str, value: Json) -> list[Json]:
    return [{"op": "add", "path": path, "value": value}]


REFUSED: dict[str, tuple[str, list[Json]]] = {
    "two volumes": ("Deployment", add(f"{POD}/volumes/-", {**VOLUME, "name": "scratch"})),
    "a volume of two": ("Deployment", add(f"{POD}/volumes/-", {**VOLUME, "configMap": {"name": "x"}})),
    "no volume": ("Deployment", add(f"{MAIN}/volumeMounts/-", {**MOUNT, "name": "missing"})),
    "two mounts": ("Deployment", add(f"{MAIN}/volumeMounts/-", {**MOUNT, "mountPath": "/scratch"})),
    "two containers": (
        "Deployment",
        [{"op": "copy", "from": MAIN, "path": f"{POD}/containers/-"}],
    ),
    "two ports": ("Deployment", add(f"{MAIN}/ports/-", {"name": "http", "containerPort": 81})),
    "a value and a source": (
        "Deployment",
        add(f"{MAIN}/env", [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
    ),
    "above the limit": ("Deployment", add(f"{MAIN}/resources/requests/memory", "9Gi")),
    "two ways to ask": ("Deployment", add(f"{MAIN}/readinessProbe/tcpSocket", {"port": 8080})),
    "two successes": ("Deployment", add(f"{MAIN}/livenessProbe/successThreshold", 2)),
    "a foreign label": ("Deployment", add("/spec/template/metadata/labels/app.kubernetes.io~1name", "x")),
    "no key": ("Deployment", add("/metadata/annotations", {"a key": "x"})),
    "no value": ("Service", add("/metadata/labels/team", "a b")),
    "two service ports": ("Service", add("/spec/ports/-", {"name": "http", "port": 81, "targetPort": 81, "protocol": "TCP"})),
    "two numbers": ("Service", add("/spec/ports/-", {"name": "more", "port": 8080, "targetPort": 81, "protocol": "TCP"})),
    "no name": ("Service", add("/spec/ports/-", {"port": 81, "targetPort": 81, "protocol": "TCP"})),
    "no service port": ("Service", [{"op": "remove", "path": "/spec/ports"}]),
    "least above most": ("HorizontalPodAutoscaler", add("/spec/minReplicas", 9)),
    "two budgets": ("PodDisruptionBudget", add("/spec/minAvailable", 1)),
    "no range": ("NetworkPolicy", add("/spec/ingress", [{"from": [{"ipBlock": {"cidr": "10.0.0.0/99"}}]}])),
    "not a part": (
        "NetworkPolicy",
        add("/spec/ingress", [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["192.168.0.0/16"]}}]}]),
    ),
    "two kinds of peer": (
        "NetworkPolicy",
        add("/spec/ingress", [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}]),
    ),
    "no peer": ("NetworkPolicy", add("/spec/ingress", [{"from": [{}]}])),
}  # fmt: skip
TAKEN: dict[str, tuple[str, list[Json]]] = {
    "another volume": ("Deployment", add(f"{POD}/volumes/-", VOLUME)),
    "a volume without a word": ("Deployment", add(f"{POD}/volumes/-", {"name": "x"})),
    "another mount": ("Deployment", add(f"{MAIN}/volumeMounts/-", MOUNT)),
    "another port": ("Deployment", add(f"{MAIN}/ports/-", {"name": "more", "containerPort": 81, "protocol": "TCP"})),
    "a variable": ("Deployment", add(f"{MAIN}/env", [{"name": "A", "value": "1"}])),
    "below the limit": ("Deployment", add(f"{MAIN}/resources/requests/memory", "64Mi")),
    "two successes": ("Deployment", add(f"{MAIN}/readinessProbe/successThreshold", 2)),
    "a label": ("Deployment", add("/spec/template/metadata/labels/example.com~1team", "x")),
    "a capital": ("Deployment", add("/metadata/annotations", {"Example.com/Team": "x"})),
    "a service port": ("Service", add("/spec/ports/-", {"name": "more", "port": 81, "targetPort": 81, "protocol": "TCP"})),
    "the same number": ("Service", add("/spec/ports/-", {"name": "more", "port": 8080, "targetPort": 81, "protocol": "UDP"})),
    "least as most": ("HorizontalPodAutoscaler", add("/spec/minReplicas", 4)),
    "a range": (
        "NetworkPolicy",
        add("/spec/ingress", [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}]),
    ),
}  # fmt: skip


def rendered(folder, kind: str, operations: list[Json]):
    """Return a run with a patch of the environment, and the rendered objects of a kind."""
    patch = json.dumps({"target": {"kind": kind}, "json6902": operations})
    files = {"agents/a.yaml": SPEC, "environments/prod.yaml": f"{ENVIRONMENT}  objectPatches: [{patch}]\n"}  # fmt: skip
    done = fleetform("render", "--env", "prod", cwd=write(folder, files))
    texts = (path.read_text("utf-8") for path in (folder / "rendered").rglob("*.yaml"))
    return done, [item for text in texts for item in read_yaml(text) if item["kind"] == kind]


@pytest.mark.parametrize("name", REFUSED)
def test_what_an_api_server_refuses_is_a_problem_at_the_patch(name, tmp_path):
    done, _ = rendered(tmp_path, *REFUSED[name])
    assert done.code == 1
    assert "environments/prod.yaml:6:20: error: spec.objectPatches[0]:" in done.err
    assert "is refused after the patch" in done.err


@pytest.mark.parametrize("name", TAKEN)
def test_what_an_api_server_takes_is_rendered(name, tmp_path):
    done, objects = rendered(tmp_path, *TAKEN[name])
    assert done.code == 0, done.err
    assert objects


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_is_rendered_is_refused(name):
    for item in tree(name).objects:
        assert [*refused.faults(item)] == [], item["metadata"]["name"]


def apply(manifest: Json, operations: list[Json]) -> Json:
    """Return a copy with what the operations of this file do."""
    return jsonpatch.apply_patch(deepcopy(manifest), operations)


@pytest.mark.proof
def test_kubernetes_says_the_same(tmp_path):
    _, _ = rendered(tmp_path, *TAKEN["a label"])
    texts = [path.read_text("utf-8") for path in sorted((tmp_path / "rendered").rglob("*.yaml"))]
    built = {item["kind"]: item for text in texts for item in read_yaml(text)}
    for rows, is_refused in ((REFUSED, True), (TAKEN, False)):
        made = [apply(built[kind], operations) for kind, operations in rows.values()]
        for name, verdict in zip(rows, apiserver.judge_objects(made), strict=True):
            assert bool(verdict.errors) is is_refused, (name, verdict.errors)
