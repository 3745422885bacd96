"""What the generator renders is what the server does: command, files, user, ports, probes, signals."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime.tests.certificates import issue

ROOT = Path(__file__).resolve().parents[2]
POD = Path(__file__).with_name("pod.py")
AGENTS = {
    "kagent/k8s-operator": 200,  # sessions in the process; its MCP server is away: degraded
    "ai-agents/customer-support-agent": 503,  # its Redis is away: unready, but alive
    "k8sops/k8sops": 503,
}

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"),
    reason="only root makes namespaces",
)


def manifests(agent: str) -> dict[str, Any]:
    text = (ROOT / f"rendered/prod/{agent}.yaml").read_text("utf-8")
    return {item["kind"]: item for item in yaml.safe_load_all(text)}


def pod(agent: str) -> dict[str, Any]:
    """Describe the pod of a rendered Deployment as the kubelet would see it."""
    found = manifests(agent)
    spec = found["Deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    command = [str(Path(sys.executable).with_name("fleetform-runtime"))]
    return {
        "command": container.get("command", command) + container["args"],
        "env": {
            item["name"]: item["value"] for item in container.get("env", ()) if "value" in item
        },
        "user": spec["securityContext"]["runAsUser"],
        "group": spec["securityContext"]["fsGroup"],
        "files": {
            mount["mountPath"]: files(volumes[mount["name"]], found["ConfigMap"])
            for mount in container["volumeMounts"]
            if mount.get("readOnly")
        },
        "probes": {
            name: where(container[f"{name}Probe"], ports)
            for name in ("startup", "liveness", "readiness")
        },
        "metrics": ports["metrics"],
        "needs": [str(ROOT), str(Path(sys.base_prefix).resolve())],
    }


def where(probe: dict[str, Any], ports: dict[str, int]) -> tuple[int, str]:
    port = probe["httpGet"]["port"]
    return ports.get(port, port), probe["httpGet"]["path"]


def files(volume: dict[str, Any], config: dict[str, Any]) -> dict[str, str]:
    if "configMap" in volume:
        assert volume["configMap"]["name"] == config["metadata"]["name"]
        return config["data"]
    return {
        item["path"]: value(item["key"])
        for source in volume["projected"]["sources"]
        for item in source["secret"]["items"]
    }


@cache
def certificates() -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        issue(Path(folder))
        names = {"ca.crt": "ca.crt", "tls.crt": "server.crt", "tls.key": "server.key"}
        return {key: Path(folder, name).read_text() for key, name in names.items()}


def value(key: str) -> str:
    return certificates().get(key) or f"value-of-{key}-0123456789\n"


@pytest.mark.parametrize(("agent", "ready"), AGENTS.items())
def test_a_rendered_deployment_starts_as_its_user_and_answers_its_probes(agent, ready, tmp_path):
    (tmp_path / "pod.json").write_text(json.dumps(pod(agent)))
    done = subprocess.run(
        ["unshare", "--mount", "--net", sys.executable, POD, tmp_path],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["probes"] == {"startup": 200, "liveness": 200, "readiness": ready}, seen["log"]
    assert (seen["metrics"], seen["uid"], seen["exit"]) == (200, "10001", 0)
    assert seen["writable"] == ["/tmp"]
    assert "Traceback" not in seen["log"]


@pytest.mark.parametrize("agent", AGENTS)
def test_the_pod_waits_longer_than_the_server_takes_to_end(agent):
    found = manifests(agent)
    spec = found["Deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    server = json.loads(found["ConfigMap"]["data"]["agent.json"])["server"]
    sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] >= sleep + server["shutdownGraceSeconds"] + 5
