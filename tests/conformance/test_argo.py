"""Argo Workflows' own validator takes what is rendered for it; what it refuses, our rules refuse before."""

import json
import random

import pytest

from fleetform_runtime.workflows.call import text_of
from tests.conformance import apiserver, rendered
from tests.fleet import fleetform, write
from tests.tools import ROOT, run, tool
from tests.unit.test_argo_workflows import ARGO, HOOK, steps_of
from tests.unit.test_workflows import AGENTS, RUN, SCHEDULE, STORE, WORKFLOW

pytestmark = pytest.mark.proof

WEST = """apiVersion: fleetform.dev/v1alpha1
kind: Environment
metadata: {name: %s-argo}
spec:
  extends: %s
  capabilities: [external-secrets, gateway-api, keda, prometheus-operator, cert-manager, agent-sandbox, argo-workflows]
  targets: [manifests, argo-workflows]
"""


@pytest.fixture(scope="session")
def definitions(tmp_path_factory):
    """The CRDs of Argo Workflows, whole, as JSON."""
    folder = tmp_path_factory.mktemp("argo-crds")
    for text in tool("argo").with_name("crds.yaml").read_text("utf-8").split("\n---\n"):
        done = run("yaml2json", text=text)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        (folder / f"{document['metadata']['name']}.json").write_text(done.stdout)
    assert len([*folder.iterdir()]) == 3
    return folder


def judged(folder, text, *, refused=False):
    """Render a workflow; return what Argo Workflows says of it, empty if it takes it."""
    files = {"agents/a.yaml": text, "environments/prod.yaml": ARGO}
    outcome = fleetform("render", cwd=write(folder, files))
    assert outcome.code == refused, outcome.err
    return outcome.err if refused else verdict(folder / "argo-workflows")


def verdict(root):
    files = [path for path in sorted(root.rglob("*.yaml")) if path.name != "kustomization.yaml"]
    assert files
    return run("argo", *files).stdout


