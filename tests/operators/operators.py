"""The operators that act on what we render, each started against a running control plane."""

import json
import time
from pathlib import Path

from tests.cluster.plane import Plane, cluster
from tests.tools import tool

LOOPBACK = "127.0.0.1"
SPACE = "platform"
"""Where the operators think that they live."""


def start_keda(plane: Plane, proxy: str, service: int) -> None:
    """Start KEDA, which tells what it measures at a port; what it asks of hosts other than this one goes to a proxy."""
    folder = _certificates(plane)
    cluster.issue(folder, "/CN=keda-operator")
    metrics, probe = cluster.free_ports(2)
    _start(
        plane,
        "keda",
        f"http://{LOOPBACK}:{probe}/readyz",
        f"--kubeconfig={plane.kubeconfig}",
        f"--metrics-bind-address={LOOPBACK}:{metrics}",
        f"--health-probe-bind-address={LOOPBACK}:{probe}",
        f"--metrics-service-bind-address={LOOPBACK}:{service}",
        f"--cert-dir={folder}",
        f"--ca-dir={folder}",
        "--leader-elect=false",
        WATCH_NAMESPACE="",
        POD_NAME="keda-operator",
        POD_NAMESPACE=SPACE,
        KEDA_CLUSTER_OBJECT_NAMESPACE=SPACE,
        HTTP_PROXY=proxy,
        HTTPS_PROXY=proxy,
        NO_PROXY=LOOPBACK,
    )


def start_keda_adapter(plane: Plane, service: int) -> int:
    """Start what makes an API of KEDA's measurements; return the port at which it serves it."""
    folder = _certificates(plane)
    secure, metrics = cluster.free_ports(2)
    cluster.run_part(
        plane.made,
        tool("keda-adapter"),
        f"--secure-port={secure}",
        f"--bind-address={LOOPBACK}",
        f"--port={metrics}",
        f"--cert-dir={folder}",
        f"--tls-cert-file={folder / 'tls.crt'}",
        f"--tls-private-key-file={folder / 'tls.key'}",
        f"--authentication-kubeconfig={plane.kubeconfig}",
        f"--authorization-kubeconfig={plane.kubeconfig}",
        f"--lister-kubeconfig={plane.kubeconfig}",
        f"--metrics-service-address={LOOPBACK}:{service}",
        KUBECONFIG=str(plane.kubeconfig),
        WATCH_NAMESPACE="",
    )
    return int(secure)


def _certificates(plane: Plane) -> Path:
    path: Path = plane.made.folder / "keda-certificates"
    return path


def start_external_secrets(plane: Plane) -> None:
    """Start the External Secrets operator with the definitions of its own version."""
    # The newer definitions of the other tests know fields that this operator does not write.
    _define(plane, "external-secrets")
    (metrics,) = cluster.free_ports(1)
    _start(
        plane,
        "external-secrets",
        f"http://{LOOPBACK}:{metrics}/metrics",
        f"--metrics-addr={LOOPBACK}:{metrics}",
        KUBECONFIG=str(plane.kubeconfig),
    )


def start_prometheus_operator(plane: Plane) -> None:
    """Start the Prometheus operator, which takes no kubeconfig."""
    (web,) = cluster.free_ports(1)
    login = plane.made.login
    _start(
        plane,
        "prometheus-operator",
        f"http://{LOOPBACK}:{web}/healthz",
        f"-apiserver={login['server']}",
        f"-ca-file={login['certificate-authority']}",
        f"-cert-file={login['client-certificate']}",
        f"-key-file={login['client-key']}",
        f"-web.listen-address={LOOPBACK}:{web}",
    )


def start_argo_rollouts(plane: Plane) -> None:
    """Start the controller of Argo Rollouts with the definitions of its own version."""
    _define(plane, "argo-rollouts")
    metrics, health = cluster.free_ports(2)
    _start(
        plane,
        "argo-rollouts",
        f"http://{LOOPBACK}:{health}/healthz",
        f"--kubeconfig={plane.kubeconfig}",
        "--leader-elect=false",
        f"--metricsPort={metrics}",
        f"--healthzPort={health}",
    )


def start_argo_workflows(plane: Plane) -> None:
    """Start the controller of Argo Workflows with the definitions of its own version.

    It looks at a workflow every ten seconds, and waits ten minutes for what a lost pod might still tell, unless its
    environment says otherwise. Its probe is at a port that cannot be chosen, so its log is asked; where that port is taken,
    it goes on without.
    """
    name = "argo-controller"
    _define(plane, name)
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "workflow-controller-configmap", "namespace": SPACE},
        "data": {"metricsConfig": json.dumps({"enabled": False})},
    }
    plane.apply("-f", "-", text=json.dumps(config))
    cluster.run_part(
        plane.made,
        tool(name),
        f"--kubeconfig={plane.kubeconfig}",
        f"--namespace={SPACE}",
        "--executor-image=quay.io/argoproj/argoexec:v4.0.5",
        LEADER_ELECTION_DISABLE="true",
        DEFAULT_REQUEUE_TIME="200ms",
        RECENTLY_STARTED_POD_DURATION="200ms",
        RECENTLY_DELETED_POD_DURATION="200ms",
        TASK_RESULT_TIMEOUT_DURATION="200ms",
    )
    cluster.wait(plane.made, name, lambda: "starting leading" in log(plane, name))


def end_argo_workflows(plane: Plane) -> None:
    """End the controller, which a polite request does not."""
    cluster.end_part(plane.made, "argo-controller")


def _define(plane: Plane, name: str) -> None:
    """Install the definitions of an operator's own version, and wait until what they define is served: some give up."""
    file = tool(name).with_name("crds.yaml")
    done = plane.run("apply", "--server-side", "--force-conflicts", "-o", "name", "-f", file)
    assert done.returncode == 0, done.stderr
    kinds = ",".join(line.rpartition("/")[2] for line in done.stdout.split())
    asked = ("get", kinds, "--all-namespaces", "-o", "name")
    plane.until(lambda: plane.run(*asked).returncode == 0, f"{kinds} are served", 120)


def _start(plane: Plane, name: str, probe: str, *arguments: str, **variables: str) -> None:
    cluster.run_part(plane.made, tool(name), *arguments, **variables)
    cluster.wait(plane.made, name, lambda: cluster.is_ready(probe))


def log(plane: Plane, name: str) -> str:
    """Return what an operator has said so far."""
    path: Path = plane.made.folder / f"{name}.log"
    return path.read_text("utf-8", "replace")


def settled(plane: Plane, name: str, seconds: float = 2) -> None:
    """Wait until an operator has been silent for some seconds."""
    said, since = log(plane, name), time.monotonic()

    def is_silent() -> bool:
        nonlocal said, since
        now = log(plane, name)
        if now != said:
            said, since = now, time.monotonic()
        return time.monotonic() - since > seconds

    plane.until(is_silent, f"{name} has nothing more to say")
