"""Workflows with real agents: from the command line and over HTTP, through crashes of everything that takes part."""

import json
import signal
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runtime.tests.flows import DEFINITION, Flow, killing, none_outlives_its_test
from runtime.tests.killed_workflow import POINTS
from runtime.tests.process import COMMAND, Runtime
from runtime.tests.servers import PATIENCE, RedisServer
from runtime.tests.stores import memory

__all__ = ["none_outlives_its_test"]

pytestmark = pytest.mark.proof


@pytest.fixture
def writer(tmp_path):
    """An agent of our own, by rules, that keeps its runs on disk."""
    kept = {"type": "filesystem", "path": str(tmp_path / "agent/sessions")}
    agent = Runtime(tmp_path / "agent", "--model", "scripted", memory=kept)
    agent.start()
    yield agent
    agent.signal(signal.SIGKILL)
    agent.process.wait(PATIENCE)


def requests_of(agent):
    """Return how often its model was asked."""
    with urllib.request.urlopen(agent.metrics_url, timeout=PATIENCE) as answer:
        lines = answer.read().decode().splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("agent_llm_request_duration_seconds_count")
    )


def status(done):
    assert done.stdout, done.stderr
    return json.loads(done.stdout)["status"]


@pytest.mark.parametrize("name", ["../x", "A", "a b", "a" * 64])
def test_what_is_no_name_of_a_run_is_refused(writer, tmp_path, name):
    done = Flow(tmp_path / "flow", writer.url).run(name)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is no name of a run: 1 to 63" in done.stderr


def test_a_run_is_carried_to_its_end_and_shown_again_without_a_call(writer, tmp_path):
    flow = Flow(tmp_path / "flow", writer.url)
    done = flow.run("r1")
    assert done.returncode == 0, done.stderr
    found = status(done)
    assert found["phase"] == "Succeeded"
    assert [step["name"] for step in found["steps"]] == ["research", "trends", "mood", "report"]
    assert {step["phase"] for step in found["steps"]} == {"Succeeded"}
    assert all(step["startTime"] <= step["completionTime"] for step in found["steps"])
    assert [one["type"] for one in found["conditions"]] == ["Initialized", "Running", "Succeeded"]
    assert "Perform the step `report`" in found["output"]["report"]
    assert "sources" in found["output"]
    assert found["usage"]["total_tokens"] > 0
    assert requests_of(writer) == 4
    again = flow.run("r1")
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert requests_of(writer) == 4
    other = flow.run("r1", topic="other")
    assert other.returncode == 2
    assert "has other inputs" in other.stderr


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_it_goes_on_and_asks_nobody_twice(writer, tmp_path, point):
    undisturbed = Flow(tmp_path / "calm", writer.url).run("same")
    before = requests_of(writer)
    if point == "during the notice":
        with Hook() as hook:
            told(writer, tmp_path, point, hook)
        return
    flow = Flow(tmp_path / "flow", writer.url)
    killed = flow.run("same", command=killing(point, tmp_path / "armed"))
    assert killed.returncode == -signal.SIGKILL
    done = flow.run("same")
    assert done.returncode == 0, done.stderr
    assert status(done)["output"] == status(undisturbed)["output"]
    assert requests_of(writer) - before == 4
    assert not (tmp_path / "armed").exists()


class Hook(ThreadingHTTPServer):
    """A webhook that fails twice before it takes anything."""

    def __init__(self):
        self.heard = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.heard.append(json.loads(body))
                self.send_response(500 if len(hook.heard) <= 2 else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *given):
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.shutdown()
        self.server_close()


def told(writer, tmp_path, point, hook):
    url = f"http://127.0.0.1:{hook.server_address[1]}/services/T0/secret-path"
    (tmp_path / "url").write_text(url)
    steps = [DEFINITION["steps"][0] | {"input": {"ask": "fail model_refused"}}]
    steps[0]["input"] = {"ask": "fail refused", "secret-input": "{{ .input.topic }}"}
    flow = Flow(
        tmp_path / "flow",
        writer.url,
        definition={"input": DEFINITION["input"], "steps": steps, "notify": True},
        notification={"type": "slack", "url": {"file": str(tmp_path / "url")}},
    )
    killed = flow.run("same", command=killing(point, tmp_path / "armed"))
    assert killed.returncode == -signal.SIGKILL
    done = flow.run("same")
    found = status(done)
    assert (done.returncode, found["phase"], found["notification"]) == (1, "Failed", "told")
    assert len(hook.heard) == 4  # twice refused, then at least once, and here once more
    assert "`same`" in hook.heard[-1]["text"]
    for text in (done.stdout, done.stderr, killed.stderr, json.dumps(hook.heard)):
        assert "secret-path" not in text


