"""Argo Workflows' own controller executes what is rendered for it; what runs in the pods, `executor.py` runs."""

import json
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from runtime.tests.process import COMMAND, Runtime
from runtime.tests.servers import PATIENCE
from tests.cluster.plane import Object, Plane, listed
from tests.fleet import fleetform, read_yaml, write
from tests.operators import operators
from tests.operators.executor import Executor
from tests.tools import ROOT
from tests.unit.test_argo_workflows import ARGO
from tests.unit.test_workflows import AGENTS, SCHEDULE, STORE, WORKFLOW

SPACE, RUN, NAME = "ai-agents", "research-run-001", "research-report-workflow"
FLOWS = """apiVersion: fleetform.dev/v1alpha1
kind: Environment
metadata: {name: flows}
spec:
  extends: prod
  capabilities: [argo-workflows, external-secrets, gateway-api, keda, prometheus-operator]
  targets: [manifests, argo-workflows]
"""
TICKS = "ticks"
EVERY_MINUTE = SCHEDULE.replace("0 6 * * 1", "* * * * *")
AROUND = ("Namespace", "LimitRange", "ResourceQuota")
"""What there is in a namespace before its workflows."""
LIMIT = 5
"""Runs of the example that may go on at once."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example fleet, rendered for Argo Workflows."""
    folder = tmp_path_factory.mktemp("flows")
    for name in ("agents", "environments", "charts"):
        shutil.copytree(ROOT / name, folder / name)
    write(folder, {"environments/flows.yaml": FLOWS})
    done = fleetform("render", "--env", "flows", cwd=folder)
    assert done.code == 0, done.err
    return folder


def found(folder: Path, environment: str, space: str) -> list[Object]:
    """Return what is around the workflows of a namespace, and the workflows, in the order of their files."""
    files = sorted(
        file
        for root in (folder / "rendered" / environment, folder / "argo-workflows" / environment)
        for file in root.rglob("*.yaml")
    )
    items = [
        (file, item)
        for file in files
        for item in read_yaml(file.read_text("utf-8"))
        if "metadata" in item
    ]
    kept = [
        item
        for file, item in items
        if space in (item["metadata"]["name"], item["metadata"].get("namespace"))
        and ("argo-workflows" in file.parts or item["kind"] in AROUND)
    ]
    return sorted(kept, key=lambda item: item["kind"] != "Namespace")


@pytest.fixture(scope="module")
def controlled(plane: Plane) -> Iterator[Plane]:
    """The control plane with the controller of Argo Workflows."""
    operators.start_argo_workflows(plane)
    yield plane
    operators.end_argo_workflows(plane)


@pytest.fixture(scope="module")
def ticking(controlled: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Object]]:
    """A workflow that begins every minute: whoever asks for it late need not wait for the next one."""
    environment = ARGO + f"  namespaces: {{create: true, map: {{default: {TICKS}}}}}\n"
    files = {
        "agents/a.yaml": WORKFLOW + EVERY_MINUTE + AGENTS + STORE,
        "environments/prod.yaml": environment,
    }
    folder = write(tmp_path_factory.mktemp("ticks"), files)
    done = fleetform("render", cwd=folder)
    assert done.code == 0, done.err
    objects = found(folder, "prod", TICKS)
    controlled.apply("-f", "-", text=listed(objects))
    yield objects
    gone(controlled, TICKS)


@pytest.fixture(scope="module")
def objects(controlled: Plane, fleet: Path, ticking: list[Object]) -> Iterator[list[Object]]:
    """The workflow of the example fleet, submitted once, as rendered."""
    del ticking
    made = found(fleet, "flows", SPACE)
    controlled.apply("-f", "-", text=listed(made))
    yield made
    gone(controlled, SPACE)


def gone(plane: Plane, space: str) -> None:
    """Remove a namespace with its workflows, which let go of their pods."""
    plane.do("delete", "cronworkflows,workflows", "--all", "-n", space, "--wait=true")
    plane.do("delete", "namespace", space, "--wait=true")


