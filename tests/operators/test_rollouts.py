"""Argo Rollouts' own controller replaces the pods of what we render, step by step, and gives them back."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from runtime.tests.json_server import JsonHandler
from tests.cluster.plane import Object, Plane, listed
from tests.operators import operators
from tests.operators.fleets import BASE, STAND_IN, render

LEAST = 4
CPU = {"type": "Utilization", "averageUtilization": 70}
SCALED = {
    "minReplicas": LEAST,
    "maxReplicas": 8,
    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": CPU}}],
}
FIXED = {"minReplicas": LEAST}
ON_RUNS = {"minReplicas": LEAST, "maxReplicas": 8}
"""KEDA scales on runs in flight, of which it is told nothing here: the least stays."""
ANSWERS = {"fine": "0.01", "failing": "0.2", "quiet": None, "idle": "NaN"}
"""What Prometheus says of the share of failed requests, by agent."""


class Prometheus(JsonHandler):
    """Answers whatever is asked about the pods of an agent with its number."""

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(parse_qs(asked)["query"][0])

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        self._answer(parse_qs(urlsplit(self.path).query)["query"][0])

    def _answer(self, query: str) -> None:
        asked = (value for name, value in ANSWERS.items() if f'pod=~"{name}-' in query)
        value = next(asked, None)
        result = [] if value is None else [{"metric": {}, "value": [1, value]}]
        found = {"resultType": "vector", "result": result}
        self.write(200, {"status": "success", "data": found})


@pytest.fixture(scope="module")
def prometheus() -> Iterator[str]:
    """Where Prometheus answers, as specs name it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Prometheus) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://{STAND_IN}:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def stepping(plane: Plane) -> Plane:
    """The control plane with the controller of Argo Rollouts."""
    operators.start_argo_rollouts(plane)
    return plane


