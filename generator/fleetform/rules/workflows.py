"""Workflows: existing agents, steps in a valid order, and data from earlier steps."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from fleetform import kinds, view
from fleetform.durations import seconds
from fleetform.jsonschemas import jsonschema_rs
from fleetform.problems import Problem, did_you_mean
from fleetform.resolve import Fleet, Resolved, backups, flows
from fleetform.resolve.references import lookup
from fleetform.resolve.searches import taker
from fleetform.rules import expressions, pods, schedules
from fleetform.rules.agents import callers, tracing
from fleetform.rules.graphs import cycles
from fleetform.rules.metadata import RESERVED_NAMES
from fleetform.rules.tools import authentication, fits, lasting, parameters
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.models.tool import Parameter
    from fleetform.models.workflow import WorkflowRunSpec, WorkflowSpec
    from fleetform.rules import AgentUses

EXAMPLES = {
    "string": '"text"',
    "number": "1.5",
    "integer": "5",
    "boolean": "true",
    "array": "[a, b]",
    "object": "{a: b}",
}
"""A value of each JSON type."""
LIMITS = ("pattern", "minLength", "maxLength", "minimum", "maximum", "items", "properties")
"""Rules of an input that a JSON Schema says in the same words."""


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield what is wrong with workflows and their runs."""
    for workflow in fleet.of(kinds.WORKFLOW):
        yield from _workflow(fleet, workflow)
        yield from _schedule(workflow)
        yield from _memory(fleet, workflow, uses)
        yield from _callable(fleet, workflow)
        yield from pods.variables(workflow, ("spec", "env"), workflow.spec.env, (flows.RUN,))
        yield from _times(fleet, workflow)
        yield from _chain(workflow)
        yield from tracing(fleet, workflow)
    for run in fleet.of(kinds.WORKFLOW_RUN):
        yield from _run(fleet, run)
    yield from _names(fleet)


def _workflow(fleet: Fleet, workflow: Resolved[WorkflowSpec]) -> Iterator[Problem]:
    problems: list[Problem] = []
    steps = workflow.spec.steps
    names = [step.name for step in steps]
    for number, step in enumerate(steps):
        path: TreePath = ("spec", "steps", number)
        lookup(fleet, workflow, (*path, "agent"), ("Agent",), step.agent, problems)
        if names.index(step.name) != number:
            problems.append(
                workflow.problem(
                    (*path, "name"),
                    "duplicate-name",
                    f"two steps are named `{step.name}`",
                    hint="rename one",
                )
            )
        for place, name in enumerate(step.depends_on):
            if name not in names:
                problems.append(
                    workflow.problem(
                        (*path, "dependsOn", place),
                        "unknown-step",
                        f"there is no step `{name}`",
                        hint=did_you_mean(name, names, noun="steps"),
                    )
                )
    yield from problems
    yield from parameters(workflow, "input", workflow.spec.input)
    yield from _order(workflow)
    yield from expressions.rules(workflow)
    handling = workflow.spec.error_handling
    if handling.on_workflow_failure == "notify" and handling.notification_channel is None:
        yield workflow.problem(
            ("spec", "errorHandling"),
            "missing-field",
            "`notificationChannel` is missing",
            hint="set it, or remove `onWorkflowFailure: notify`",
            key=True,
        )
    if handling.max_retries and handling.on_step_failure != "retry":
        yield workflow.problem(
            ("spec", "errorHandling", "maxRetries"),
            "not-used",
            f"`maxRetries` has no effect: `onStepFailure` is `{handling.on_step_failure}`",
            hint="set `onStepFailure: retry`",
            severity="warning",
            key=True,
        )


def _schedule(workflow: Resolved[WorkflowSpec]) -> Iterator[Problem]:
    schedule = workflow.spec.schedule
    if schedule is None:
        return
    path: TreePath = ("spec", "schedule")
    yield from schedules.schedule(workflow, (*path, "cron"), schedule.cron)
    yield from schedules.time_zone(workflow, (*path, "timeZone"), schedule.time_zone)
    yield from _inputs(workflow, workflow, (*path, "input"), schedule.input)