class Hook(BaseHTTPRequestHandler):
    """A webhook that remembers what it is told."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append(json.loads(body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def hook() -> Iterator[Any]:
    """A webhook; `heard` is what it was told."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        server.heard = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """The runtime with the scripted model, in the place of all agents."""
    folder = tmp_path_factory.mktemp("agent")
    kept = {"type": "filesystem", "path": str(folder / "sessions")}
    with Runtime(folder, "--model", "scripted", memory=kept) as started:
        yield started


@pytest.fixture
def executor(
    controlled: Plane, objects: list[Object], agent: Runtime, hook: Any, tmp_path: Path
) -> Executor:
    """What runs in the pods of the example's workflow, of which there is no run yet."""
    del objects
    # What is left of an earlier run goes after it, and has the names of the next one's.
    for kinds in ("workflows", "pods,workflowtaskresults"):
        controlled.do("delete", kinds, "--all", "-n", SPACE, "--wait=true")
    hook.heard.clear()
    url = f"http://127.0.0.1:{hook.server_port}/services/T0"
    return Executor(controlled, SPACE, tmp_path / "pods", agent.url, url)


def submit(plane: Plane, name: str) -> None:
    """Begin a run of the template, as `argo submit --from` does."""
    given = {"parameters": [{"name": "topic", "value": name}]}
    spec = {"workflowTemplateRef": {"name": NAME}, "arguments": given}
    item = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name, "namespace": SPACE},
        "spec": spec,
    }
    plane.do("create", "-f", "-", text=json.dumps(item))


def asked(agent: Runtime) -> float:
    """Return how often the model was asked."""
    with urllib.request.urlopen(agent.metrics_url, timeout=PATIENCE) as answer:
        lines = answer.read().decode().splitlines()
    counter = "agent_llm_request_duration_seconds_count"
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(counter))


def test_the_example_comes_to_its_end_though_pods_are_lost(
    controlled: Plane, executor: Executor, agent: Runtime, fleet: Path, objects: list[Object]
) -> None:
    """Each step follows those that it waits for, and no agent is asked twice."""
    controlled.apply("-f", "-", text=listed(objects))
    before = asked(agent)
    (first,) = executor.until(RUN, "research(0)")
    executor.begins(first)
    lost = executor.calls(first)
    assert lost.code == 0
    controlled.do("delete", "pod", first["metadata"]["name"], "-n", SPACE)
    (again,) = executor.until(RUN, "research(0)")
    assert again["metadata"]["uid"] != first["metadata"]["uid"]
    assert executor.performs(again) == lost
    trends, sentiment = executor.until(RUN, "analyze-trends(0)", "analyze-sentiment(0)")
    assert executor.performs(sentiment).code == 0
    executor.leaves(trends, 137)
    (trends,) = executor.until(RUN, "analyze-trends(1)")
    assert executor.performs(trends).code == 0
    for step in ("write-report(0)", "review(0)", "result(0)"):
        (pod,) = executor.until(RUN, step)
        assert executor.performs(pod).code == 0
    controlled.until(lambda: executor.phase(RUN) == "Succeeded", "the end of the run", 120)
    assert asked(agent) - before == 5
    kept = executor.run(RUN)["status"]["nodes"][RUN]["outputs"]["parameters"]
    assert {one["name"]: json.loads(one["value"]) for one in kept} == own_engines(executor)

    # Git has it as ever: it is neither changed nor carried out again.
    controlled.apply("-f", "-", text=listed(objects))
    words = ("--env", "flows", "--kubeconfig", str(controlled.kubeconfig), "--format", "json")
    rows = json.loads(fleetform("plan", *words, cwd=fleet).out)
    ours = {(item["kind"], item["metadata"]["name"]) for item in objects}
    assert [row for row in rows if (row["kind"], row["name"]) in ours] == []
    assert executor.phase(RUN) == "Succeeded"
    assert asked(agent) - before == 5 + 5  # five of them by our own engine


