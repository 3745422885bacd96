"""Argo Workflows: what executes each workflow, a pod of the generic runtime per step, and what those pods need.

Outputs go from step to step as JSON in which nothing can be filled in (`fleetform-runtime call` writes them so), within
one document per step.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from math import ceil
from typing import Any

from fleetform import canonical, contract, targets
from fleetform.files import File, Folders, Verbatim, generated
from fleetform.names import fit
from fleetform.plan.model import Begun, Flow
from fleetform.plan.order import needs, ordered
from fleetform.plan.workflows import CONFIG
from fleetform.platforms.kubernetes.build import Build
from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects import Unit, pod, workload_objects
from fleetform.platforms.kubernetes.objects.manifest import (
    Manifest,
    data,
    labels,
    manifest,
    workload_object,
)
from fleetform.platforms.kubernetes.targets.manifests import kustomizations, path

API = "argoproj.io/v1alpha1"
KINDS = tuple((API, kind) for kind in ("CronWorkflow", "Workflow", "WorkflowTemplate"))
"""What only this target has; `plan` looks for those that are no longer rendered."""
PLACED = {
    "nodeSelector": "nodeSelector",
    "tolerations": "tolerations",
    "affinity": "affinity",
    "priorityClassName": "podPriorityClassName",
}
"""Where pods go: fields of a pod, and what they are called for all pods of a Workflow."""
GIVEN, OUT = "/given/run.json", "/tmp/out"  # noqa: S108 - the pod's own
LIMIT = "limit"
"""Key of the semaphore."""
CRASHES = {
    "limit": 10,
    "retryPolicy": "Always",
    "expression": 'lastRetry.status == "Error" || asInt(lastRetry.exitCode) in [75, 137, 143]',
    "backoff": {"duration": "5s", "factor": 2, "cap": "60s"},
}
"""Pods that were lost, or left a step to the next one. Failures of the agent are tried again within the pod."""
CONTEXT = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
ADDED = {
    "initContainers": [{"name": "init", "securityContext": CONTEXT}],
    "containers": [{"name": "wait", "securityContext": CONTEXT}],
}
"""The containers that Argo Workflows adds to each pod, of which Pod Security `restricted` takes none as they are made."""
POLICIES = {"queue": "Allow", "reject": "Forbid", "replace": "Replace"}


def folders(build: Build) -> Folders:
    """Return `argo-workflows/ENV`: a file per workflow."""
    found: dict[str, File | Verbatim] = {
        path(unit): File(generated(unit.source), [*unit.objects]) for unit in units(build)
    }
    if build.plan.kustomization and found:
        found |= kustomizations([*found])
    return {targets.folder(targets.ARGO, build.plan.environment): found}


def units(build: Build) -> Iterator[Unit]:
    """Yield the objects of each workflow that is left to Argo Workflows."""
    for plan in build.plan.flows:
        yield Unit(plan.namespace, plan.name, plan.source, tuple(objects(plan)))


def objects(plan: WorkloadPlan) -> Iterator[Manifest]:
    """Yield the objects of a workflow, in apply order."""
    flow = plan.flow
    assert flow is not None
    yield from workload_objects(plan)
    if flow.policy == "queue":
        yield workload_object(plan, "v1", "ConfigMap", _semaphore(plan), data={LIMIT: str(flow.most)})  # fmt: skip
    spec = _spec(plan, flow)
    notes = {**plan.annotations, **plan.verbatim}
    yield workload_object(plan, API, "WorkflowTemplate", annotations=notes, spec=spec)
    if flow.schedule is not None:
        yield _cron(plan, flow, flow.schedule)
    for run in flow.runs:
        own = {**labels(plan), **run.labels}
        notes = {**run.annotations, **plan.verbatim}
        yield manifest(API, "Workflow", run.name, plan.namespace, own, notes, spec=_begun(plan, flow, run))  # fmt: skip


def _semaphore(plan: WorkloadPlan) -> str:
    return fit(plan.name, "-runs", 253)


# -- the template ----------------------------------------------------------------------------------


def _spec(plan: WorkloadPlan, flow: Flow) -> dict[str, Any]:
    """Return the workflow itself, with what all of its pods share."""
    steps = flow.definition["steps"]
    template = pod.template(plan)
    within = template["spec"]
    entry, result, notify, ending = _names(steps, "run", "result", "notify", "ending")
    body: dict[str, Any] = {
        "entrypoint": entry,
        "arguments": {"parameters": [_parameter(item) for item in flow.definition.get("input", ())]},
        "activeDeadlineSeconds": ceil(flow.definition["timeoutSeconds"]),
        "serviceAccountName": within["serviceAccountName"],
        "automountServiceAccountToken": within["automountServiceAccountToken"],
        "podMetadata": template["metadata"],
        "securityContext": within["securityContext"],
        **({"imagePullSecrets": within["imagePullSecrets"]} if "imagePullSecrets" in within else {}),
        "podSpecPatch": canonical.dumps(ADDED),
        "volumes": within["volumes"],
        **{name: within[field] for field, name in PLACED.items() if field in within},
    }  # fmt: skip
    if not body["arguments"]["parameters"]:
        del body["arguments"]
    if flow.policy == "queue":
        key = {"name": _semaphore(plan), "key": LIMIT}
        body["synchronization"] = {"semaphores": [{"configMapKeyRef": key}]}
    if flow.definition.get("notify"):
        body["onExit"] = ending
    templates = [_dag(flow, entry, result), *(_step(plan, flow, step) for step in steps)]
    if flow.definition.get("output"):
        templates.append(_result(plan, flow, result))
    if flow.definition.get("notify"):
        unless = {"name": notify, "template": notify, "when": "{{workflow.status}} != Succeeded"}
        templates += [{"name": ending, "steps": [[unless]]}, _notice(plan, notify)]
    return {**body, "templates": templates}


def _names(steps: Iterable[Mapping[str, Any]], *wanted: str) -> Iterator[str]:
    """Yield names of further templates, none of which is a step's."""
    taken = {step["name"] for step in steps}
    for name in wanted:
        while name in taken:
            name += "-"  # noqa: PLW2901 - no step's name ends so
        yield name


