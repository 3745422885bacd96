"""What Argo Workflows cannot do with a workflow, and the environments that leave workflows to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import cron, kinds
from fleetform.lazy import regex
from fleetform.plan.order import needs
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved, flows
from fleetform.targets import ARGO
from fleetform.tree import TreePath, leaves, problem_at

if TYPE_CHECKING:
    from fleetform.models.workflow import WorkflowSpec

_NAME = regex(r"[A-Za-z0-9_-]+\Z")
_LETTERS = regex(r"[a-z]{3}", re.IGNORECASE)
BRACES = "{{"
"""What Argo Workflows reads as the beginning of something to fill in, wherever it stands."""


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield what an environment with the target lacks, and everything in workflows that cannot be expressed."""
    has = ARGO in fleet.environment.capabilities
    if not flows.by_argo(fleet):
        if ARGO in fleet.targets:
            yield problem_at(
                fleet.environment_tree,
                ("spec", "targets"),
                "other-engine",
                f"this environment does not leave its workflows to Argo Workflows: its other targets have Jobs and pods that execute them, and with `{ARGO}` they would run twice",
                hint=f"add `{ARGO}` to the environment's `targets`",
            )
        return
    if not has:
        yield problem_at(
            fleet.environment_tree,
            ("spec", "targets"),
            "missing-capability",
            f"the target `{ARGO}` needs Argo Workflows in the cluster",
            hint=f"add `{ARGO}` to the environment's capabilities, or remove the target",
        )
    for workflow in fleet.of(kinds.WORKFLOW):
        yield from _engine(workflow)
        yield from _limit(fleet, workflow)
        yield from _inputs(workflow)
        yield from _outputs(workflow)
        yield from _schedule(workflow)
        for run in flows.runs_of(fleet, workflow):
            yield from _braces(run, ("spec", "input"), run.spec.input)


def _cannot(
    owner: Resolved[Any], path: TreePath, message: str, hint: str, severity: str = "error"
) -> Problem:
    return owner.problem(path, "not-in-argo", message, hint=hint, severity=severity, key=True)


def _engine(workflow: Resolved[WorkflowSpec]) -> Iterator[Problem]:
    """Yield what belongs to our own engine."""
    if workflow.spec.serve is not None:
        yield _cannot(
            workflow,
            ("spec", "serve"),
            "Argo Workflows executes the runs: there are no pods that an API could ask",
            "remove `serve`, and begin runs by `argo submit --from workflowtemplate/NAME`, or its server's API",
        )
    if workflow.spec.memory is not None:
        yield _cannot(
            workflow,
            ("spec", "memory"),
            "it has no effect: Argo Workflows keeps runs as objects of the cluster",
            "remove it, or leave it for environments without Argo Workflows",
            "note",
        )


def _limit(fleet: Fleet, workflow: Resolved[WorkflowSpec]) -> Iterator[Problem]:
    """Yield policies that only a schedule has: a semaphore lets further runs wait."""
    limit = workflow.spec.concurrency
    if limit.policy == "queue":
        return
    path: TreePath = ("spec", "concurrency", "policy")
    if workflow.spec.schedule is None or flows.runs_of(fleet, workflow):
        yield _cannot(
            workflow,
            path,
            f"Argo Workflows can only `{limit.policy}` runs of a schedule: others wait, whoever begins them",
            "set `policy: queue`",
        )
    elif limit.max_concurrent > 1:
        yield _cannot(
            workflow,
            ("spec", "concurrency", "maxConcurrent"),
            f"Argo Workflows can only `{limit.policy}` beyond one run of a schedule",
            "set it to 1, or `policy: queue`",
        )


def _inputs(workflow: Resolved[WorkflowSpec]) -> Iterator[Problem]:
    for number, item in enumerate(workflow.spec.input):
        path: TreePath = ("spec", "input", number)
        if not _NAME.match(item.name):
            yield _cannot(
                workflow,
                (*path, "name"),
                f"`{item.name}` is no name of a parameter of Argo Workflows",
                "use letters, digits, `_` and `-`",
            )
        if not item.required and item.default is None:
            yield _cannot(
                workflow,
                (*path, "name"),
                f"Argo Workflows has no inputs that may be absent: `{item.name}` is not required and has no default",
                "set `default`, or `required: true`",
            )
        yield from _braces(workflow, (*path, "default"), item.default)
        yield from _braces(workflow, (*path, "enum"), list(item.enum or ()))


def _outputs(workflow: Resolved[WorkflowSpec]) -> Iterator[Problem]:
    """Yield names of results that are none of parameters, and outputs that may never be there."""
    spec = workflow.spec
    for name in spec.output:
        if not _NAME.match(name):
            yield _cannot(
                workflow,
                ("spec", "output", name),
                f"`{name[:40]}` is no name of a parameter of Argo Workflows",
                "use letters, digits, `_` and `-`",
            )
    if spec.error_handling.on_step_failure != "continue":
        return
    places: list[tuple[TreePath, Any]] = [
        (("spec", "steps", number, "input"), step.input) for number, step in enumerate(spec.steps)
    ]
    for place, value in [*places, (("spec", "output"), spec.output)]:
        for key, leaf in leaves(value):
            for step, _ in needs(leaf):
                yield _cannot(
                    workflow,
                    (*place, *key),
                    f"with `onStepFailure: continue` the step `{step}` may have failed: Argo Workflows cannot leave out what needs its output",
                    "set `onStepFailure` to fail or retry, or do without the output",
                )


def _schedule(workflow: Resolved[WorkflowSpec]) -> Iterator[Problem]:
    schedule = workflow.spec.schedule
    if schedule is None:
        return
    if not cron.fault(schedule.cron) and schedule.cron[0] != "@" and _LETTERS.search(schedule.cron):
        yield _cannot(
            workflow,
            ("spec", "schedule", "cron"),
            "Argo Workflows takes months and days of the week as numbers alone",
            "write them so: 1 is January, and Monday",
        )
    yield from _braces(workflow, ("spec", "schedule", "input"), schedule.input)


def _braces(owner: Resolved[Any], path: TreePath, value: Any) -> Iterator[Problem]:
    """Yield texts in which Argo Workflows would fill something in."""
    for place, leaf in leaves(value):
        if isinstance(leaf, str) and BRACES in leaf:
            yield _cannot(
                owner,
                (*path, *place),
                f"`{BRACES}` in it would be filled in by Argo Workflows, which has no way to write it",
                "write it in another way, such as `{ {`",
            )
