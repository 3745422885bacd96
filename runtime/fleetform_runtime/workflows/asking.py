"""What an agent is asked in a step: its input as data, and which JSON the workflow needs of the answer."""

from typing import Any

import orjson

from fleetform_runtime.workflows import expressions
from fleetform_runtime.workflows.settings import Definition, Step


def schema(plan: Definition, step: Step) -> dict[str, Any] | None:
    """Return a JSON Schema with every member that the workflow needs of an answer; None if any text will do.

    Besides the paths of the step's outputs these are the members of the outputs that later steps and the result refer to.
    """
    wanted: dict[str, Any] = {}
    texts = [*(other.input for other in plan.steps), plan.output]
    for item in step.output:
        start = f".steps.{step.name}.output.{item.name}"
        deeper = [
            path[len(start) :]
            for path in expressions.paths(texts)
            if path == start or path.startswith(f"{start}.")
        ]
        for rest in deeper or [""]:
            _add(wanted, [*item.path[1:].split("."), *rest.split(".")[1:]])
    if not any(wanted.values()) and set(wanted) <= {"result"}:
        return None
    return _schema(wanted)


def _add(tree: dict[str, Any], parts: list[str]) -> None:
    for part in parts:
        tree = tree.setdefault(part, {})


def _schema(tree: dict[str, Any]) -> dict[str, Any]:
    """Return what a tree of names asks for; those that are numbers may be places of a list, so nothing is said of them."""
    if not tree or any(name.isdecimal() for name in tree):
        return {}
    members = {name: _schema(inner) for name, inner in sorted(tree.items())}
    return {"type": "object", "properties": members, "required": [*members]}


def asked(run: str, step: Step, wanted: dict[str, Any] | None) -> str:
    """Return the text of a step's message, with the schema of its answer if that is to be told in words."""
    text = (
        f"Perform the step `{step.name}` of the workflow run `{run}` with the data of this message."
    )
    if wanted is not None:
        text += (
            " Answer with one JSON object and nothing else that matches this JSON Schema:\n"
            f"{orjson.dumps(wanted).decode()}"
        )
    return text
