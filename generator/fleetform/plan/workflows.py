"""Workflows: pods that serve an API and execute runs, and jobs for single runs and for a schedule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fleetform import canonical, contract, kinds, view
from fleetform.durations import seconds
from fleetform.plan import containers, settings, tools, traffic
from fleetform.plan.draft import Draft
from fleetform.plan.model import JOB_NAME, Begun, FieldRef, Files, Flow, Shape, Variable
from fleetform.plan.present import present, secret_of
from fleetform.plan.stores import STORES, tls
from fleetform.resolve import flows, hosts
from fleetform.resolve.ports import Port

if TYPE_CHECKING:
    from fleetform.models.workflow import Step, WorkflowSpec
    from fleetform.models.workload import Workload
    from fleetform.problems import Problem
    from fleetform.resolve import Fleet, Resolved
    from fleetform.resolve.catalog import Key
    from fleetform.resolve.references import Uses
    from fleetform.tree import TreePath

COMPONENT = "workflow"
RUN_COMPONENT = "workflow-run"
RUN_LABEL = "workflow-run"
"""Label of a run's pods, by which people find its log."""
CONFIG, INPUT = "workflow.json", "input.json"
PLACED = ("annotations", "node_selector", "tolerations", "affinity", "priority_class_name")
"""What a workflow says of its pods; the rest of a pod's template is not its to say."""
FAILED = (1, 2)
"""Exit codes of a run that has failed, or cannot be begun: another pod would find the same."""
STATUS = "/dev/termination-log"
PROGRAM = "/opt/runtime/bin/fleetform-runtime"
"""The image's own entry point, for an engine that puts a program of its own before it."""
RIGHTS: dict[str, Any] = {
    "scope": "namespace",
    "rules": [
        {
            "apiGroups": ["argoproj.io"],
            "resources": ["workflowtaskresults"],
            "verbs": ["create", "patch"],
        }
    ],
}
"""What Argo Workflows' executor needs beside each step: to say how it ended, and what it has put out."""


def drafts(fleet: Fleet, uses: dict[Key, Uses], problems: list[Problem]) -> Iterator[Draft]:
    """Yield the plans of everything that workflows of a fleet need."""
    if flows.by_argo(fleet):
        for workflow in fleet.of(kinds.WORKFLOW):
            yield _steps(fleet, workflow, problems)
        return
    for workflow in fleet.of(kinds.WORKFLOW):
        kept = flows.kept(fleet, workflow, uses, problems)
        if workflow.spec.serve is not None:
            yield _service(fleet, workflow, kept, problems)
        schedule = workflow.spec.schedule
        if schedule is not None:
            draft = _job(fleet, workflow, workflow.called(flows.schedule_of(workflow.name)), kept, problems)  # fmt: skip
            draft.shape = Shape.SCHEDULED
            draft.schedule, draft.time_zone = schedule.cron, schedule.time_zone
            draft.env = (*draft.env, Variable(flows.RUN, FieldRef(JOB_NAME)))
            _begun(draft, (), dict(schedule.input))
            yield draft
    for run in fleet.of(kinds.WORKFLOW_RUN):
        found = flows.workflow_of(fleet, run)
        if found is not None:
            kept = flows.kept(fleet, found, uses, [])
            draft = _job(fleet, found, run, kept, problems)
            _begun(draft, ("--name", run.name), dict(run.spec.input))
            yield draft


def settings_of(fleet: Fleet, workflow: Resolved[WorkflowSpec]) -> dict[str, Any]:
    """Return the configuration of a workflow whose runs are kept elsewhere than in the cluster."""
    return _settings(fleet, workflow, None)