def test_an_agent_that_is_killed_under_a_step_is_asked_again_once(writer, tmp_path):
    steps = [DEFINITION["steps"][0] | {"input": {"do": "wait 3"}}]
    flow = Flow(
        tmp_path / "flow", writer.url, definition={**DEFINITION, "steps": steps, "output": {}}
    )
    flow.start()
    assert flow.asked("POST", "/runs", {"name": "r", "input": {"topic": "x"}})[0] == 201
    until = time.monotonic() + PATIENCE
    while not flow.asked("GET", "/runs/r")[1]["status"]["steps"][0].get("taskId"):
        assert time.monotonic() < until
        time.sleep(0.05)
    writer.signal(signal.SIGKILL)
    writer.process.wait(PATIENCE)
    writer.start()
    found = flow.ended("r")["status"]
    assert found["phase"] == "Succeeded", found
    assert found["steps"][0]["restarts"] == 1
    assert found["steps"][0]["attempts"] == 1
    flow.stop()


@pytest.mark.parametrize("backend", ["filesystem", "redis", "postgres"])
def test_over_http_runs_are_begun_followed_ended_and_repeated(writer, request, tmp_path, backend):
    section = memory(backend, request, tmp_path)
    flow = Flow(tmp_path / "flow", writer.url, memory=section).start()
    code, made = flow.asked(
        "POST", "/workflows/report/runs", {"name": "r", "input": {"topic": "AI"}}
    )
    assert (code, made["status"]["phase"]) == (201, "Pending")
    assert flow.asked("POST", "/runs", {"name": "r", "input": {"topic": "AI"}})[0] == 200
    code, problem = flow.asked("POST", "/runs", {"name": "r", "input": {"topic": "other"}})
    assert (code, problem["code"]) == (409, "run_exists")
    for body in (
        {"input": {}},
        {"input": {"topic": 1}},
        {"input": {"topic": "x", "more": 1}},
        {"name": "No!"},
    ):
        assert flow.asked("POST", "/runs", body)[0] == 422
    assert flow.asked("POST", "/workflows/other/runs", {})[0] == 404
    found = flow.ended("r")
    assert found["status"]["phase"] == "Succeeded"
    code, step = flow.asked("GET", "/runs/r/steps/research")
    assert (code, step["output"]["data"]) == (200, {"sources": step["output"]["data"]["sources"]})
    assert flow.asked("GET", "/runs/r/steps/nowhere")[0] == 404
    assert flow.asked("POST", "/runs/r/cancel")[0] == 409
    assert flow.asked("POST", "/runs/r/retry")[0] == 409
    assert [item["name"] for item in flow.asked("GET", "/runs?phase=Succeeded")[1]["items"]] == [
        "r"
    ]
    for query in ("phase=Gone", "limit=0", "limit=x", "cursor=x"):
        assert flow.asked("GET", f"/runs?{query}")[0] == 400
    assert flow.asked("GET", "/runs/nowhere")[0] == 404
    flow.stop()


def test_two_processes_share_the_runs_and_one_that_ends_leaves_its_own(writer, tmp_path):
    first = Flow(tmp_path / "a", writer.url, memory={"type": "filesystem", "path": str(tmp_path / "runs")},
                 concurrency={"maxConcurrent": 4}).start()  # fmt: skip
    second = Flow(tmp_path / "b", writer.url, memory={"type": "filesystem", "path": str(tmp_path / "runs")},
                  concurrency={"maxConcurrent": 4}).start()  # fmt: skip
    for number in range(8):
        assert (
            first.asked("POST", "/runs", {"name": f"r{number}", "input": {"topic": "x"}})[0] == 201
        )
    first.stop(signal.SIGKILL)
    phases = {second.ended(f"r{number}")["status"]["phase"] for number in range(8)}
    assert phases == {"Succeeded"}
    assert requests_of(writer) == 32
    second.stop()


