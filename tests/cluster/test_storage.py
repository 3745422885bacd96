"""A claim that waits for its first pod holds up no release."""

import json
import shlex
import time
from pathlib import Path

import pytest

from tests.cluster.plane import Plane
from tests.fleet import AGENT, ENVIRONMENT, fleetform, write
from tests.parity.charts import CHARTS, HELMS

VOLUME = """  volumes:
    - {name: notes, mountPath: /notes, claim: {size: 1Gi}}
"""


@pytest.mark.parametrize("helm", HELMS)
def test_releases_that_wait_come_to_an_end(plane: Plane, helm: str, tmp_path):
    """As docs/helm.md says; the claim is in the release before the one of its only pod."""
    space = f"disks-{helm}-{time.time_ns() % 1_000_000}"
    files = {
        "agents/a.yaml": AGENT.replace("helper}", f"helper, namespace: {space}}}") + VOLUME,
        "environments/prod.yaml": ENVIRONMENT,
    }
    fleet = write(tmp_path, files)
    assert fleetform("render", "--target", "helm", cwd=fleet).code == 0
    done = fleetform("releases", "--wait", "2m", cwd=fleet)
    assert done.code == 0, done.err
    plane.do("create", "namespace", space)
    for line in done.out.splitlines():
        words = shlex.split(line.replace("-f charts/", f"-f {fleet}/charts/"))
        words[4] = str(CHARTS / Path(words[4]).name)
        if helm == "helm3":
            words = ["--atomic" if word == "--rollback-on-failure" else word for word in words]
        installed = plane.helm(helm, *words[1:])
        assert installed.returncode == 0, installed.stdout + installed.stderr
    (claim,) = plane.get("persistentvolumeclaims", "-n", space)
    assert claim["status"]["phase"] == "Bound"
    plane.do("delete", "namespace", space, "--wait=false")


def test_waiting_for_the_claim_itself_would_never_end(plane: Plane):
    """The reason for all of it: without a pod the claim stays as it is."""
    space = f"alone-{time.time_ns() % 1_000_000}"
    plane.do("create", "namespace", space)
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "notes", "namespace": space},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    plane.apply("-f", "-", text=json.dumps(claim))

    def is_told() -> bool:
        events = plane.get("events", "-n", space)
        return any(item["reason"] == "WaitForFirstConsumer" for item in events)

    plane.until(is_told, "the claim waits for a pod")
    (found,) = plane.get("persistentvolumeclaim", "notes", "-n", space)
    assert found["status"]["phase"] == "Pending"
    plane.do("delete", "namespace", space, "--wait=false")