def _service(
    fleet: Fleet, workflow: Resolved[WorkflowSpec], kept: flows.Kept | None, problems: list[Problem]
) -> Draft:
    serve = workflow.spec.serve
    assert serve is not None
    scaling = {"minReplicas": serve.replicas, "maxReplicas": serve.replicas}
    draft = _draft(fleet, workflow, workflow, COMPONENT, kept, problems, scaling=scaling)
    draft.ports = (
        Port("http", contract.HTTP_PORT, contract.HTTP_PORT, "TCP", "http"),
        Port("metrics", contract.METRICS_PORT, contract.METRICS_PORT, "TCP", "http"),
    )
    draft.args = ("workflow", "serve", "--config", _config())
    if serve.ui:
        assert draft.files is not None
        assert draft.files.settings is not None
        draft.files.settings["server"]["ui"] = True
    draft.checks = containers.checks(draft.workload.health_check, contract.PROBES, "http")
    draft.probe = contract.PROBE
    return draft


def _job(
    fleet: Fleet,
    workflow: Resolved[WorkflowSpec],
    resolved: Resolved[Any],
    kept: flows.Kept | None,
    problems: list[Problem],
) -> Draft:
    draft = _draft(fleet, workflow, resolved, RUN_COMPONENT, kept, problems)
    draft.shape = Shape.JOB
    draft.fail_on = FAILED
    return draft


def _steps(fleet: Fleet, workflow: Resolved[WorkflowSpec], problems: list[Problem]) -> Draft:
    """Return what the pods of all steps have in common, which the engine begins one by one."""
    spec, schedule = workflow.spec, workflow.spec.schedule
    draft = _draft(fleet, workflow, workflow, COMPONENT, None, problems, rbac=RIGHTS)
    draft.shape, draft.command = Shape.STEPS, (PROGRAM,)
    assert draft.files is not None
    assert draft.files.settings is not None
    begun = workflow.called(flows.schedule_of(workflow.name))
    draft.flow = Flow(
        definition=draft.files.settings["definition"],
        most=spec.concurrency.max_concurrent,
        policy=spec.concurrency.policy,
        runs=tuple(_run(fleet, run, run.spec.input) for run in flows.runs_of(fleet, workflow)),
        schedule=_run(fleet, begun, schedule.input) if schedule else None,
    )
    if schedule is not None:
        draft.schedule, draft.time_zone = schedule.cron, schedule.time_zone
    return draft


def _run(fleet: Fleet, resolved: Resolved[Any], given: Mapping[str, Any]) -> Begun:
    metadata = resolved.typed.metadata
    labels = {**fleet.labels(resolved.namespace), **metadata.labels}
    return Begun(resolved.name, dict(given), labels, dict(metadata.annotations))


def _begun(draft: Draft, name: tuple[str, ...], given: dict[str, Any]) -> None:
    """Let a job carry out one run; without a name its variable has one."""
    files = draft.files
    assert files is not None
    words = ("workflow", "run", "--config", _config(), *name, "--status-file", STATUS)
    if given:
        words = (*words, "--input-file", f"{contract.FOLDER}/{INPUT}")
        draft.files = files._replace(texts={INPUT: canonical.dumps(given) + "\n"})
    draft.args = words


def _draft(
    fleet: Fleet,
    workflow: Resolved[WorkflowSpec],
    resolved: Resolved[Any],
    component: str,
    kept: flows.Kept | None,
    problems: list[Problem],
    **more: Any,
) -> Draft:
    draft = Draft(resolved, _workload(workflow.spec, resolved, component, more), component)
    runtime = view.make("Agent", "Image", {"repository": fleet.environment.images.runtime})
    draft.image = containers.image(fleet, resolved, runtime, ("spec",), problems)
    draft.drain = settings.DRAIN
    draft.env = tuple(containers.env(workflow.spec.env))
    draft.files = Files(contract.FOLDER, {}, _settings(fleet, workflow, kept), CONFIG)
    agents = flows.agents_of(fleet, workflow)
    for number, step in enumerate(workflow.spec.steps):
        if step.agent in agents:
            place: TreePath = ("spec", "steps", number, "agent")
            owner = workflow if resolved.kind == "Workflow" else resolved
            traffic.step(draft, agents[step.agent], owner, place)
    traffic.common(fleet, draft, problems)
    problems += traffic.workflow(fleet, draft, workflow, kept)
    return draft


