"""Workflows with real agents: from the command line and over HTTP, through crashes of everything that takes part."""

import json
import signal
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runtime.tests.flows import DEFINITION, Flow, killing
from runtime.tests.killed_workflow import POINTS
from runtime.tests.process import Runtime
from runtime.tests.servers import PATIENCE
from runtime.tests.stores import memory

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