def listed(flow, phase=""):
    """Return the phases of all runs, page by page; nothing if nobody answers."""
    phases, cursor = [], ""
    while True:
        status, found = flow.asked("GET", f"/runs?limit=100&phase={phase}&cursor={cursor}")
        if status != 200:
            return None
        phases += [item["phase"] for item in found["items"]]
        cursor = found.get("cursor", "")
        if not cursor:
            return phases


@pytest.mark.parametrize("backend", ["filesystem", "redis", "postgres"])
def test_four_processes_keep_a_limit_through_a_death_and_a_long_sleep(
    writer, request, tmp_path, backend
):
    """One is killed, one sleeps past its lease and comes back: of 300 runs every one ends once, and the limit holds."""
    section, count, limit = memory(backend, request, tmp_path), 300, 3
    steps = [DEFINITION["steps"][0] | {"output": [], "input": {"do": "wait 0.05"}}]
    changes = {
        "memory": section,
        "concurrency": {"maxConcurrent": limit},
        "definition": {**DEFINITION, "steps": steps, "output": {}},
    }
    flows = [Flow(tmp_path / f"flow{number}", writer.url, **changes) for number in range(4)]
    for flow in flows:
        flow.start()
    for number in range(count):
        body = {"name": f"r{number}", "input": {"topic": str(number)}}
        assert flows[number % 4].asked("POST", "/runs", body)[0] == 201
    flows[0].stop(signal.SIGKILL)
    flows[1].process.send_signal(signal.SIGSTOP)
    most, asleep = 0, time.monotonic() + 4
    while True:
        # Whoever fell asleep while it wrote may have the file, and all others wait.
        running = listed(flows[2], "Running")
        assert running is not None or (backend == "filesystem" and asleep)
        most = max(most, len(running or ()))
        if asleep and time.monotonic() > asleep:
            flows[1].process.send_signal(signal.SIGCONT)
            asleep = 0
        if not asleep and not running and not listed(flows[2], "Pending"):
            break
        time.sleep(0.05)
    assert listed(flows[2]) == ["Succeeded"] * count
    assert 1 <= most <= limit
    assert requests_of(writer) == count
    for flow in flows[1:]:
        flow.stop()


def test_a_store_that_is_away_for_a_while_fails_no_run(writer, tmp_path):
    with RedisServer() as server:
        section = {"type": "redis", "host": "127.0.0.1", "port": server.port}
        steps = [
            step | {"input": {**step["input"], "do": "wait 0.5"}} for step in DEFINITION["steps"]
        ]
        changes = {"memory": section, "definition": {**DEFINITION, "steps": steps}}
        flow = Flow(tmp_path / "flow", writer.url, **changes).start()
        for name in ("a", "b"):
            assert flow.asked("POST", "/runs", {"name": name, "input": {"topic": name}})[0] == 201
        time.sleep(0.3)
        server.kill()
        assert flow.asked("GET", "/runs/a")[0] == 503
        time.sleep(20)
        server.start()
        phases = [flow.ended(name)["status"]["phase"] for name in ("a", "b")]
        assert phases == ["Succeeded", "Succeeded"]
        assert requests_of(writer) == 8
        flow.stop()


def test_a_job_whose_store_is_away_goes_on_when_it_is_started_again(writer, tmp_path):
    with RedisServer() as server:
        section = {"type": "redis", "host": "127.0.0.1", "port": server.port}
        steps = [DEFINITION["steps"][0] | {"output": [], "input": {"do": "wait 2"}}]
        flow = Flow(tmp_path / "flow", writer.url, memory=section, definition={**DEFINITION, "steps": steps, "output": {}})  # fmt: skip
        command = [
            *COMMAND,
            "workflow",
            "run",
            "--config",
            str(flow.config),
            "--name",
            "r",
            "--input",
            "topic=x",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stderr
            while b"step research: Running" not in process.stderr.readline():
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 75
        assert b"goes on when this is started again" in said
        done = flow.run("r", topic="x")
        assert done.returncode == 0, done.stderr
        assert requests_of(writer) == 1
