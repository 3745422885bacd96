"""A Kubernetes control plane on this machine: real, on loopback, with simulated nodes.

python tools/cluster.py start [--folder .cluster] [--provider local|kind]
    python tools/cluster.py stop [--folder .cluster]

`local` builds etcd, the API server, the controller manager and the scheduler from source; `kind`
uses a container engine. In both, kwok plays the kubelets of three simulated nodes: pods become
ready without running anything. Both install the CRDs that our output uses, write FOLDER/kubeconfig,
and stop exactly what they started.
"""

import argparse
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import install

PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
NODES = 3
ZONES = ("a", "b", "c")
DEFINED = (
    *("secretstores.external-secrets.io", "externalsecrets.external-secrets.io"),
    *("scaledobjects.keda.sh", "triggerauthentications.keda.sh"),
    *("servicemonitors.monitoring.coreos.com", "prometheusrules.monitoring.coreos.com"),
    *("httproutes.gateway.networking.k8s.io", "certificates.cert-manager.io"),
    *("rollouts.argoproj.io", "analysistemplates.argoproj.io"),
    *("grafanadashboards.grafana.integreatly.org", "sandboxtemplates.extensions.agents.x-k8s.io"),
    "sandboxwarmpools.extensions.agents.x-k8s.io",
    *("kustomizations.kustomize.toolkit.fluxcd.io", "helmreleases.helm.toolkit.fluxcd.io"),
    *("gitrepositories.source.toolkit.fluxcd.io", "ocirepositories.source.toolkit.fluxcd.io"),
    *(
        "helmrepositories.source.toolkit.fluxcd.io",
        "applications.argoproj.io",
        "appprojects.argoproj.io",
    ),
)
"""The custom resources that the output has; operators want all that belongs to theirs."""
LOOPBACK = "127.0.0.1"
SERVICES = "10.96.0.0/16"
STATE = "state.json"
CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""What this very process started and has not seen end."""
# The API server needs its store to shut down; in the opposite order it would wait for ever.
STOP_ORDER = ("kwok", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")
SIMULATED = "fleetform.dev/simulated"
"""Label of the nodes that kwok plays; a real kubelet has the others."""
COLLECTED = "400"
"""Percentage of new memory before Go collects: the definitions alone cost a third less time so."""
PATIENCE = (15.0, 5.0)
"""Seconds that a part has to end: after it was asked to, and after it was killed."""


class ClusterError(Exception):
    """A component did not start or stop; the message says which, and where its log is."""


@dataclass(frozen=True)
class Cluster:
    """A control plane whose state is in a folder."""

    folder: Path
    bound: bool = False
    """Whether it dies with the process that started it, however that one ends."""

    @property
    def kubeconfig(self) -> Path:
        """Return the path of the administrator's credentials."""
        return self.folder / "kubeconfig"

    @property
    def login(self) -> dict[str, str]:
        """Return the credentials for programs without a kubeconfig: `server`, and files by their kubeconfig keys."""
        config = json.loads(self.kubeconfig.read_text("utf-8"))
        server: dict[str, str] = config["clusters"][0]["cluster"]
        crt, key = (str(self.folder / "client" / name) for name in ("tls.crt", "tls.key"))
        return {**server, "client-certificate": crt, "client-key": key}

    def kubectl(self, *arguments: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl; the caller checks its exit code."""
        command = [install.install("kubectl"), "--kubeconfig", self.kubeconfig, *arguments]
        return subprocess.run(
            command, input=text, capture_output=True, check=False, text=True, encoding="utf-8"
        )


def start(folder: Path, *, bound: bool = False) -> Cluster:
    """Start a control plane in an empty folder; on failure nothing of it remains."""
    cluster = _new(folder, bound)
    try:
        _start(cluster, {name: install.install(name) for name in PARTS})
        define(cluster, *DEFINED)
    except BaseException:
        stop(folder)
        raise
    return cluster


def _new(folder: Path, bound: bool) -> Cluster:
    if (folder / STATE).exists():
        raise ClusterError(f"{folder} holds a cluster: stop that one first")
    folder.mkdir(parents=True, exist_ok=True)
    return Cluster(folder.resolve(), bound)


def _start(cluster: Cluster, parts: dict[str, Path]) -> None:
    folder = cluster.folder
    client, peer, secure = free_ports(3)
    token = secrets.token_hex(16)
    _write(folder / "tokens.csv", f'{token},admin,admin,"system:masters"\n')
    _key(folder / "accounts.key")
    issue(folder / "client", "/O=system:masters/CN=admin")
    issue(folder / "aggregator", "/CN=aggregator")
    store = f"http://{LOOPBACK}:{client}"
    run_part(
        cluster,
        parts["etcd"],
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={store}",
        f"--advertise-client-urls={store}",
        f"--listen-peer-urls=http://{LOOPBACK}:{peer}",
        f"--initial-advertise-peer-urls=http://{LOOPBACK}:{peer}",
        f"--initial-cluster=default=http://{LOOPBACK}:{peer}",
        "--unsafe-no-fsync",
        "--log-level=error",
    )
    run_part(
        cluster,
        parts["kube-apiserver"],
        f"--etcd-servers={store}",
        f"--secure-port={secure}",
        f"--bind-address={LOOPBACK}",
        f"--cert-dir={folder / 'certificates'}",
        f"--service-account-key-file={folder / 'accounts.key'}",
        f"--service-account-signing-key-file={folder / 'accounts.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--token-auth-file={folder / 'tokens.csv'}",
        f"--client-ca-file={folder / 'client/ca.crt'}",
        "--authorization-mode=RBAC",
        f"--service-cluster-ip-range={SERVICES}",
        *_aggregation(folder / "aggregator"),
    )
    address = f"https://{LOOPBACK}:{secure}"
    wait(cluster, "kube-apiserver", lambda: is_ready(f"{address}/readyz"))
    _write(cluster.kubeconfig, json.dumps(_kubeconfig(address, token, folder)))
    login = f"--kubeconfig={cluster.kubeconfig}"
    quiet = ("--leader-elect=false", "--secure-port=0")
    accounts = f"--service-account-private-key-file={folder / 'accounts.key'}"
    run_part(
        cluster,
        parts["kube-controller-manager"],
        login,
        accounts,
        "--use-service-account-credentials",
        "--horizontal-pod-autoscaler-sync-period=1s",
        *quiet,
    )
    run_part(cluster, parts["kube-scheduler"], login, *quiet)
    _simulate(cluster, parts["kwok"])
    # Pods are admitted only once their namespace's default account exists.
    wait(
        cluster,
        "kube-controller-manager",
        lambda: "default" in _said(cluster, "get", "serviceaccounts", "-n", "default"),
    )


def _aggregation(folder: Path) -> Iterator[str]:
    """Yield how the API server tells APIs that others serve, such as that of metrics, who asks."""
    yield f"--proxy-client-cert-file={folder / 'tls.crt'}"
    yield f"--proxy-client-key-file={folder / 'tls.key'}"
    yield f"--requestheader-client-ca-file={folder / 'ca.crt'}"
    yield "--requestheader-allowed-names=aggregator"
    yield "--requestheader-username-headers=X-Remote-User"
    yield "--requestheader-group-headers=X-Remote-Group"
    yield "--requestheader-extra-headers-prefix=X-Remote-Extra-"


def define(cluster: Cluster, *names: str) -> None:
    """Install pinned CRDs, by default all of them."""
    folder = install.install("schemas") / "crds"
    files = [folder / f"{name}.json" for name in names] or [folder]
    # Those of Argo CD exceed the annotation size of a client-side apply.
    done = cluster.kubectl("apply", "--server-side", *(w for file in files for w in ("-f", file)))
    if done.returncode:
        raise ClusterError(f"the custom resources are not defined: {done.stderr}")
    # kubectl gives up on a CRD that has no conditions yet.
    ready = ("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    wait(cluster, "kube-apiserver", lambda: cluster.kubectl(*ready).returncode == 0)


def _simulate(cluster: Cluster, kwok: Path) -> None:
    """Let kwok play the kubelets of a few nodes."""
    run_part(
        cluster,
        kwok,
        f"--kubeconfig={cluster.kubeconfig}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-label-selector={SIMULATED}=true",
        "--node-lease-duration-seconds=40",
        f"--config={kwok.with_name('stages.yaml')}",
    )
    items = [_node(number) for number in range(NODES)]
    names = [item["metadata"]["name"] for item in items]
    nodes = {"apiVersion": "v1", "kind": "List", "items": items}
    wait(cluster, "kwok", lambda: _applied(cluster, nodes))
    wait(cluster, "kwok", lambda: _said(cluster, "get", "nodes", *names).count(" Ready ") == NODES)


def _node(number: int) -> dict[str, Any]:
    name = f"node-{number}"
    zone = ZONES[number % len(ZONES)]
    labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone}
    amounts = {"cpu": "64", "memory": "256Gi", "pods": "500"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {**labels, "kubernetes.io/os": "linux", SIMULATED: "true"},
        },
        "status": {"allocatable": amounts, "capacity": amounts},
    }


def _kubeconfig(address: str, token: str, folder: Path) -> dict[str, Any]:
    authority = str(folder / "certificates/apiserver.crt")
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "local",
        "clusters": [
            {"name": "local", "cluster": {"server": address, "certificate-authority": authority}}
        ],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "admin"}}],
    }


def _key(path: Path) -> None:
    _openssl("genrsa", "-out", str(path), "2048")
    path.chmod(0o600)


def issue(folder: Path, subject: str) -> None:
    """Create a throw-away CA and one certificate for this machine: ca.crt, ca.key, tls.crt and tls.key in a new folder."""
    folder.mkdir(mode=0o700)
    key = ("-newkey", "rsa:2048", "-nodes")
    ca, crt, own = folder / "ca.crt", folder / "tls.crt", folder / "tls.csr"
    signer = ("-CA", str(ca), "-CAkey", str(ca.with_suffix(".key")), "-CAcreateserial")
    _openssl("req", "-x509", *key, *_pair(ca), "-subj", "/CN=throw-away", "-days", "365")
    place = ("-addext", f"subjectAltName=IP:{LOOPBACK}")
    _openssl("req", *key, *_pair(own, crt.with_suffix(".key")), "-subj", subject, *place)
    kept = ("-copy_extensions", "copy", "-days", "365")
    _openssl("x509", "-req", "-in", str(own), *signer, "-out", str(crt), *kept)


def _pair(out: Path, key: Path | None = None) -> tuple[str, ...]:
    return ("-out", str(out), "-keyout", str(key or out.with_suffix(".key")))


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, check=False, text=True)
    if done.returncode:
        raise ClusterError(f"openssl {arguments[0]} failed: {done.stderr}")


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.touch(0o600)
    path.write_text(text, "utf-8")


def free_ports(count: int) -> list[int]:
    """Return unused ports; all are held until the last one is found."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


# -- processes -------------------------------------------------------------------------------------


def run_part(cluster: Cluster, command: Path, *arguments: str, **variables: str) -> None:
    """Start a program in a new session, and record its process for `stop`.

    More components may be added to a running cluster; they end before the API server does.
    """
    with (cluster.folder / f"{command.name}.log").open("w") as log:
        process = subprocess.Popen(
            [*_dying(cluster.bound), command, *arguments],
            cwd=cluster.folder,
            env={"GOGC": COLLECTED, **os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    CHILDREN[process.pid] = process
    state = _state(cluster.folder)
    state[command.name] = {"pid": process.pid, "born": _born(process.pid)}
    (cluster.folder / STATE).write_text(json.dumps(state), "utf-8")


def _dying(bound: bool) -> tuple[str, ...]:
    """Return a hook that ends a program together with the process that started it; Linux only.

    If the starting process has ended before the hook runs, the program ends itself.
    """
    if not bound or not shutil.which("setpriv"):
        return ()
    check = f'[ "$PPID" = {os.getpid()} ] || exit 1; exec "$@"'
    return ("setpriv", "--pdeathsig", "KILL", "sh", "-c", check, "sh")


def _state(folder: Path) -> dict[str, Any]:
    file = folder / STATE
    state: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return state


def _born(pid: int) -> str:
    """Return when a process started, which distinguishes it from a later one with the same PID; empty if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] == "Z" else fields[19]


def stop(folder: Path) -> None:
    """Stop what was started in a folder, and remove the folder."""
    state = _state(folder)
    others = [name for name in state if name not in STOP_ORDER]
    for name in (*others, *STOP_ORDER):
        if name in state:
            _end(name, state[name])
    shutil.rmtree(folder, ignore_errors=True)


def end_part(cluster: Cluster, name: str) -> None:
    """End one program before the others, by force: there are some that do not listen to anything less."""
    state = _state(cluster.folder)
    _end(name, state.pop(name), (signal.SIGKILL,))
    (cluster.folder / STATE).write_text(json.dumps(state), "utf-8")


def _end(
    name: str,
    process: dict[str, Any],
    kinds: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGKILL),
) -> None:
    pid, born = process["pid"], process["born"]
    for kind, patience in zip(kinds, PATIENCE[-len(kinds) :], strict=True):
        if _born(pid) != born:
            break
        os.kill(pid, kind)
        until = time.monotonic() + patience
        while _born(pid) == born and time.monotonic() < until:
            time.sleep(0.05)
    if _born(pid) == born:
        raise ClusterError(f"{name} (process {pid}) does not end")
    child = CHILDREN.pop(pid, None)
    if child is not None:  # its first thread has ended, the others may still be at it
        child.wait(300)


def wait(cluster: Cluster, name: str, is_so: Callable[[], bool], patience: float = 300) -> None:
    """Wait for a condition; fail if a component ends meanwhile."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if is_so():
            return
        for part, process in _state(cluster.folder).items():
            if _born(process["pid"]) != process["born"]:
                raise ClusterError(f"{part} ended:\n{_last_lines(cluster, part)}")
        time.sleep(0.2)
    raise ClusterError(f"{name} is not ready after {patience:g} s:\n{_last_lines(cluster, name)}")


def _last_lines(cluster: Cluster, name: str) -> str:
    text = (cluster.folder / f"{name}.log").read_text("utf-8", "replace")
    return "\n".join(text.splitlines()[-20:])


def is_ready(url: str) -> bool:
    """Whether a component answers a probe successfully."""
    # Its self-signed certificate is a minute old; nothing secret is sent.
    trust = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(url, timeout=30, context=trust) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def _applied(cluster: Cluster, document: dict[str, Any]) -> bool:
    done = cluster.kubectl("apply", "--server-side", "-f", "-", text=json.dumps(document))
    return done.returncode == 0


def _said(cluster: Cluster, *arguments: str) -> str:
    return cluster.kubectl(*arguments).stdout


# -- kind, and the command line --------------------------------------------------------------------


def start_kind(folder: Path, *, bound: bool = False) -> Cluster:
    """Create a control plane in a container with kind, which needs a container engine.

    Its own node takes no pods: images need not exist, and the simulated nodes behave as with the
    other provider.
    """
    cluster = _new(folder, bound)
    try:
        _kind(cluster.folder, "create", "cluster", "--wait", "120s")
        _simulate(cluster, install.install("kwok"))
        own = ("-l", f"{SIMULATED}!=true")
        wait(cluster, "kind", lambda: cluster.kubectl("cordon", *own).returncode == 0)
        define(cluster, *DEFINED)
    except BaseException:
        stop_kind(folder)
        raise
    return cluster


def stop_kind(folder: Path) -> None:
    """Remove the cluster that kind created, and what plays its nodes."""
    try:
        _kind(folder.resolve(), "delete", "cluster")
    finally:
        stop(folder)


def _kind(folder: Path, *arguments: str) -> None:
    """Run kind on the cluster of a folder, which is named after it."""
    name = f"fleetform-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    options = ["--name", name, "--kubeconfig", str(folder / "kubeconfig")]
    done = subprocess.run([install.install("kind"), *arguments, *options], check=False)
    if done.returncode:
        raise ClusterError("kind failed: it needs a container engine, see its message above")


PROVIDERS = {"local": (start, stop), "kind": (start_kind, stop_kind)}
"""How each provider starts and stops a cluster in a folder."""


def main() -> int:
    """Start or stop a cluster from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("--folder", type=Path, default=Path(".cluster"))
    parser.add_argument("--provider", choices=[*PROVIDERS], default="local")
    given = parser.parse_args()
    start_it, stop_it = PROVIDERS[given.provider]
    try:
        if given.action == "stop":
            stop_it(given.folder)
            return 0
        cluster = start_it(given.folder)
    except (ClusterError, install.InstallError) as error:
        print(f"tools/cluster.py: {error}", file=sys.stderr)
        return 1
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
