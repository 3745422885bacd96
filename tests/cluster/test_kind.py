"""The provider `kind`, as far as it can run where no container engine is: all but the container."""

import json
from pathlib import Path

from tests.cluster.plane import Plane, cluster
from tests.tools import installer


def test_kinds_cluster_has_simulated_nodes_and_takes_no_pod_on_its_own(
    plane: Plane, tmp_path: Path, monkeypatch
) -> None:
    """A control plane of the other provider stands for the one that kind would make."""
    kind, calls = tmp_path / "kind", tmp_path / "calls"
    kind.write_text(
        f'#!/bin/sh\necho "$@" >> {calls}\n'
        'while [ "$1" != --kubeconfig ]; do shift; done\n'
        f'[ -e "$2" ] || cp {plane.kubeconfig} "$2"\n'
    )
    kind.chmod(0o755)
    known = installer.install
    monkeypatch.setattr(installer, "install", lambda name: kind if name == "kind" else known(name))
    own = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "kind-control-plane"}}
    plane.apply("-f", "-", text=json.dumps(own))
    try:
        made = cluster.start_kind(tmp_path / "state", bound=True)
        nodes = {item["metadata"]["name"]: item for item in Plane(made).get("nodes")}
        assert nodes["kind-control-plane"]["spec"]["unschedulable"] is True
        simulated = [f"node-{number}" for number in range(cluster.NODES)]
        assert {*simulated} == nodes.keys() - {"kind-control-plane"}
        for name in simulated:
            ready = [
                condition
                for condition in nodes[name]["status"]["conditions"]
                if condition["type"] == "Ready"
            ]
            assert ready[0]["status"] == "True"
        pid = cluster._state(made.folder)["kwok"]["pid"]
        cluster.stop_kind(tmp_path / "state")
    finally:
        plane.do("uncordon", "node-0", "node-1", "node-2")
        plane.do("delete", "node", "kind-control-plane")
    assert cluster._born(pid) == ""
    assert not (tmp_path / "state").exists()
    created, deleted = calls.read_text().splitlines()
    assert created.startswith("create cluster --wait 120s --name fleetform-")
    assert deleted.startswith("delete cluster --name fleetform-")
    assert created.partition("--name")[2] == deleted.partition("--name")[2]