def _memory(fleet: Fleet, workflow: Resolved[WorkflowSpec], uses: AgentUses) -> Iterator[Problem]:
    """Yield runs that are lost with a pod, and pods that would not know of each other's."""
    serve = workflow.spec.serve
    if flows.by_argo(fleet):  # which keeps them itself
        return
    if workflow.spec.memory is not None or flows.kept(fleet, workflow, uses, []) is not None:
        return
    if serve is not None and serve.replicas > 1:
        yield workflow.problem(
            ("spec", "serve", "replicas"),
            "not-shared",
            f"{serve.replicas} pods would each have runs of their own",
            hint="set `memory.store` to a MemoryStore of type redis or postgres",
        )
    elif serve is not None or workflow.spec.schedule is not None or flows.runs_of(fleet, workflow):
        yield workflow.problem(
            ("spec",),
            "runs-in-memory",
            "its runs are kept in the memory of a pod: one that is started again begins anew, and asks every agent again",
            hint="set `memory.store` to a MemoryStore of type redis or postgres",
            severity="warning",
            key=True,
        )


def _callable(fleet: Fleet, workflow: Resolved[WorkflowSpec]) -> Iterator[Problem]:
    """Yield steps whose agents do not speak A2A, as far as is known, or let nobody in without a token."""
    serve = workflow.spec.serve
    if serve is not None:
        yield from callers(workflow, ("spec", "serve", "auth"), serve.auth)
    for number, step in enumerate(workflow.spec.steps):
        way: TreePath = ("spec", "steps", number, "authentication")
        yield from authentication(workflow, way, step.authentication)
        agent = fleet.find("Agent", workflow.namespace, step.agent)
        if agent is None:
            continue
        path: TreePath = ("spec", "steps", number, "agent")
        auth = agent.spec.auth
        if agent.spec.container is not None:
            yield workflow.problem(
                path,
                "own-image",
                f"Agent `{agent.name}` has an image of its own: it must speak A2A 1.0 at `/a2a` of its main port",
                hint="nothing to do, if it does",
                severity="note",
            )
        elif auth is not None and auth.oidc is not None and step.authentication is None:
            yield workflow.problem(
                path,
                "no-credentials",
                f"Agent `{agent.name}` asks its callers for a token, and the step has none",
                hint="set `authentication` of the step, such as `type: oauth2`",
            )


def _times(fleet: Fleet, workflow: Resolved[WorkflowSpec]) -> Iterator[Problem]:
    """Yield times that nothing can keep, and steps that another limit ends before their own."""
    whole = seconds(workflow.spec.timeout)
    yield from lasting(workflow, ("spec", "timeout"), workflow.spec.timeout)
    for number, step in enumerate(workflow.spec.steps):
        if step.timeout is None:
            continue
        own, path = seconds(step.timeout), ("spec", "steps", number, "timeout")
        yield from lasting(workflow, path, step.timeout)
        agent = fleet.find("Agent", workflow.namespace, step.agent)
        if own > whole:
            yield workflow.problem(
                path,
                "timeout-too-long",
                f"the whole run has {workflow.spec.timeout}: it would end before the step",
                hint="raise `timeout` of the workflow, or lower this one",
                severity="warning",
            )
        elif agent is not None and agent.spec.container is None:
            turn = agent.spec.limits.turn_timeout_seconds
            if own > turn:
                yield workflow.problem(
                    path,
                    "timeout-too-long",
                    f"Agent `{agent.name}` ends a turn after {turn} s: it would fail before the step",
                    hint=f"raise `limits.turnTimeoutSeconds` of the agent, or lower this to {turn}s",
                    severity="warning",
                )


def _chain(workflow: Resolved[WorkflowSpec]) -> Iterator[Problem]:
    """Yield a time of the run that steps use up which wait for each other, each of which may take its own."""
    steps = {step.name: step for step in workflow.spec.steps}
    own = {name: seconds(step.timeout or "0s") for name, step in steps.items()}
    after = {name: {*step.depends_on} & {*steps} for name, step in steps.items()}
    taken: dict[str, float] = {}
    try:
        for name in TopologicalSorter(after).static_order():
            taken[name] = own[name] + max((taken[other] for other in after[name]), default=0.0)
    except CycleError:
        return
    longest, whole = max(taken.values()), seconds(workflow.spec.timeout)
    if longest > whole >= max(own.values()):
        yield workflow.problem(
            ("spec", "timeout"),
            "timeout-too-long",
            f"steps that wait for each other may take {longest:g} s together, and the run has {whole:g} s",
            hint="raise it, or lower the `timeout` of steps",
            severity="note",
        )


