"""Controllers of the control plane observed acting on what we render."""

import json
from typing import Any

import pytest

from tests.cluster.plane import FIELD_MANAGER, Object, Plane
from tests.fleet import AGENT, ENVIRONMENT, fleetform, write

SPACE = "acting"
MEMORY = "  memory: {type: redis, redis: {host: redis.example.com}}\n"


@pytest.fixture
def space(plane: Plane, tmp_path):
    """An agent with room to scale, in a namespace with a quota and limits."""
    tenants = {
        "default": {
            "hard": {"pods": "6"},
            "max": {"memory": "1Gi"},
            "defaultLimit": {"memory": "64Mi"},
        }
    }
    environment = (
        f"{ENVIRONMENT}  namespaces: {{create: true, map: {{default: {SPACE}}}}}\n"
        f"  tenants: {json.dumps(tenants)}\n"
    )
    agent = f"{AGENT}{MEMORY}  scaling: {{minReplicas: 3, maxReplicas: 5}}\n"
    write(tmp_path, {"agents/a.yaml": agent, "environments/prod.yaml": environment})
    assert fleetform("render", "--target", "manifests", cwd=tmp_path).code == 0
    for place in ("_namespaces", SPACE):
        plane.apply("-k", tmp_path / "rendered/prod" / place)
    plane.until(lambda: len(_pods(plane)) == 3, "three pods")
    plane.do("rollout", "status", "deployment/helper", "-n", SPACE, "--timeout=300s")
    yield SPACE
    plane.without_namespace(SPACE)


def _pods(plane: Plane) -> list[Object]:
    found = plane.get("pods", "-n", SPACE, "-l", "app=helper")
    return [item for item in found if "deletionTimestamp" not in item["metadata"]]


def evict(plane: Plane, name: str) -> Any:
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": SPACE},
    }
    path = f"/api/v1/namespaces/{SPACE}/pods/{name}/eviction"
    return plane.run("create", "--raw", path, "-f", "-", text=json.dumps(body))


def test_the_autoscaler_takes_the_workload_over(plane, space):
    """Nobody writes replicas but the autoscaler, which brings them to their minimum."""
    (deployment,) = plane.get("deployment", "helper", "-n", space)
    assert deployment["spec"]["replicas"] == 3
    owners = {
        entry["manager"]
        for entry in deployment["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    }
    assert FIELD_MANAGER not in owners
    (scaler,) = plane.get("horizontalpodautoscaler", "helper", "-n", space)
    plane.until(
        lambda: any(
            item["type"] == "AbleToScale" and item["status"] == "True"
            for item in plane.get("horizontalpodautoscaler", "helper", "-n", space)[0]["status"][
                "conditions"
            ]
        ),
        "an autoscaler that can scale",
    )
    assert scaler["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300


def test_one_pod_at_a_time_may_be_evicted(plane, space):
    plane.until(
        lambda: (
            plane.get("poddisruptionbudget", "helper", "-n", space)[0]["status"].get(
                "disruptionsAllowed"
            )
            == 1
        ),
        "a budget that allows one",
    )
    # New pods cannot run: what was evicted stays missing, and the budget with it.
    plane.do("cordon", "node-0", "node-1", "node-2")
    try:
        first, second, _ = (item["metadata"]["name"] for item in _pods(plane))
        assert evict(plane, first).returncode == 0
        refused = evict(plane, second)
        assert refused.returncode != 0
        assert "disruption budget" in refused.stderr
    finally:
        plane.do("uncordon", "node-0", "node-1", "node-2")
    plane.until(
        lambda: (
            plane.get("poddisruptionbudget", "helper", "-n", space)[0]["status"][
                "disruptionsAllowed"
            ]
            == 1
        ),
        "a budget that allows one again",
    )


def test_a_drain_comes_to_its_end(plane, space):
    node = _pods(plane)[0]["spec"]["nodeName"]
    try:
        plane.do(
            "drain",
            node,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            "--force",
            "--timeout=300s",
        )
        assert all(item["spec"].get("nodeName") != node for item in _pods(plane))
        plane.do("rollout", "status", "deployment/helper", "-n", space, "--timeout=300s")
    finally:
        plane.do("uncordon", node)


def pod(name: str, **resources: Any) -> str:
    container = {
        "name": "c",
        "image": "example/c:1",
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 1,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": SPACE},
        "spec": {"containers": [container]},
    }
    return json.dumps(body)


def test_quota_and_limits_refuse_what_they_should(plane, space):
    big = plane.run("create", "-f", "-", text=pod("big", limits={"memory": "2Gi"}))
    assert "maximum memory usage per Container is 1Gi" in big.stderr
    plane.do("create", "-f", "-", text=pod("small"))
    (small,) = plane.get("pod", "small", "-n", space)
    assert small["spec"]["containers"][0]["resources"]["limits"]["memory"] == "64Mi"
    for number in range(2):
        plane.do("create", "-f", "-", text=pod(f"more-{number}"))
    one_too_many = plane.run("create", "-f", "-", text=pod("last"))
    assert "exceeded quota: tenant" in one_too_many.stderr


def test_pod_security_refuses_what_no_spec_can_say(plane, space):
    body = json.loads(pod("strange"))
    body["spec"]["containers"][0]["securityContext"] = {"allowPrivilegeEscalation": True}
    refused = plane.run("create", "-f", "-", text=json.dumps(body))
    assert 'violates PodSecurity "restricted' in refused.stderr
    for named in (
        "allowPrivilegeEscalation",
        "unrestricted capabilities",
        "runAsNonRoot",
        "seccompProfile",
    ):
        assert named in refused.stderr


def test_what_a_deployment_owned_goes_with_it(plane, space):
    plane.do("delete", "deployment", "helper", "-n", space)
    plane.until(
        lambda: not plane.get("replicasets,pods", "-n", space, "-l", "app=helper"),
        "nothing of the Deployment",
    )
    assert plane.get("configmaps", "-n", space, "-l", "app.kubernetes.io/name=helper")