def _parameter(item: Mapping[str, Any]) -> dict[str, Any]:
    found = {"name": item["name"]}
    if "description" in item and "{{" not in item["description"]:  # it would be filled in
        found["description"] = item["description"]
    if "default" in item:
        found["value"] = text(item["default"])
    if "enum" in item:
        found["enum"] = [text(value) for value in item["enum"]]
    return found


def text(value: Any) -> str:
    """Return an input as a parameter has it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else canonical.dumps(value)


def _dag(flow: Flow, name: str, result: str) -> dict[str, Any]:
    steps = flow.definition["steps"]
    before = ordered(steps)
    goes_on = flow.definition.get("onStepFailure") == "continue"
    tasks = [_task(step["name"], before[step["name"]], needs(step.get("input", {})), goes_on=goes_on) for step in steps]  # fmt: skip
    found: dict[str, Any] = {"name": name, "dag": {"tasks": tasks}}
    output = flow.definition.get("output")
    if output:
        inner = {other for names in before.values() for other in names}
        last = [step["name"] for step in steps if step["name"] not in inner]
        tasks.append(_task(result, last, needs(output)))
        found["outputs"] = {
            "parameters": [
                {"name": key, "valueFrom": {"parameter": _of_task(result, key)}} for key in output
            ]
        }
    return found


def _task(
    name: str, before: list[str], used: list[tuple[str, str]], *, goes_on: bool = False
) -> dict[str, Any]:
    task: dict[str, Any] = {"name": name, "template": name}
    if before:
        task["dependencies"] = before
    if used:
        given = [{"name": f"{step}_{key}", "value": _of_task(step, key)} for step, key in used]
        task["arguments"] = {"parameters": given}
    if goes_on:
        task["continueOn"] = {"failed": True, "error": True}
    return task


def _of_task(step: str, key: str) -> str:
    return f"{{{{tasks.{step}.outputs.parameters.{key}}}}}"


# -- pods ------------------------------------------------------------------------------------------


def _step(plan: WorkloadPlan, flow: Flow, step: Mapping[str, Any]) -> dict[str, Any]:
    kept = [item["name"] for item in step.get("output", ())]
    used = needs(step.get("input", {}))
    return _called(plan, step["name"], ("--step", step["name"]), used, kept, flow)


def _result(plan: WorkloadPlan, flow: Flow, name: str) -> dict[str, Any]:
    output = flow.definition["output"]
    return _called(plan, name, ("--result",), needs(output), [*output], flow)


def _called(
    plan: WorkloadPlan,
    name: str,
    part: tuple[str, ...],
    used: list[tuple[str, str]],
    kept: list[str],
    flow: Flow,
) -> dict[str, Any]:
    """Return the template of a step: what it gets as a document, what it is, what it puts out."""
    given: dict[str, Any] = {}
    if used:
        given["parameters"] = [{"name": f"{step}_{key}"} for step, key in used]
    given["artifacts"] = [_artifact(_document(used, inputs=bool(flow.definition.get("input"))))]
    found = {"name": name, "inputs": given, "container": _container(plan, part)}
    if kept:
        outputs = [{"name": key, "valueFrom": {"path": f"{OUT}/{key}"}} for key in kept]
        found["outputs"] = {"parameters": outputs}
    return {**found, "retryStrategy": data(CRASHES)}


def _notice(plan: WorkloadPlan, name: str) -> dict[str, Any]:
    document = '{"failures": {{workflow.failures}}}\n'
    return {
        "name": name,
        "inputs": {"artifacts": [_artifact(document)]},
        "container": _container(plan, ("--notify", "{{workflow.status}}")),
        "retryStrategy": data(CRASHES),
    }


def _artifact(document: str) -> dict[str, Any]:
    return {"name": "given", "path": GIVEN, "raw": {"data": document}}


def _document(used: list[tuple[str, str]], *, inputs: bool) -> str:
    """Return what a step is told of its run: JSON, once Argo Workflows has filled it in.

    A space stands between braces that mean something and those of JSON.
    """
    parts = ['"input": {{workflow.parameters.json}}'] if inputs else []
    by_step: dict[str, list[str]] = {}
    for step, key in used:
        value = f"{{{{inputs.parameters.{step}_{key}}}}}"
        by_step.setdefault(step, []).append(f"{json.dumps(key)}: {value}")
    if by_step:
        steps = (f"{json.dumps(step)}: {{ {', '.join(keys)} }}" for step, keys in by_step.items())
        parts.append(f'"steps": {{ {", ".join(steps)} }}')
    return f"{{ {', '.join(parts)} }}\n"


def _container(plan: WorkloadPlan, part: tuple[str, ...]) -> dict[str, Any]:
    """Return the main container of a pod, which calls an agent and ends."""
    main = dict(pod.template(plan)["spec"]["containers"][0])
    del main["name"]
    words = [
        "call", "--config", f"{contract.FOLDER}/{CONFIG}", *part,
        "--run", "{{workflow.name}}", "--id", "{{workflow.uid}}", "--input", GIVEN, "--out", OUT,
    ]  # fmt: skip
    return {
        key: value
        for name, item in main.items()
        for key, value in (
            (("command", item), ("args", words)) if name == "command" else ((name, item),)
        )
    }


# -- what begins it --------------------------------------------------------------------------------


def _begun(plan: WorkloadPlan, flow: Flow, run: Begun) -> dict[str, Any]:
    known = [item["name"] for item in flow.definition.get("input", ())]
    given = [{"name": name, "value": text(run.input[name])} for name in known if name in run.input]
    return {
        **({"arguments": {"parameters": given}} if given else {}),
        "workflowTemplateRef": {"name": plan.name},
    }


def _cron(plan: WorkloadPlan, flow: Flow, run: Begun) -> Manifest:
    spec = {
        "schedules": [plan.schedule],
        "timezone": plan.time_zone,
        "concurrencyPolicy": POLICIES[flow.policy],
        "workflowMetadata": {"labels": dict(sorted(labels(plan).items()))},
        "workflowSpec": _begun(plan, flow, run),
    }
    return workload_object(plan, API, "CronWorkflow", run.name, plan.verbatim, spec=spec)
