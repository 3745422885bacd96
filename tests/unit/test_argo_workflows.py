"""Workflows for Argo Workflows: what is rendered, what waits for what, and what runs where."""

import json
import random

import pytest

from fleetform.plan.order import needs, ordered
from tests.fleet import fleetform, read_yaml, write
from tests.unit.test_workflows import AGENTS as AGENTS_ALONE
from tests.unit.test_workflows import ENVIRONMENT, PLACED, RUN, SCHEDULE, STORE, WORKFLOW, of

AGENTS = AGENTS_ALONE + STORE

ARGO = ENVIRONMENT.replace("[prometheus-operator]", "[argo-workflows]") + (
    "  targets: [manifests, argo-workflows]\n"
)
HOOK = """  errorHandling:
    onWorkflowFailure: notify
    notificationChannel: {type: slack, webhook: {secretRef: {name: hook, key: url}}}
"""


def rendered(folder, text, environment=ARGO, *options):
    files = {"agents/a.yaml": text, "environments/prod.yaml": environment}
    outcome = fleetform("render", *options, cwd=write(folder, files))
    assert outcome.code == 0, outcome.err
    return {
        target: [
            item
            for file in sorted((folder / target).rglob("*.yaml"))
            for item in read_yaml(file.read_text())
            if "metadata" in item
        ]
        for target in ("argo-workflows", "rendered")
    }


def template(objects, name):
    found = of(objects, "WorkflowTemplate")["spec"]["templates"]
    (one,) = [item for item in found if item["name"] == name]
    return one


def test_each_step_is_a_pod_that_is_told_what_it_needs(tmp_path):
    objects = rendered(tmp_path, WORKFLOW + SCHEDULE + AGENTS + RUN)["argo-workflows"]
    spec = of(objects, "WorkflowTemplate")["spec"]
    assert spec["arguments"]["parameters"] == [{"name": "topic", "value": "AI"}]
    assert spec["activeDeadlineSeconds"] == 3600
    tasks = {task["name"]: task for task in template(objects, "run")["dag"]["tasks"]}
    assert {name: task.get("dependencies") for name, task in tasks.items()} == {
        "read": None, "write": ["read"], "result": ["write"],
    }  # fmt: skip
    result = template(objects, "result")
    (given,) = result["inputs"]["artifacts"]
    text = given["raw"]["data"].replace("{{workflow.parameters.json}}", "[]")
    text = text.replace("{{inputs.parameters.read_x}}", "{}")
    assert json.loads(text) == {"input": [], "steps": {"read": {"x": {}}}}
    assert tasks["result"]["arguments"]["parameters"] == [
        {"name": "read_x", "value": "{{tasks.read.outputs.parameters.x}}"}
    ]
    main = template(objects, "read")["container"]
    assert main["args"][:5] == ["call", "--config", "/etc/fleetform/workflow.json", "--step", "read"]  # fmt: skip
    assert main["args"][main["args"].index("--id") + 1] == "{{workflow.uid}}"
    assert main["securityContext"]["readOnlyRootFilesystem"] is True
    added = json.loads(spec["podSpecPatch"])
    assert {item["name"]: item["securityContext"]["capabilities"] for kind in added.values() for item in kind} == {
        "wait": {"drop": ["ALL"]}, "init": {"drop": ["ALL"]},
    }  # fmt: skip
    assert template(objects, "read")["outputs"]["parameters"] == [
        {"name": "x", "valueFrom": {"path": "/tmp/out/x"}}
    ]
    cron = of(objects, "CronWorkflow")
    assert cron["spec"]["schedules"] == ["0 6 * * 1"]
    assert (cron["spec"]["timezone"], cron["spec"]["concurrencyPolicy"]) == ("Europe/Berlin", "Allow")  # fmt: skip
    assert cron["spec"]["workflowSpec"]["workflowTemplateRef"] == {"name": "report"}
    assert of(objects, "Workflow")["spec"]["arguments"]["parameters"] == [
        {"name": "topic", "value": "now"}
    ]