class Agents:
    """Agents in a namespace of their own, each rendered and applied whenever its spec changes."""

    def __init__(self, plane: Plane, folder: Any, space: str, prometheus: str) -> None:
        self.plane, self.folder, self.space, self.prometheus = plane, folder, space, prometheus
        self.count = 0

    def apply(self, names: tuple[str, ...], prompt: str, **spec: Any) -> list[Object]:
        """Apply what is rendered of agents with a prompt; return the objects."""
        made = self.made(names, prompt, **spec)
        self.put(made)
        return made

    def deliver(self, name: str, prompt: str, **spec: Any) -> None:
        """Apply what is rendered as Helm and Flux do, the Rollout last, and once the controller knows of the others."""
        made = self.made((name,), prompt, **spec)
        self.put([item for item in made if item["kind"] != "Rollout"])
        if self.plane.get("rollouts", "-n", self.space):
            self.until(lambda: self.has_heard(name), "the controller knows of the Deployment")
        self.put([item for item in made if item["kind"] == "Rollout"])

    def put(self, items: list[Object]) -> None:
        """Apply objects, if there are any."""
        if items:
            self.plane.apply("--force-conflicts", "-f", "-", text=listed(items))

    def made(self, names: tuple[str, ...], prompt: str, **spec: Any) -> list[Object]:
        """Return what is rendered of agents with a prompt."""
        self.count += 1
        agents = {name: {**BASE, "systemPrompt": prompt, **spec} for name in names}
        return render(
            self.folder / str(self.count),
            agents,
            self.space,
            capabilities=["argo-rollouts", "keda", "prometheus-operator"],
            monitoring={"prometheusUrl": self.prometheus},
        )

    def pods(self, name: str) -> list[Object]:
        """Return the pods that are not going away."""
        found = self.plane.get("pods", "-n", self.space, "-l", f"app={name}")
        return [item for item in found if "deletionTimestamp" not in item["metadata"]]

    def ready(self, name: str) -> int:
        """Return how many pods are ready, whoever made them."""
        return sum(
            any(row["type"] == "Ready" and row["status"] == "True" for row in conditions)
            for item in self.pods(name)
            for conditions in [item["status"].get("conditions", ())]
        )

    def shares(self, name: str) -> list[int]:
        """Return the numbers of pods by the configuration that they mount, of the older one first."""
        maps = self.plane.get(
            "configmaps", "-n", self.space, "-l", f"app.kubernetes.io/instance={name}"
        )
        order = sorted(maps, key=lambda item: item["metadata"]["creationTimestamp"])
        found = Counter(
            volume["configMap"]["name"]
            for item in self.pods(name)
            for volume in item["spec"]["volumes"]
            if "configMap" in volume
        )
        return [found[item["metadata"]["name"]] for item in order]

    def rollout(self, name: str) -> Object:
        """Return the Rollout."""
        (found,) = self.plane.get("rollout", name, "-n", self.space)
        return found

    def phase(self, name: str) -> str:
        """Return the phase of the Rollout, as soon as the controller has seen its Deployment as it is."""
        found = self.rollout(name)
        status, generation = found.get("status", {}), str(found["metadata"]["generation"])
        seen = status.get("observedGeneration") == generation and self.has_heard(name)
        return str(status.get("phase")) if seen else ""

    def has_heard(self, name: str) -> bool:
        """Whether the controller has seen the Deployment as it is."""
        status = self.rollout(name).get("status", {})
        (deployment,) = self.plane.get("deployment", name, "-n", self.space)
        return status.get("workloadObservedGeneration") == str(deployment["metadata"]["generation"])

    def say(self, name: str, **status: Any) -> None:
        """Do what the plugin of kubectl does to promote and to abort."""
        body = json.dumps({"status": status})
        self.plane.do(
            *("patch", "rollout", name, "-n", self.space, "--subresource=status"),
            *("--type=merge", "-p", body),
        )

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait until something is so."""
        self.plane.until(is_so, what, 120)


@pytest.fixture
def agents(stepping: Plane, prometheus: str, tmp_path, request) -> Iterator[Agents]:
    """Agents in a namespace of a test's own."""
    space = "steps-" + "".join(char for char in request.node.name[-12:] if char.isalnum()).lower()
    yield Agents(stepping, tmp_path, space, prometheus)
    stepping.do("delete", "rollouts", "--all", "-n", space)
    stepping.without_namespace(space)


BY_HAND = {"canary": {"steps": [{"weight": 25}]}}


def test_pods_are_replaced_step_by_step_and_each_keeps_its_own_prompt(agents):
    def is_so(shares: list[int], phase: str) -> Callable[[], bool]:
        return lambda: agents.shares("helper") == shares and agents.phase("helper") == phase

    spec = {"scaling": FIXED, "delivery": BY_HAND}
    agents.apply(("helper",), "A", **spec)
    agents.until(is_so([4], "Healthy"), "four old pods")
    (deployment,) = agents.plane.get("deployment", "helper", "-n", agents.space)
    assert deployment["spec"]["replicas"] == 0

    made = agents.apply(("helper",), "B", **spec)
    agents.until(is_so([3, 1], "Paused"), "a quarter of new pods")

    old = next(
        item
        for item in agents.pods("helper")
        if item["metadata"]["labels"]["rollouts-pod-template-hash"]
        == agents.rollout("helper")["status"]["stableRS"]
    )
    agents.plane.do("delete", "pod", old["metadata"]["name"], "-n", agents.space)
    agents.until(is_so([3, 1], "Paused"), "an old pod in place of the old one")

    for count, shares in ((8, [6, 2]), (4, [3, 1])):
        agents.plane.do("scale", "rollout/helper", f"--replicas={count}", "-n", agents.space)
        agents.until(is_so(shares, "Paused"), f"{shares} of {count}")

    agents.plane.apply("--force-conflicts", "-f", "-", text=listed(made))
    done = agents.plane.run(
        "diff", "--server-side", "--field-manager=fleetform", "-f", "-", text=listed(made)
    )
    assert done.returncode == 0, done.stdout

    agents.say("helper", abort=True)
    agents.until(is_so([4, 0], "Degraded"), "the old pods after it is aborted")
    agents.apply(("helper",), "A", **spec)
    agents.until(is_so([4, 0], "Healthy"), "the old pods after Git has the old spec")

    agents.apply(("helper",), "B", **spec)
    agents.until(is_so([3, 1], "Paused"), "a quarter of new pods again")
    agents.say("helper", pauseConditions=None)
    agents.until(is_so([0, 4], "Healthy"), "new pods alone after it is promoted")


