"""The loop of scaling, closed: runs in real processes, Prometheus, KEDA and its API of metrics, the autoscaler, pods.

Only the nodes are simulated. For each pod that the Deployment has there is a process of the runtime, which takes no more
runs at once than its spec allows; what a metrics server would say of its CPU is what the system says of the process.
"""

import http.client
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from runtime.tests.process import Runtime
from runtime.tests.servers import PATIENCE
from tests import prometheus
from tests.cluster.plane import Object, Plane, listed
from tests.operators import aggregated, operators
from tests.operators.fleets import BASE, LOOPBACK, STAND_IN, render

SPACE, NAME = "loop", "busy"
LIMIT, RUNS, MOST = 5, 10, 4
"""Runs at once that a pod takes, those that are wanted, and how many pods these need at 60 percent of the limit."""
LIMITS = {"concurrentRuns": LIMIT, "turnTimeoutSeconds": 3000}
OWN_LIMITS = {"concurrentRuns": LIMIT, "runSeconds": 3000}
"""The same, as a spec and as agent.json say it."""
SPEC = {
    **BASE,
    "limits": LIMITS,
    "resources": {"requests": {"cpu": "1"}},
    "scaling": {
        "minReplicas": 1,
        "maxReplicas": MOST,
        # At once, so that nobody waits: how patient it is by default is rendered, and not what this is about.
        "behavior": {
            "scaleDown": {
                "stabilizationWindowSeconds": 0,
                "policies": [{"type": "Percent", "value": 100, "periodSeconds": 1}],
            }
        },
    },
}
BUSY = 0.1
"""Share of a core that none of the processes reaches."""

RBAC, READER = "rbac.authorization.k8s.io", "keda-external-metrics-reader"
AUTOSCALERS = {
    "kind": "ServiceAccount",
    "name": "horizontal-pod-autoscaler",
    "namespace": "kube-system",
}
READERS: list[Object] = [
    {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": READER},
        "rules": [{"apiGroups": ["external.metrics.k8s.io"], "resources": ["*"], "verbs": ["*"]}],
    },
    {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": READER},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": READER},
        "subjects": [AUTOSCALERS],
    },
]
"""Autoscalers may ask for what KEDA measures, as its own installation has it."""


class Pods:
    """The processes of the pods of a Deployment, and the runs in them."""

    def __init__(self, plane: Plane, folder: Path) -> None:
        self.plane = plane
        # Prometheus is told of all places in advance.
        self.free = [self._process(folder / str(number)) for number in range(MOST)]
        self.targets = [
            (f"{LOOPBACK}:{one.metrics_port}", {"namespace": SPACE}) for one in self.free
        ]
        self.running: dict[str, Runtime] = {}
        self.asking: dict[str, list[http.client.HTTPConnection]] = {}
        self.since: dict[str, tuple[float, float]] = {}
        self.is_down = False

    @staticmethod
    def _process(folder: Path) -> Runtime:
        agent = {"name": NAME, "namespace": SPACE}
        return Runtime(folder, "--model", "scripted", agent=agent, limits=OWN_LIMITS)

    def follow(self) -> None:
        """Start a process for each new pod, and end that of each pod that is gone."""
        pods = {
            pod["metadata"]["name"]
            for pod in self.plane.get("pods", "-n", SPACE, "-l", f"app={NAME}")
            if "deletionTimestamp" not in pod["metadata"]
        }
        for name in self.running.keys() - pods:
            self._end(name)
        for name in [] if self.is_down else sorted(pods - self.running.keys()):
            if self.free:
                started = self.running[name] = self.free.pop().start()
                self.asking[name] = []
                self.since[name] = (_cpu(started), time.monotonic())

    def _end(self, name: str) -> None:
        for connection in self.asking.pop(name):
            connection.close()
        process = self.running.pop(name)
        process.__exit__()
        self.free.append(process)

    def want(self, runs: int) -> None:
        """Have as many runs at once as wanted, or as the processes take."""
        left = runs - sum(map(len, self.asking.values()))
        for name, process in self.running.items():
            for _ in range(min(left, LIMIT - len(self.asking[name]))):
                self.asking[name].append(_asked(process))
                left -= 1

    def rest(self) -> None:
        """End all runs: those of a session that is deleted are cancelled."""
        for name, process in self.running.items():
            connection = http.client.HTTPConnection(LOOPBACK, process.port, timeout=PATIENCE)
            for session in _answer(connection, "GET", "/sessions?limit=100")["sessions"]:
                _answer(connection, "DELETE", f"/sessions/{session['session_id']}")
            connection.close()
            while self.asking[name]:
                asking = self.asking[name].pop()
                asking.getresponse().read()
                asking.close()

    def crash(self) -> None:
        """Kill all processes, though their pods stay: nobody measures anything any more."""
        self.is_down = True
        for name in [*self.running]:
            self._end(name)

    def used(self, space: str) -> dict[str, dict[str, float]]:
        """Return the cores that each pod has used since its process was ready."""
        now = time.monotonic()
        pods = [] if space != SPACE else self.plane.get("pods", "-n", SPACE, "-l", f"app={NAME}")
        found = {}
        for pod in pods:
            name = pod["metadata"]["name"]
            process, (before, since) = self.running.get(name), self.since.get(name, (0.0, now))
            cores = (_cpu(process) - before) / max(now - since, 1.0) if process else 0.0
            found[name] = {one["name"]: cores for one in pod["spec"]["containers"]}
        return found


