"""APIs that others serve for the API server: KEDA's of external metrics, and one of pods' CPU as a metrics server has it."""

import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from pathlib import Path

from runtime.tests.json_server import JsonHandler
from tests.cluster.plane import Object, Plane, cluster, listed
from tests.operators.operators import LOOPBACK, SPACE

PODS = re.compile(r"/apis/metrics\.k8s\.io/v1beta1/namespaces/([^/?]+)/pods")
METRICS = "/apis/metrics.k8s.io/v1beta1"
Measure = Callable[[str], dict[str, dict[str, float]]]
"""A namespace → for each of its pods the cores that each container uses."""


@contextmanager
def registered(plane: Plane, version: str, group: str, port: int) -> Iterator[None]:
    """Have a port of this machine serve an API, until the block ends: namespaces do not go while one is away."""
    name = f"{version}.{group}"
    place = {"namespace": SPACE, "name": name.replace(".", "-")}
    local = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}
    api = {
        "service": {**place, "port": port},
        "group": group,
        "version": version,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
    }
    items = [
        {"apiVersion": "v1", "kind": "Service", "metadata": place, "spec": local},
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": name},
            "spec": api,
        },
    ]
    plane.apply("-f", "-", text=listed(items))
    try:
        plane.until(lambda: _is_available(plane, name), f"{name} is served", 120)
        yield
    finally:
        plane.do("delete", "apiservice", name, "--wait=true")


def _is_available(plane: Plane, name: str) -> bool:
    (found,) = plane.get("apiservice", name)
    conditions = found.get("status", {}).get("conditions", ())
    return any(row["type"] == "Available" and row["status"] == "True" for row in conditions)


@contextmanager
def measuring(folder: Path, measure: Measure) -> Iterator[int]:
    """Serve what pods use, as a metrics server does; yield the port."""
    cluster.issue(folder, "/CN=metrics")
    secret = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secret.load_cert_chain(folder / "tls.crt", folder / "tls.key")

    class Handler(JsonHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
            space = PODS.match(self.path)
            if space:
                self.write(200, _pods(space[1], measure(space[1])))
            elif self.path.partition("?")[0] == METRICS:
                self.write(200, DISCOVERY)
            else:
                self.write(404, {})

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        server.daemon_threads = True
        server.socket = secret.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


DISCOVERY = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "metrics.k8s.io/v1beta1",
    "resources": [
        {
            "name": "pods",
            "singularName": "",
            "namespaced": True,
            "kind": "PodMetrics",
            "verbs": ["get", "list"],
        }
    ],
}


def _pods(space: str, used: dict[str, dict[str, float]]) -> Object:
    return {
        "kind": "PodMetricsList",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": name, "namespace": space},
                "timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                "window": "10s",
                "containers": [
                    {"name": each, "usage": {"cpu": f"{round(cores * 1e9)}n", "memory": "64Mi"}}
                    for each, cores in containers.items()
                ],
            }
            for name, containers in used.items()
        ],
    }