def own_engines(executor: Executor) -> Any:
    """Return the output of a run of our own engine, with the same agents and input."""
    config = next(executor.folder.glob("*/workflow.json"))
    words = ["workflow", "run", "--config", str(config), "--name", RUN, "--format", "json"]
    given = ["--input", "topic=2024 AI Trends Analysis", "--input", "depth=deep"]
    done = subprocess.run(
        [*COMMAND, *words, *given], capture_output=True, check=False, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["status"]["output"]


def test_pods_are_the_runtimes_and_meet_pod_security(controlled: Plane, executor: Executor) -> None:
    submit(controlled, "seen")
    (pod,) = executor.until("seen", "research(0)")
    spec, labels = pod["spec"], pod["metadata"]["labels"]
    assert spec["serviceAccountName"] == NAME
    assert labels["app.kubernetes.io/name"] == NAME
    (main,) = [one for one in spec["containers"] if one["name"] == "main"]
    assert main["command"][-1] == "/opt/runtime/bin/fleetform-runtime"
    assert main["args"][0] == "call"
    # The namespace enforces `restricted`, and the controller is as it is installed: it adds two containers.
    (space,) = controlled.get("namespace", SPACE)
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert [one["name"] for one in spec["initContainers"]] == ["init"]
    assert sorted(one["name"] for one in spec["containers"]) == ["main", "wait"]


def test_a_failed_run_is_told_of_and_not_tried_again(
    controlled: Plane, executor: Executor, hook: Any
) -> None:
    submit(controlled, "broken")
    (pod,) = executor.until("broken", "research(0)")
    executor.leaves(pod, 1)
    (notice,) = executor.until("broken", "notify(0)")
    assert executor.performs(notice).code == 0
    controlled.until(lambda: executor.phase("broken") == "Failed", "the end of the run", 120)
    (told,) = hook.heard
    assert "run `broken`" in told["text"]
    assert told["text"].endswith("failed: research")
    nodes = executor.run("broken")["status"]["nodes"].values()
    names = sorted(node["displayName"] for node in nodes if node["type"] == "Pod")
    assert names == ["notify(0)", "research(0)"]


def test_no_more_runs_go_on_than_the_semaphore_says(controlled: Plane, executor: Executor) -> None:
    names = [f"queued-{number}" for number in range(LIMIT + 1)]
    for name in names:
        submit(controlled, name)

    def begun() -> list[str]:
        return [name for name in names if executor.pods(name)]

    def waiting() -> list[str]:
        states = {name: executor.run(name).get("status", {}) for name in names}
        return [
            name
            for name, status in states.items()
            if status.get("synchronization", {}).get("semaphore", {}).get("waiting")
        ]

    controlled.until(lambda: len(begun()) == LIMIT and len(waiting()) == 1, "one waits", 120)
    (last,) = waiting()
    assert last not in begun()
    first = begun()[0]
    executor.leaves(executor.pods(first)["research(0)"], 1)
    (notice,) = executor.until(first, "notify(0)")
    executor.leaves(notice, 0)
    executor.until(last, "research(0)")
    assert executor.phase(first) == "Failed"


def test_a_schedule_begins_runs(controlled: Plane, ticking: list[Object], tmp_path: Path) -> None:
    (cron,) = [item for item in ticking if item["kind"] == "CronWorkflow"]
    executor = Executor(controlled, TICKS, tmp_path / "pods", "http://127.0.0.1:1")

    def begun() -> list[Object]:
        return controlled.get("workflows", "-n", TICKS)

    controlled.until(lambda: bool(begun()), "a run of the schedule", 120)
    run = begun()[0]
    (owner,) = run["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("CronWorkflow", cron["metadata"]["name"])
    assert run["spec"]["workflowTemplateRef"] == {"name": "report"}
    (pod,) = executor.until(run["metadata"]["name"], "read(0)")
    assert '"value": "weekly"' in json.dumps(run["spec"]["arguments"])
    assert pod["spec"]["serviceAccountName"] == "report"
