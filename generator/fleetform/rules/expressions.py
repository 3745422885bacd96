"""What flows between the steps of a workflow: expressions that lead somewhere, and outputs that can be there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform.lazy import regex
from fleetform.problems import Problem, did_you_mean
from fleetform.resolve import Resolved
from fleetform.tree import TreePath, leaves

if TYPE_CHECKING:
    from fleetform.models.tool import Parameter
    from fleetform.models.workflow import WorkflowSpec

_HOLE = regex(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_PATH = regex(r"(\.[A-Za-z0-9_-]+)+\Z")
_WRITE = "write `{{ .input.name }}` or `{{ .steps.name.output.name }}`"
ANSWER = "result"
"""Member under which the answer of an agent stands."""


def rules(workflow: Resolved[WorkflowSpec]) -> Iterator[Problem]:
    """Yield what is wrong with the data of a workflow."""
    before = _before(workflow)
    for number, step in enumerate(workflow.spec.steps):
        yield from _outputs(workflow, number)
        path: TreePath = ("spec", "steps", number, "input")
        yield from _holes(workflow, path, step.input, before[step.name])
    yield from _holes(workflow, ("spec", "output"), workflow.spec.output, set(before))
    yield from _unused(workflow)


def _outputs(workflow: Resolved[WorkflowSpec], number: int) -> Iterator[Problem]:
    """Yield outputs of a step that cannot be there, or that another one of the same name replaces."""
    step, seen = workflow.spec.steps[number], set[str]()
    for place, item in enumerate(step.output):
        path: TreePath = ("spec", "steps", number, "output", place)
        if item.name in seen:
            yield workflow.problem(
                (*path, "name"),
                "duplicate-name",
                f"two outputs are named `{item.name}`",
                hint="rename or remove one",
            )
        seen.add(item.name)
        if item.path[1:].split(".")[0] != ANSWER:
            yield workflow.problem(
                (*path, "path"),
                "bad-path",
                f"`{item.path[:80]}` leads nowhere: the answer of an agent stands under `.{ANSWER}`",
                hint=f"write `.{ANSWER}{item.path[:80]}`",
            )


def _before(workflow: Resolved[WorkflowSpec]) -> dict[str, set[str]]:
    """Return for each step the steps that finish before it."""
    direct = {step.name: set(step.depends_on) for step in workflow.spec.steps}
    before: dict[str, set[str]] = {}
    for name, needed in direct.items():
        seen: set[str] = set()
        todo = list(needed)
        while todo:
            step = todo.pop()
            if step not in seen:
                seen.add(step)
                todo += direct.get(step, ())
        before[name] = seen
    return before


def _holes(
    workflow: Resolved[WorkflowSpec], path: TreePath, data: Any, done: set[str]
) -> Iterator[Problem]:
    for place, value in leaves(data):
        if isinstance(value, str):
            for expression in _HOLE.findall(value):
                yield from _hole(workflow, (*path, *place), expression, done)
            yield from _open(workflow, (*path, *place), _HOLE.sub("", value))
    for place, key in _keys(data):
        if "{{" in key:
            yield workflow.problem(
                (*path, *place),
                "bad-expression",
                f"the key `{key[:80]}` stays as it is: expressions are filled in values",
                hint="write the key without it",
                key=True,
            )


def _open(workflow: Resolved[WorkflowSpec], path: TreePath, rest: str) -> Iterator[Problem]:
    """Yield an expression that does not end: the agent would read it as it stands."""
    if "{{" in rest:
        yield workflow.problem(
            path,
            "bad-expression",
            f"`{rest[rest.index('{{') :][:80]}` does not end: there is no `}}}}`",
            hint=_WRITE,
        )


def _keys(data: Any, path: TreePath = ()) -> Iterator[tuple[TreePath, str]]:
    """Yield every key of maps within data, with its path."""
    todo = [(path, data)]
    while todo:
        at, item = todo.pop()
        if isinstance(item, dict):
            yield from (((*at, key), key) for key in item)
            todo += [((*at, key), inner) for key, inner in item.items()]
        elif isinstance(item, list):
            todo += [((*at, place), inner) for place, inner in enumerate(item)]


def _hole(
    workflow: Resolved[WorkflowSpec], path: TreePath, expression: str, done: set[str]
) -> Iterator[Problem]:
    inputs = {item.name: item for item in workflow.spec.input}
    steps = {step.name: [item.name for item in step.output] for step in workflow.spec.steps}
    if not _PATH.match(expression):
        yield workflow.problem(
            path,
            "bad-expression",
            f"`{expression[:80]}` is not a path",
            hint=_WRITE,
        )
        return
    parts = expression[1:].split(".")
    if parts[0] == "input" and len(parts) > 1:
        if parts[1] not in inputs:
            yield workflow.problem(
                path,
                "unknown-input",
                f"there is no input `{parts[1]}`",
                hint=did_you_mean(parts[1], inputs, noun="inputs"),
            )
        else:
            yield from _input(workflow, path, inputs[parts[1]], parts[2:])
    elif parts[0] == "steps" and len(parts) > 3 and parts[2] == "output":
        name, output = parts[1], parts[3]
        if name not in steps:
            yield workflow.problem(
                path,
                "unknown-step",
                f"there is no step `{name}`",
                hint=did_you_mean(name, steps, noun="steps"),
            )
        elif output not in steps[name]:
            yield workflow.problem(
                path,
                "unknown-output",
                f"the step `{name}` has no output `{output}`",
                hint=did_you_mean(output, steps[name], noun="its outputs"),
            )
        elif name not in done:
            yield workflow.problem(
                path,
                "not-done-yet",
                f"the step `{name}` may not have finished yet",
                hint=f"add `{name}` to `dependsOn`",
            )
    else:
        yield workflow.problem(
            path,
            "bad-expression",
            f"`{expression[:80]}` does not refer to anything",
            hint=_WRITE,
        )


def _input(
    workflow: Resolved[WorkflowSpec], path: TreePath, item: Parameter, rest: list[str]
) -> Iterator[Problem]:
    """Yield an input that may be missing, or that has nothing where an expression looks."""
    if not item.required and item.default is None:
        yield workflow.problem(
            path,
            "may-be-missing",
            f"a run without the input `{item.name}` fails here: it is not required and has no default",
            hint="set its `required: true`, or a `default`",
            severity="warning",
        )
    if rest and not _has(item, rest):
        yield workflow.problem(
            path,
            "bad-expression",
            f"the input `{item.name}` is of type {item.type}: it has no `.{'.'.join(rest)[:80]}`",
            hint=f"write `{{{{ .input.{item.name} }}}}`, or change the input's `type`",
        )


def _has(item: Parameter, rest: list[str]) -> bool:
    """Whether something may be where a path within an input leads; what is not described may."""
    if item.type == "array":
        return rest[0].isdecimal()
    if item.type != "object":
        return False
    members = getattr(item, "properties", None)
    return not members or rest[0] in members


def _unused(workflow: Resolved[WorkflowSpec]) -> Iterator[Problem]:
    """Yield outputs that neither another step nor the result refers to."""
    texts = [*(step.input for step in workflow.spec.steps), workflow.spec.output]
    used = {
        tuple(expression[1:].split(".")[1:4:2])
        for data in texts
        for _, value in leaves(data)
        if isinstance(value, str)
        for expression in _HOLE.findall(value)
        if expression.startswith(".steps.")
    }
    for number, step in enumerate(workflow.spec.steps):
        for place, item in enumerate(step.output):
            if (step.name, item.name) not in used:
                yield workflow.problem(
                    ("spec", "steps", number, "output", place, "name"),
                    "unused-output",
                    f"nothing refers to `{item.name}`: it is asked for, kept, and shown with the step alone",
                    hint=f"refer to `{{{{ .steps.{step.name}.output.{item.name} }}}}`, or remove it",
                    severity="note",
                )