def _names(fleet: Fleet) -> Iterator[Problem]:
    """Yield names that two workloads would have, or that somebody else has everywhere."""
    taken = {
        (agent.namespace, taker(agent.name)): f"what takes the documents of Agent `{agent.name}` in"
        for agent in fleet.of(kinds.AGENT)
        if agent.spec.knowledge is not None
    }
    for owner, name, what in (*flows.names(fleet), *backups.names(fleet)):
        key = (owner.namespace, name)
        if name in RESERVED_NAMES:
            yield owner.problem(
                ("metadata", "name"),
                "reserved-name",
                f"the name `{name}` is reserved: {RESERVED_NAMES[name]}",
                hint="choose another name",
            )
        others = [fleet.specs.get(kind, {}).get(key) for kind in kinds.WORKLOADS]
        other = next((f"{item.kind} `{name}`" for item in others if item), taken.get(key))
        taken.setdefault(key, what)
        if other is not None:
            yield owner.problem(
                ("metadata", "name"),
                "reserved-name",
                f"{what} would have the name of {other}",
                hint="choose another name",
            )


def _order(workflow: Resolved[WorkflowSpec]) -> Iterator[Problem]:
    steps = workflow.spec.steps
    for cycle in cycles({step.name: step.depends_on for step in steps}):
        first = next(number for number, step in enumerate(steps) if step.name == cycle[0])
        yield workflow.problem(
            ("spec", "steps", first, "dependsOn"),
            "step-cycle",
            f"steps wait for each other: {' → '.join([*cycle, cycle[0]])}",
            hint="break the cycle",
            key=True,
        )


def _run(fleet: Fleet, run: Resolved[WorkflowRunSpec]) -> Iterator[Problem]:
    problems: list[Problem] = []
    workflow = lookup(
        fleet,
        run,
        ("spec", "workflowRef", "name"),
        ("Workflow",),
        run.spec.workflow_ref.name,
        problems,
    )
    yield from problems
    if workflow is None:
        return
    yield from _inputs(run, workflow, ("spec", "input"), run.spec.input)


def _inputs(
    owner: Resolved[Any], workflow: Resolved[WorkflowSpec], path: TreePath, given: Any
) -> Iterator[Problem]:
    """Yield inputs of a run that the workflow does not take, and those that are missing."""
    known = {item.name: item for item in workflow.spec.input}
    for name, value in given.items():
        if name not in known:
            yield owner.problem(
                (*path, name),
                "unknown-input",
                f"the workflow has no input `{name}`",
                hint=did_you_mean(name, known, noun="inputs"),
                key=True,
            )
        elif not fits(known[name].type, value):
            wanted = known[name].type
            yield owner.problem(
                (*path, name),
                "bad-input",
                f"{_shown(value)} is not of type {wanted}, which the workflow's input `{name}` has",
                hint=f"write it as that type: {EXAMPLES[wanted]}",
            )
        elif (allowed := known[name].enum) is not None and value not in allowed:
            yield owner.problem(
                (*path, name),
                "bad-input",
                f"`{str(value)[:40]}` is not allowed",
                hint=did_you_mean(str(value), map(str, known[name].enum or ()), noun="allowed"),
            )
        elif _broken(known[name], value):
            yield owner.problem(
                (*path, name),
                "bad-input",
                f"{_shown(value)} violates the constraints of the workflow's input `{name}`",
                hint=f"allowed: {', '.join(f'`{rule}`' for rule in _broken(known[name], value))}",
            )
    for name, item in known.items():
        if item.required and item.default is None and name not in given:
            yield owner.problem(
                path,
                "missing-input",
                f"the input `{name}` is missing",
                hint=f"add `{name}:`",
                key=True,
            )


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a map" if isinstance(value, dict) else "a list"
    return f"`{str(value).lower() if isinstance(value, bool) else str(value)[:40]}`"


def _broken(item: Parameter, value: Any) -> list[str]:
    """Return the constraints of an input that a value of its type violates; invalid ones are reported elsewhere."""
    given = view.dump(item)
    rules = {name: given[name] for name in LIMITS if name in given}
    schemas = {name: {name: rule} for name, rule in rules.items()}
    return [
        name
        for name, schema in schemas.items()
        if jsonschema_rs.meta.is_valid(schema) and not jsonschema_rs.is_valid(schema, value)
    ]
