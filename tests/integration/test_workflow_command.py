"""`fleetform workflow`: the agents and a run of a workflow on this machine, and its API anywhere."""

import json
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from fleetform.cli.trust import is_local
from runtime.tests.flows import Flow, none_outlives_its_test
from runtime.tests.process import Runtime
from runtime.tests.servers import PATIENCE
from tests.fleet import AGENT, API, ENVIRONMENT, write
from tests.ports import free_port

__all__ = ["none_outlives_its_test"]
COMMAND = [sys.executable, "-c", "from fleetform.cli import main; main()", "workflow"]

FLOW = f"""---
{API}
kind: Workflow
metadata: {{name: greetings}}
spec:
  input:
    - {{name: guest, type: string, required: true}}
    - {{name: count, type: integer, default: 1}}
  steps:
    - {{name: greet, agent: helper, input: {{guest: "{{{{ .input.guest }}}}"}}, output: [{{name: words, path: .result.words}}]}}
    - {{name: after, agent: helper, dependsOn: [greet], input: {{do: "{{{{ .steps.greet.output.words }}}}"}}}}
  output: {{greeting: "{{{{ .steps.greet.output.words }}}}", count: "{{{{ .input.count }}}}"}}
  errorHandling:
    onWorkflowFailure: notify
    notificationChannel: {{type: slack, webhook: {{secretRef: {{name: hook, key: url}}}}}}
"""


@pytest.fixture
def fleet(tmp_path):
    return write(tmp_path, {"agents/a.yaml": AGENT + FLOW, "environments/prod.yaml": ENVIRONMENT})


def called(folder, *words):
    return subprocess.run(
        [*COMMAND, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def test_one_command_starts_the_agents_and_carries_a_run_to_its_end(fleet):
    words = ("run", "greetings", "--model", "scripted", "--input", "guest=Kim", "--name", "first")
    done = called(fleet, *words, "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"]["phase"] == "Succeeded"
    assert found["status"]["output"]["count"] == 1
    assert "Kim" in found["status"]["output"]["greeting"]
    assert "the webhook is not told" in done.stderr
    again = called(fleet, *words, "--format", "json")
    assert json.loads(again.stdout) == found
    assert called(fleet, "get", "greetings").stdout.split() == ["Succeeded", "first"]
    assert (
        json.loads(called(fleet, "get", "greetings", "first", "--format", "json").stdout) == found
    )
    lines = called(fleet, "logs", "greetings", "first").stdout.splitlines()
    assert lines[-1].split() == ["run", "Succeeded"]
    assert len(lines) == len({*lines})
    assert "only a failed one" in called(fleet, "retry", "greetings", "first").stderr


def test_a_workflow_is_served_with_its_agents_and_its_page_until_it_is_told_to_stop(fleet):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    words = ["serve", "greetings", "--model", "scripted", "--port", str(port)]
    process = subprocess.Popen(
        [*COMMAND, *words], cwd=fleet, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"{url}/health/ready", timeout=PATIENCE).close()
                break
            except OSError:
                time.sleep(0.05)
        with urllib.request.urlopen(f"{url}/", timeout=PATIENCE) as page:
            assert page.headers["Content-Type"].startswith("text/html")
        done = called(fleet, "run", url, "--input", "guest=Kim", "--name", "first")
        assert done.returncode == 0, done.stderr
        taken = called(fleet, *words)
        assert (taken.returncode, "choose another one with --port" in taken.stderr) == (1, True)
    finally:
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, printed
    assert f"its page: {url}/" in printed
    assert "Traceback" not in printed
    # What it has begun is there for the other commands, which know the workflow by its name.
    assert called(fleet, "get", "greetings").stdout.split() == ["Succeeded", "first"]


def test_of_several_agents_each_note_says_which_it_is_of(fleet):
    path = fleet / "agents/a.yaml"
    text = path.read_text().replace("endpoint:", "apiKeySecretRef: {name: k, key: k}, endpoint:")
    path.write_text(text)
    done = called(fleet, "run", "greetings", "--model", "scripted", "--input", "guest=Kim")
    assert done.returncode == 0, done.stderr
    assert "note: helper: secret k/k: a placeholder" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["greetings"], 2, "the input guest is missing"),
        (["greetings", "--input", "guest=Kim", "--input", "count=many"], 2, "write JSON"),
        (["greetings", "--input", "guest"], 2, "name=value"),
        (["greetings", "--input", "guest=Kim", "--name", "../x"], 2, "is no name of a run"),
        (["greetings", "--input", "guest=Kim", "--name", "a" * 64], 2, "is no name of a run"),
        (["greetings", "--input", "guest=Kim", "--name", ""], 2, "is no name of a run"),
        (["nowhere"], 1, "did you mean"),
        (["greeting"], 1, "did you mean `greetings`"),
        (["http://127.0.0.1:9", "--input", "guest=Kim"], 1, "does not answer"),
    ],
)
def test_what_is_wrong_is_told_without_a_traceback(fleet, words, code, told):
    done = called(fleet, "run", *words, "--model", "scripted")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert told in done.stderr or "workflows: `greetings`" in done.stderr


@pytest.mark.proof
def test_a_run_in_a_cluster_is_begun_looked_at_ended_and_repeated(tmp_path):
    kept = {"type": "filesystem", "path": str(tmp_path / "agent/sessions")}
    agent = Runtime(tmp_path / "agent", "--model", "scripted", memory=kept).start()
    flow = Flow(tmp_path / "flow", agent.url).start()
    assert is_local(flow.url)
    try:
        done = called(tmp_path, "run", flow.url, "--input", "topic=AI", "--name", "one")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1].split() == ["Succeeded", "run", "one"]
        assert called(tmp_path, "get", flow.url).stdout.split() == ["Succeeded", "one"]
        assert called(tmp_path, "cancel", flow.url, "one").returncode == 1
        failed = called(tmp_path, "run", flow.url, "--input", "topic=fail refused", "--name", "two")
        assert failed.returncode in (0, 1)
        assert called(tmp_path, "logs", flow.url, "two").returncode == 0
        assert "no such run" in called(tmp_path, "get", flow.url, "nowhere").stderr
    finally:
        flow.stop()
        agent.signal()
        agent.process.wait()