def _answer(connection: http.client.HTTPConnection, method: str, path: str) -> Any:
    connection.request(method, path)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status < http.client.BAD_REQUEST, text
    return json.loads(text) if text else None


def _cpu(process: Runtime) -> float:
    """Return the seconds of processor time that a process has taken, none if it is gone."""
    assert process.process is not None
    try:
        text = Path(f"/proc/{process.process.pid}/stat").read_text("utf-8")
    except FileNotFoundError:
        return 0.0
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _asked(process: Runtime) -> http.client.HTTPConnection:
    """Begin a run that does not end by itself."""
    connection = http.client.HTTPConnection(LOOPBACK, process.port, timeout=PATIENCE)
    body = json.dumps({"message": "wait 3000"})
    connection.request("POST", "/chat", body, {"Content-Type": "application/json"})
    return connection


class Loop:
    """What is rendered of an agent in a cluster, its pods, and what is said of them."""

    def __init__(
        self, plane: Plane, pods: Pods, server: prometheus.Prometheus, objects: list[Object]
    ) -> None:
        self.plane, self.pods, self.server, self.objects = plane, pods, server, objects

    def apply(self) -> None:
        """Apply it as rendered, whatever it is."""
        self.plane.apply("--force-conflicts", "-f", "-", text=listed(self.objects))

    def until(self, replicas: int, runs: int, what: str) -> None:
        """Wait until the Deployment has a number of pods, with runs going on all the time."""

        def is_so() -> bool:
            self.pods.follow()
            self.pods.want(runs)
            return self.replicas() == replicas and len(self.pods.running) == replicas

        self.plane.until(is_so, what, 240)

    def replicas(self) -> int:
        """Return how many pods the Deployment shall have."""
        (found,) = self.plane.get("deployment", NAME, "-n", SPACE)
        return int(found["spec"]["replicas"])

    def scaler(self) -> Object:
        """Return the autoscaler that KEDA has made."""
        (found,) = self.plane.get("horizontalpodautoscalers", "-n", SPACE)
        return found

    def percent(self) -> float:
        """Return the use of CPU that the autoscaler has seen, by the trigger beside that on runs, when it has seen both."""
        found: dict[str, Object] = {}

        def has_both() -> bool:
            rows = self.scaler()["status"].get("currentMetrics") or ()
            found.update(
                {row["type"]: row[row["type"].lower()]["current"] for row in rows if row["type"]}
            )
            return found.keys() == {"External", "Resource"}

        self.plane.until(has_both, "both are measured", 120)
        return float(found["Resource"]["averageUtilization"])

    def is_blind(self) -> bool:
        """Whether the autoscaler says that the measurement of runs is missing."""
        rows = self.scaler().get("status", {}).get("conditions", ())
        (active,) = [row for row in rows if row["type"] == "ScalingActive"] or [{}]
        return (active.get("status"), active.get("reason")) == ("False", "FailedGetExternalMetric")

    def questions(self) -> float:
        """Return how often Prometheus was asked so far."""
        return sum(self.server.own("prometheus_http_requests_total", 'handler="/api/v1/query"'))