def test_pods_may_call_the_agents_and_say_how_they_ended_and_nothing_else(tmp_path):
    both = rendered(tmp_path, WORKFLOW + AGENTS)
    objects = both["argo-workflows"]
    spec = of(objects, "WorkflowTemplate")["spec"]
    (policy,) = [item for item in objects if item["kind"] == "NetworkPolicy"]
    chosen = policy["spec"]["podSelector"]["matchLabels"]
    assert chosen.items() <= spec["podMetadata"]["labels"].items()
    (reader,) = [
        item
        for item in both["rendered"]
        if item["kind"] == "NetworkPolicy" and item["metadata"]["name"] == "reader"
    ]
    callers = [peer["podSelector"]["matchLabels"] for rule in reader["spec"]["ingress"] for peer in rule["from"]]  # fmt: skip
    assert chosen in callers
    assert of(objects, "Role")["rules"] == [
        {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
    ]  # fmt: skip
    assert of(objects, "RoleBinding")["subjects"][0]["name"] == spec["serviceAccountName"]
    (key,) = [item["configMapKeyRef"] for item in spec["synchronization"]["semaphores"]]
    assert of(objects, "ConfigMap", key["name"])["data"] == {key["key"]: "1"}


def test_nothing_runs_twice(tmp_path):
    both = rendered(tmp_path, WORKFLOW + SCHEDULE + AGENTS + RUN)
    assert {"Job", "CronJob"}.isdisjoint(item["kind"] for item in both["rendered"])
    names = {item["metadata"]["name"] for item in both["rendered"]}
    assert not {name for name in names if "report" in name or "first" in name}
    # Whatever a single run renders, the environment decides.
    alone = rendered(tmp_path / "alone", WORKFLOW + SCHEDULE + AGENTS + RUN, ARGO, "--target", "manifests")  # fmt: skip
    assert alone["rendered"] == both["rendered"]
    files = {"agents/a.yaml": WORKFLOW + SCHEDULE + AGENTS, "environments/prod.yaml": ENVIRONMENT}
    outcome = fleetform("render", "--target", "argo-workflows", cwd=write(tmp_path / "other", files))  # fmt: skip
    assert outcome.code == 1
    assert "they would run twice" in outcome.err


def test_a_failed_run_is_told_of_by_a_pod_of_its_own(tmp_path):
    text = WORKFLOW.partition("  errorHandling")[0] + HOOK
    objects = rendered(tmp_path, text + AGENTS)["argo-workflows"]
    spec = of(objects, "WorkflowTemplate")["spec"]
    ((step,),) = template(objects, spec["onExit"])["steps"]
    assert step["when"] == "{{workflow.status}} != Succeeded"
    assert "--notify" in template(objects, step["template"])["container"]["args"]


def test_steps_with_the_names_of_our_own_templates_keep_them(tmp_path):
    text = WORKFLOW.replace("name: read,", "name: run,").replace("[read]", "[run]")
    text = text.replace(".steps.read", ".steps.run").replace("name: write,", "name: result,")
    objects = rendered(tmp_path, text + AGENTS)["argo-workflows"]
    names = [item["name"] for item in of(objects, "WorkflowTemplate")["spec"]["templates"]]
    assert names == ["run-", "run", "result", "result-"]


def steps_of(seed):
    """Return steps at random, none of which waits for itself."""
    chance = random.Random(seed)
    names = [f"s{number}" for number in range(chance.randint(1, 8))]
    return [
        {
            "name": name,
            "parallel": chance.random() < 0.6,
            "dependsOn": chance.sample(names[:place], chance.randint(0, min(place, 3))),
        }
        for place, name in enumerate(names)
    ]


@pytest.mark.parametrize("seed", range(200))
def test_steps_that_run_alone_do_and_nothing_is_said_twice(seed):
    steps = steps_of(seed)
    random.Random(seed + 1).shuffle(steps)
    direct = ordered(steps)
    behind = {}
    for name in direct:
        behind[name] = {*direct[name]}.union(*(behind[other] for other in direct[name]))
    for step in steps:
        name = step["name"]
        assert {*step["dependsOn"]} <= behind[name]
        for other in steps:
            if other is not step and not step["parallel"]:
                assert other["name"] in behind[name] or name in behind[other["name"]]
        for other in direct[name]:
            assert not any(other in behind[third] for third in direct[name])


def test_outputs_are_found_wherever_they_are_referred_to():
    value = {"a": ["{{ .steps.x.output.y.z }} and {{.steps.x-1.output.y_2}}", 1], "b": "{{ .input.x }}"}  # fmt: skip
    assert needs(value) == [("x", "y"), ("x-1", "y_2")]
    assert needs([]) == []


def test_pods_of_steps_are_placed_as_the_workflow_says(tmp_path):
    environment = f"{ARGO}  priorityClasses: [low]\n"
    found = rendered(tmp_path, WORKFLOW + PLACED + AGENTS, environment)["argo-workflows"]
    spec = of(found, "WorkflowTemplate")["spec"]
    assert (spec["nodeSelector"], spec["podPriorityClassName"]) == ({"pool": "batch"}, "low")
    assert spec["tolerations"] == [{"key": "batch", "value": "yes", "effect": "NoSchedule"}]
    assert spec["podMetadata"]["annotations"]["sidecar.istio.io/inject"] == "false"
    names = {
        item["name"]
        for one in spec["templates"]
        if "container" in one
        for item in one["container"]["env"]
    }
    assert {"HTTPS_PROXY", "TOKEN"} <= names


SOURCE = "  gitops: {{tool: {}, source: {{url: https://git.example.com/a}}}}\n"


def delivered(folder, tool, kind):
    environment = ARGO.replace(
        "manifests, argo-workflows]", f"manifests, argo-workflows, {tool}]"
    ) + SOURCE.format(tool)
    files = {"agents/a.yaml": WORKFLOW + AGENTS + RUN, "environments/prod.yaml": environment}
    outcome = fleetform("render", cwd=write(folder, files))
    assert outcome.code == 0, outcome.err
    file = {"flux": "kustomizations.yaml", "argocd": "applications.yaml"}[tool]
    found = read_yaml((folder / tool / "prod" / file).read_text())
    return {item["metadata"]["name"]: item for item in found if item["kind"] == kind}


def test_flux_applies_workflows_after_their_agents(tmp_path):
    found = delivered(tmp_path, "flux", "Kustomization")
    own = found["prod.default.workflows"]["spec"]
    assert own["dependsOn"] == [{"name": "prod.default"}]
    assert (tmp_path / own["path"] / "report.yaml").exists()
    assert found["prod.default"]["spec"]["path"] == "./rendered/prod/default"


def test_argo_cd_applies_workflows_after_their_agents(tmp_path):
    found = delivered(tmp_path, "argocd", "Application")
    waves = {
        name: item["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]
        for name, item in found.items()
    }
    assert waves["prod.default.workflows"] == "1" > waves["prod.default"]
    assert (
        tmp_path / found["prod.default.workflows"]["spec"]["source"]["path"] / "report.yaml"
    ).exists()


def test_where_our_own_engine_executes_workflows_nothing_else_applies_them(tmp_path):
    environment = ENVIRONMENT + "  targets: [manifests, flux]\n" + SOURCE.format("flux")
    files = {"agents/a.yaml": WORKFLOW + AGENTS + RUN, "environments/prod.yaml": environment}
    assert fleetform("render", cwd=write(tmp_path, files)).code == 0
    assert ".workflows" not in (tmp_path / "flux/prod/kustomizations.yaml").read_text()