def _workload(
    spec: WorkflowSpec, resolved: Resolved[Any], component: str, more: dict[str, Any]
) -> Workload:
    """Return what executes runs as a workload, with nothing but what a workflow says of it."""
    empty: Any = view.make("Agent", "AgentSpec", more)
    labels = {RUN_LABEL: resolved.name} if component == RUN_COMPONENT else {}
    given = {name: getattr(spec.pod_template, name) for name in PLACED}
    template = view.replace(empty.pod_template, labels=labels, **given)
    seen = view.replace(empty.observability, tracing=spec.observability.tracing)
    whole: Workload = view.replace(
        empty, env=spec.env, pod_template=template, resources=spec.resources, observability=seen
    )
    return whole


def _config() -> str:
    return f"{contract.FOLDER}/{CONFIG}"


# -- workflow.json -----------------------------------------------------------------------------------


def _settings(
    fleet: Fleet, workflow: Resolved[WorkflowSpec], kept: flows.Kept | None
) -> dict[str, Any]:
    """Return the configuration of a workflow as data: only explicit decisions, none of the runtime's own defaults."""
    spec, agents = workflow.spec, flows.agents_of(fleet, workflow)
    handling, channel = spec.error_handling, spec.error_handling.notification_channel
    tells = handling.on_workflow_failure == "notify" and channel is not None
    names = flows.entries(workflow)
    entries = {names[step.name]: _agent(fleet, workflow, step, agents[step.agent], names[step.name])
               for step in spec.steps if step.agent in agents}  # fmt: skip
    return present(
        contract=contract.VERSION,
        workflow=present(
            name=workflow.name,
            namespace=fleet.target_namespace(workflow.namespace),
            displayName=spec.display_name,
            description=spec.description,
        ),
        definition=present(
            input=[tools.parameter(item) for item in spec.input],
            steps=[_step(workflow, step, names[step.name]) for step in spec.steps],
            output=dict(spec.output),
            onStepFailure="continue" if handling.on_step_failure == "continue" else None,
            notify=tells or None,
            timeoutSeconds=seconds(spec.timeout),
        ),
        agents=[entries[name] for name in sorted(entries)],
        notification=present(type=channel.type, url=secret_of(channel.webhook.secret_ref))
        if channel is not None and tells
        else None,
        concurrency=present(
            maxConcurrent=spec.concurrency.max_concurrent,
            policy=None if spec.concurrency.policy == "queue" else spec.concurrency.policy,
        ),
        memory=_memory(fleet, kept),
        auth=settings.auth(spec.serve.auth) if spec.serve else {"type": "none"},
        server={"port": contract.HTTP_PORT, "metricsPort": contract.METRICS_PORT},
        observability=settings.observability(fleet, spec.observability, workflow.namespace),
    )


def _agent(
    fleet: Fleet, workflow: Resolved[WorkflowSpec], step: Step, agent: Resolved[Any], name: str
) -> dict[str, Any]:
    return present(
        name=name,
        url=tools.a2a_url(fleet, agent),
        auth=tools.agent_auth(fleet, workflow, step.authentication, agent),
        onBehalf=tools.names_users(workflow, step.authentication, agent) or None,
        schemas=False if agent.spec.container is not None else None,
    )


def _step(workflow: Resolved[WorkflowSpec], step: Step, entry: str) -> dict[str, Any]:
    handling = workflow.spec.error_handling
    default = handling.max_retries if handling.on_step_failure == "retry" else 0
    return present(
        name=step.name,
        agent=entry,
        dependsOn=list(step.depends_on),
        input=dict(step.input),
        output=[present(name=item.name, path=item.path) for item in step.output],
        timeoutSeconds=seconds(step.timeout) if step.timeout else None,
        retries=(default if step.retries is None else step.retries) or None,
        parallel=step.parallel or None,
    )


def _memory(fleet: Fleet, kept: flows.Kept | None) -> dict[str, Any]:
    if kept is None:
        return {"type": "in-memory"}
    kind = kept.spec.type
    section = getattr(kept.spec, kind)
    host = hosts.written_out(fleet, kept.store.namespace, section.host or "")
    own = present(type=kind, host=host, **STORES[kind].settings(section))
    return {**own, **tls(section.tls)}