@pytest.fixture(scope="module")
def loop(plane: Plane, measured: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """The loop, with one idle pod."""
    folder = tmp_path_factory.mktemp("loop")
    pods = Pods(plane, folder / "pods")
    with ExitStack() as stack:
        server = stack.enter_context(prometheus.running(folder / "prometheus", pods.targets))
        port = stack.enter_context(aggregated.measuring(folder / "certificates", pods.used))
        adapter = operators.start_keda_adapter(plane, measured)
        plane.apply("-f", "-", text=listed(READERS))
        for version, group, place in (
            ("v1beta1", "external.metrics.k8s.io", adapter),
            ("v1beta1", "metrics.k8s.io", port),
        ):
            stack.enter_context(aggregated.registered(plane, version, group, place))
        stack.callback(pods.crash)
        where = server.url.replace(LOOPBACK, STAND_IN)
        items = render(folder / "fleet", {NAME: SPEC}, SPACE, monitoring={"prometheusUrl": where})
        found = Loop(plane, pods, server, items)
        found.apply()
        found.until(1, 0, "one idle pod")
        yield found
        plane.do("delete", "scaledobjects", "--all", "-n", SPACE, "--wait=true")
        plane.without_namespace(SPACE)


@pytest.fixture
def scaled(loop: Loop) -> Loop:
    """The loop with as many pods as its runs need."""
    loop.apply()
    loop.pods.is_down = False
    loop.until(MOST, RUNS, "as many pods as the runs need")
    return loop


def test_runs_in_flight_add_pods_while_the_processes_do_next_to_nothing(scaled: Loop) -> None:
    used = [cores for pod in scaled.pods.used(SPACE).values() for cores in pod.values()]
    assert len(used) == MOST
    assert max(used) < BUSY

    assert scaled.percent() < BUSY * 100


def test_pods_go_again_when_the_runs_have_ended(scaled: Loop) -> None:
    scaled.pods.rest()
    scaled.until(1, 0, "one pod again")


def test_a_measurement_that_is_missing_takes_no_pod_away(scaled: Loop) -> None:
    scaled.pods.crash()
    scaled.plane.until(scaled.is_blind, "the autoscaler misses it", 120)
    before = scaled.questions()
    scaled.plane.until(lambda: scaled.questions() >= before + 10, "KEDA has asked again", 120)
    assert scaled.is_blind()
    assert scaled.replicas() == MOST


def test_without_the_setting_that_we_render_it_would(scaled: Loop) -> None:
    """What KEDA does by itself: what is not measured counts as none."""
    (given,) = scaled.plane.get("scaledobject", NAME, "-n", SPACE)
    triggers = given["spec"]["triggers"]
    (asked,) = [each for each in triggers if each["type"] == "prometheus"]
    assert asked["metadata"].pop("ignoreNullValues") == "false"
    patch = json.dumps({"spec": {"triggers": triggers}})
    scaled.plane.do("patch", "scaledobject", NAME, "-n", SPACE, "--type=merge", "-p", patch)
    scaled.pods.crash()
    scaled.plane.until(lambda: scaled.replicas() == 1, "all pods but one are gone", 120)