def test_an_analysis_promotes_aborts_or_leaves_it_to_a_person(agents):
    judged = {"canary": {"steps": [{"weight": 25, "pause": "1s"}], "analysis": {}}}
    spec = {"scaling": FIXED, "delivery": judged}
    names = tuple(ANSWERS)
    agents.apply(names, "A", **spec)
    agents.until(lambda: all(agents.phase(name) == "Healthy" for name in names), "old pods")
    agents.apply(names, "B", **spec)
    wanted = {
        "fine": ([0, 4], "Healthy"),
        "failing": ([4, 0], "Degraded"),
        "quiet": ([3, 1], "Paused"),
        "idle": ([3, 1], "Paused"),
    }
    for name, (shares, phase) in wanted.items():
        agents.until(
            lambda name=name, shares=shares, phase=phase: (
                agents.phase(name) == phase
                and agents.shares(name) == shares
                and (phase != "Paused" or _is_inconclusive(agents.rollout(name)))
            ),
            f"{name}: {shares}, {phase}",
        )


def _is_inconclusive(rollout: Object) -> bool:
    reasons = {row["reason"] for row in rollout["status"].get("pauseConditions", ())}
    return reasons == {"InconclusiveAnalysisRun"}


@pytest.mark.parametrize("scaling", [FIXED, SCALED, ON_RUNS], ids=["fixed", "scaled", "keda"])
def test_on_the_way_in_and_out_there_are_never_fewer_pods(agents, scaling):
    """Though each release has another prompt, and the Deployment reaches the cluster before the Rollout."""
    fewest = [LEAST]

    def watched(is_so: Callable[[], bool]) -> Callable[[], bool]:
        def look() -> bool:
            fewest.append(agents.ready("helper"))
            return is_so()

        return look

    def has(kind: str, count: int) -> Callable[[], bool]:
        def look() -> bool:
            (found,) = agents.plane.get(kind, "helper", "-n", agents.space)
            ready = found.get("status", {}).get("readyReplicas", 0)
            return ready == count == found["spec"].get("replicas", 1)

        return look

    def release(prompt: str, **delivery: Any) -> None:
        agents.deliver("helper", prompt, scaling=scaling, **delivery)

    def canary(**moving: str) -> Any:
        return {"canary": {**BY_HAND["canary"], **moving}}

    def is_alone() -> bool:
        return has("deployment", 0)() and agents.phase("helper") == "Paused"

    release("A")
    agents.until(has("deployment", LEAST), "a Deployment")
    release("B", delivery=canary(moving="in"))
    agents.until(watched(has("rollout", LEAST)), "a Rollout beside it")
    agents.until(watched(has("deployment", LEAST)), "the Deployment's own change")
    release("C", delivery=canary())
    agents.until(watched(is_alone), "the Rollout alone, at its first step")
    assert agents.shares("helper") == [0, 3, 1]
    agents.say("helper", pauseConditions=None)
    agents.until(watched(lambda: agents.shares("helper") == [0, 0, LEAST]), "all promoted")
    release("C", delivery=canary(moving="out"))
    agents.until(watched(has("deployment", LEAST)), "the Deployment beside it")
    release("C")
    agents.plane.do("delete", "rollout", "helper", "-n", agents.space)
    for _ in range(10):
        fewest.append(agents.ready("helper"))
    agents.until(watched(lambda: len(agents.pods("helper")) == LEAST), "the Deployment alone")
    assert has("deployment", LEAST)()
    assert min(fewest) == LEAST
