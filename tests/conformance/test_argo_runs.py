"""What is rendered for Argo Workflows, executed: its own substitution, `call` in processes, agents that run."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.tests.process import Runtime
from runtime.tests.servers import PATIENCE
from tests.fleet import fleetform, read_yaml, write
from tests.tools import run
from tests.unit.test_argo_workflows import ARGO
from tests.unit.test_workflows import AGENTS, STORE, WORKFLOW, of

pytestmark = pytest.mark.proof

FLOW = (
    WORKFLOW.partition("  steps:")[0]
    + """  steps:
    - {name: read, agent: reader, input: {topic: "{{ .input.topic }}"}, output: [{name: all, path: .result}]}
    - {name: left, agent: writer, parallel: true, dependsOn: [read], input: {x: "{{ .steps.read.output.all }}"}, output: [{name: kept, path: .result}]}
    - {name: right, agent: writer, parallel: true, dependsOn: [read], input: {x: "b {{ .steps.read.output.all }}"}, output: [{name: kept, path: .result}]}
    - {name: write, agent: writer, dependsOn: [left, right], input: {a: "{{ .steps.left.output.kept }}", b: "{{ .steps.right.output.kept }}"}, output: [{name: z, path: .result.text}]}
  output: {whole: {text: "{{ .steps.write.output.z }}"}, of: "{{ .input.topic }}"}
"""
)


class Engine:
    """Does what a controller does: tasks when those before them are over, their arguments, pods, outputs."""

    def __init__(self, folder: Path, agent: str) -> None:
        self.folder = folder
        files = {"agents/a.yaml": FLOW + AGENTS + STORE, "environments/prod.yaml": ARGO}
        outcome = fleetform("render", cwd=write(folder, files))
        assert outcome.code == 0, outcome.err
        (self.file,) = (folder / "argo-workflows").rglob("report.yaml")
        objects = read_yaml(self.file.read_text())
        self.spec = of(objects, "WorkflowTemplate")["spec"]
        self.templates = {item["name"]: item for item in self.spec["templates"]}
        document = json.loads(of(objects, "ConfigMap", "report-config")["data"]["workflow.json"])
        document["agents"] = [{"name": one["name"], "url": f"{agent}/a2a"} for one in document["agents"]]  # fmt: skip
        self.config = folder / "workflow.json"
        self.config.write_text(json.dumps(document))
        self.outputs: dict[str, str] = {}

    def run(self, topic: str) -> dict[str, object]:
        entry = self.templates[self.spec["entrypoint"]]
        left, over = entry["dag"]["tasks"], set()
        parameters = [{"name": "topic", "value": topic}]
        while left:
            task = next(one for one in left if {*one.get("dependencies", ())} <= over)
            self.pod(task, parameters)
            left = [one for one in left if one is not task]
            over.add(task["name"])
        kept = entry["outputs"]["parameters"]
        return {one["name"]: json.loads(self.at(one["valueFrom"]["parameter"])) for one in kept}

    def at(self, hole: str) -> str:
        return self.outputs[hole.strip("{}").removeprefix("tasks.")]

    def pod(self, task: dict, parameters: list) -> None:
        template = self.templates[task["template"]]
        given = task.get("arguments", {}).get("parameters", ())
        told = {
            "parameters": {one["name"]: self.at(one["value"]) for one in given},
            "global": {"workflow.parameters.json": json.dumps(parameters), "workflow.name": "r1", "workflow.uid": "u1"},
        }  # fmt: skip
        filled = run("argo", "-fill", self.file, task["template"], text=json.dumps(told))
        assert filled.returncode == 0, filled.stdout
        file, out = self.folder / "given.json", self.folder / "out" / task["name"]
        file.write_text(filled.stdout)
        (artifact,) = template["inputs"]["artifacts"]
        places = {
            "/etc/fleetform/workflow.json": str(self.config),
            artifact["path"]: str(file),
            "/tmp/out": str(out),
            "{{workflow.name}}": "r1",
            "{{workflow.uid}}": "u1",
        }
        words = [places.get(word, word) for word in template["container"]["args"]]
        done = subprocess.run(
            [sys.executable, "-m", "fleetform_runtime", *words],
            capture_output=True, text=True, check=False, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        for one in template.get("outputs", {}).get("parameters", ()):
            path = out / Path(one["valueFrom"]["path"]).name
            self.outputs[f"{task['name']}.outputs.parameters.{one['name']}"] = path.read_text()


@pytest.mark.parametrize("topic", ["AI", 'a "quoted" \\ text\nof {{two}} lines $(HOME)'])
def test_the_result_is_that_of_our_own_engine(tmp_path, topic):
    kept = {"type": "filesystem", "path": str(tmp_path / "agent/sessions")}
    agent = Runtime(tmp_path / "agent", "--model", "scripted", memory=kept).start()
    try:
        engine = Engine(tmp_path / "argo", agent.url)
        found = engine.run(topic)
        words = ["workflow", "run", "--config", str(engine.config), "--name", "r1", "--format", "json"]  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "fleetform_runtime", *words, "--input", f"topic={topic}"],
            capture_output=True, text=True, check=False, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert found == json.loads(done.stdout)["status"]["output"]
        assert found["of"] == topic
    finally:
        agent.signal(signal.SIGKILL)
        agent.wait()
