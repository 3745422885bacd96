"""Parts of runs that another engine executes: a step, the result, the notice, each a process of its own."""

import json
import signal
import subprocess

import pytest

from runtime.tests.flows import DEFINITION, Flow, none_outlives_its_test
from runtime.tests.process import COMMAND
from runtime.tests.servers import PATIENCE
from runtime.tests.test_workflows import Hook, requests_of, writer

__all__ = ["none_outlives_its_test", "writer"]

pytestmark = pytest.mark.proof
TOPIC = [{"name": "topic", "value": "AI"}]


class Calls:
    """The parts of one run, as pods perform them."""

    def __init__(self, folder, agent, **changes):
        self.folder = folder
        self.flow = Flow(folder, agent, memory={"type": "in-memory"}, **changes)

    def words(self, *part, name="r1", given=None):
        file = self.folder / "given.json"
        file.write_text(json.dumps({"input": TOPIC} | (given or {})))
        return [
            *COMMAND, "call", "--config", str(self.flow.config), "--run", name, "--id", f"uid-{name}",
            "--input", str(file), "--out", str(self.folder / "out"), *part,
        ]  # fmt: skip

    def made(self, *part, **more):
        return subprocess.run(
            self.words(*part, **more), capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    def kept(self, name):
        return json.loads((self.folder / "out" / name).read_text())


def test_steps_one_by_one_make_the_result_that_a_run_makes(writer, tmp_path):
    calls = Calls(tmp_path / "calls", writer.url)
    steps = {}
    for step in DEFINITION["steps"]:
        done = calls.made("--step", step["name"], given={"steps": steps})
        assert done.returncode == 0, done.stderr
        steps[step["name"]] = {item["name"]: calls.kept(item["name"]) for item in step["output"]}
    done = calls.made("--result", given={"steps": steps})
    assert done.returncode == 0, done.stderr
    made = {name: calls.kept(name) for name in DEFINITION["output"]}
    run = Flow(tmp_path / "flow", writer.url).run("r1")
    assert made == json.loads(run.stdout)["status"]["output"]


def test_a_step_that_is_started_again_asks_nobody_again(writer, tmp_path):
    calls = Calls(tmp_path / "calls", writer.url)
    assert calls.made("--step", "research").returncode == 0
    first = calls.kept("data")
    assert calls.made("--step", "research").returncode == 0
    assert (calls.kept("data"), requests_of(writer)) == (first, 1)
    assert calls.made("--step", "research", name="r2").returncode == 0
    assert requests_of(writer) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_pod_that_is_ended_leaves_the_answer_to_the_next_one(writer, tmp_path, number):
    steps = [DEFINITION["steps"][0] | {"input": {"ask": "wait 4"}}]
    definition = {"input": DEFINITION["input"], "steps": steps}
    calls = Calls(tmp_path / "calls", writer.url, definition=definition)
    with subprocess.Popen(calls.words("--step", "research"), stderr=subprocess.PIPE) as pod:
        # Once when it begins, and once when the agent has a task of it.
        seen = 0
        while seen < 2:
            line = pod.stderr.readline()
            assert line, "it ended"
            seen += b"step research: Running" in line
        pod.send_signal(number)
        pod.communicate()
    assert pod.returncode == (75 if number == signal.SIGTERM else -number)
    assert calls.made("--step", "research").returncode == 0
    assert requests_of(writer) == 1


@pytest.mark.parametrize(
    ("part", "given", "code", "said"),
    [
        (("--step", "reserch"), {}, 2, "there is no step reserch: the workflow has research"),
        (("--step", "research"), {"input": []}, 2, "the input topic is missing"),
        (("--step", "research"), {"input": "AI"}, 2, "input: it must be an object, or a list"),
        (("--step", "research"), {"steps": [1]}, 2, "steps: it must be an object of objects"),
        (("--step", "report"), {}, 1, "skipped: it needs the output of mood, trends"),
        (("--result",), {}, 1, "OutputMissing: output: there is no .steps.report.output.text"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, part, given, code, said):
    calls = Calls(tmp_path / "calls", "http://127.0.0.1:9")
    done = calls.made(*part, given=given)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert said in done.stderr


def test_a_failed_run_is_told_of_once_it_is_over(tmp_path):
    with Hook() as hook:
        (tmp_path / "url").write_text(f"http://127.0.0.1:{hook.server_address[1]}/secret-path")
        calls = Calls(
            tmp_path / "calls",
            "http://127.0.0.1:9",
            definition=DEFINITION | {"notify": True},
            notification={"type": "slack", "url": {"file": str(tmp_path / "url")}},
        )
        failures = [{"displayName": "research(1)", "message": "a secret answer"}]
        done = calls.made("--notify", "Failed", given={"failures": json.dumps(failures)})
        assert (done.returncode, len(hook.heard)) == (0, 3), done.stderr
        assert "run `r1`, StepFailed. failed: research" in hook.heard[-1]["text"]
        assert "secret" not in json.dumps(hook.heard)
        assert calls.made("--notify", "Succeeded").returncode == 0
        assert len(hook.heard) == 3


def test_nothing_within_outputs_is_filled_in_by_others(writer, tmp_path):
    hostile = "{{{workflow.parameters.x}} {{=1+1}} $(HOME) {{"
    steps = [DEFINITION["steps"][0] | {"input": {"ask": "{{ .input.topic }}"}, "output": [{"name": "all", "path": ".result"}]}]  # fmt: skip
    definition = {"input": DEFINITION["input"], "steps": steps, "output": {}}
    calls = Calls(tmp_path / "calls", writer.url, definition=definition)
    given = {"input": [{"name": "topic", "value": hostile}]}
    assert calls.made("--step", "research", given=given).returncode == 0
    text = (tmp_path / "calls/out/all").read_text()
    assert "{{" not in text
    assert "$(" not in text
    assert hostile in str(json.loads(text))


def test_what_the_engine_could_not_keep_is_refused(writer, tmp_path):
    steps = [DEFINITION["steps"][0] | {"input": {"ask": "x" * 110_000}, "output": [{"name": "all", "path": ".result"}]}]  # fmt: skip
    definition = {"input": DEFINITION["input"], "steps": steps, "output": {}}
    calls = Calls(tmp_path / "calls", writer.url, definition=definition)
    done = calls.made("--step", "research")
    assert done.returncode == 1
    assert "of which the engine keeps 102400 at most" in done.stderr
    assert not (tmp_path / "calls/out").exists()