@pytest.mark.parametrize("name", rendered.ENVIRONMENTS)
def test_it_takes_the_example_in_every_environment(tmp_path, name):
    for path in (ROOT / "environments").iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "argo.yaml").write_text(WEST % (name, name))
    words = ("--agents", str(ROOT / "agents"), "--environments", str(tmp_path), "--out", str(tmp_path / "out"))  # fmt: skip
    outcome = fleetform("render", "--env", f"{name}-argo", *words, cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    assert verdict(tmp_path / "out/argo-workflows") == ""


@pytest.mark.parametrize("more", ["", SCHEDULE, HOOK, SCHEDULE + HOOK, "  concurrency: {policy: reject}\n" + SCHEDULE])  # fmt: skip
def test_it_takes_every_variant(tmp_path, more):
    text = WORKFLOW.partition("  errorHandling")[0] if HOOK in more else WORKFLOW
    runs = "" if "reject" in more else RUN
    assert judged(tmp_path, text + more + AGENTS + STORE + runs) == ""


def of(seed):
    """Return a workflow at random, whose steps need each other's outputs."""
    chance = random.Random(seed)
    steps = steps_of(seed)
    lines = []
    for step in steps:
        needed = {
            other: f"a {{{{ .steps.{other}.output.all.more }}}}" for other in step["dependsOn"]
        }
        given = ", ".join(f'{name}: "{text}"' for name, text in needed.items())
        outputs = "[{name: all, path: .result}, {name: b_2, path: .result.b}]"
        lines.append(
            f"    - {{name: {step['name']}, agent: {chance.choice(['reader', 'writer'])}, "
            f"parallel: {str(step['parallel']).lower()}, dependsOn: [{', '.join(step['dependsOn'])}], "
            f"input: {{{given}}}, output: {outputs}, retries: {chance.randint(0, 2)}}}\n"
        )
    last = steps[-1]["name"]
    output = f'  output: {{whole: {{part: ["{{{{ .steps.{last}.output.b_2 }}}}"]}}, other: "{{{{ .input.size }}}}"}}\n'
    inputs = "  input: [{name: size, type: object, default: {a: [1]}}, {name: many, type: integer, enum: [1, 2], default: 1}]\n"
    head = WORKFLOW.partition("  input:")[0]
    return f"{head}{inputs}  steps:\n{''.join(lines)}{output}"


@pytest.mark.parametrize("seed", range(30))
def test_it_takes_workflows_at_random(tmp_path, seed):
    assert judged(tmp_path, of(seed) + AGENTS + STORE) == ""


def test_an_api_server_takes_what_is_rendered_as_it_is(tmp_path, definitions):
    """Nothing is refused, warned of, dropped, or completed by the definitions."""
    texts = [path.read_text() for path in sorted((ROOT / "tests/golden/argo-workflows/delivered/argo-workflows").rglob("report.yaml"))]  # fmt: skip
    for seed in range(5):
        assert judged(tmp_path / str(seed), of(seed) + AGENTS + STORE) == ""
        texts += [path.read_text() for path in (tmp_path / str(seed) / "argo-workflows").rglob("report.yaml")]  # fmt: skip
    for text in texts:
        verdicts = apiserver.judge(text, definitions)
        assert {"WorkflowTemplate", "ServiceAccount", "Role"} <= {item.kind for item in verdicts}
        assert apiserver.complaints(verdicts) == []
    wrong = texts[0].replace('- "0 6 * * 1"', '- "0 6 * * mon"')
    assert wrong != texts[0]
    assert any("schedules" in line for line in apiserver.complaints(apiserver.judge(wrong, definitions)))  # fmt: skip


HOSTILE = (
    "{{workflow.parameters.json}}", "{{=1+1}}", "{{{{", "{{inputs.parameters.read_x", "}}", "$(HOME)", "\\\\{{x}}",
    "\"}, \"input\": {{", "\u2028\x00\n\t\\", "한국어", {"{{a}}": ["{{", {"b": {"c": {}}}]}, [[], {}, None, 1.5, True], "",
)  # fmt: skip
"""What agents may answer to get something filled in."""


@pytest.mark.parametrize("value", HOSTILE, ids=repr)
def test_a_step_reads_what_the_one_before_put_out(tmp_path, value):
    """The controller's own substitution, and what `call` writes and reads."""
    assert judged(tmp_path, WORKFLOW + AGENTS + STORE) == ""
    (file,) = (tmp_path / "argo-workflows").rglob("report.yaml")
    parameters = [{"name": "topic", "value": 'a "topic"\n'}]
    told = {
        "parameters": {"read_x": text_of(value).decode()},
        "global": {"workflow.parameters.json": json.dumps(parameters), "workflow.name": "r", "workflow.uid": "u"},
    }  # fmt: skip
    done = run("argo", "-fill", file, "result", text=json.dumps(told))
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout) == {"input": parameters, "steps": {"read": {"x": value}}}


@pytest.mark.parametrize(
    ("old", "new", "ours", "rendered", "changed", "theirs"),
    [
        ("dependsOn: [read]", "dependsOn: [raed]", "there is no step `raed`", "- read\n", "- raed\n", "invalid dependency raed"),
        (".steps.read.output.x", ".steps.read.output.y", "no output `y`", "tasks.read.outputs.parameters.x", "tasks.read.outputs.parameters.y", "failed to resolve"),
        ("name: topic,", "name: the.topic,", "is no name of a parameter", "name: topic", "name: the.topic", "must consist of"),
        ("timeout: 2m", "timout: 2m", "unknown field `timout`", "activeDeadlineSeconds", "activeDeadlineSecond", "unknown field"),
    ],
)  # fmt: skip
def test_what_is_wrong_fails_there_and_here(tmp_path, old, new, ours, rendered, changed, theirs):
    text = WORKFLOW + AGENTS + STORE
    assert old in text
    assert ours in judged(tmp_path / "ours", text.replace(old, new), refused=True)
    assert judged(tmp_path / "theirs", text) == ""
    (file,) = (tmp_path / "theirs/argo-workflows").rglob("report.yaml")
    good = file.read_text()
    assert rendered in good
    file.write_text(good.replace(rendered, changed))
    assert theirs in verdict(tmp_path / "theirs/argo-workflows")
