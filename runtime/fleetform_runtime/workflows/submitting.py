"""A new run: its inputs with their defaults, checked, and kept under a name that nobody uses twice."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from fleetform_runtime import jsons
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.store import UnreadableRecordError
from fleetform_runtime.tools.api import arguments_schema
from fleetform_runtime.tools.schema import Arguments
from fleetform_runtime.workflows.records import WorkflowRun
from fleetform_runtime.workflows.settings import Definition, WorkflowSettings
from fleetform_runtime.workflows.spans import taken
from fleetform_runtime.workflows.store import Found, RejectedError, WorkflowStore

LONGEST_NAME = 63
NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
"""What a run may be called, over the API and on the command line: what a label of DNS may be."""
LARGEST_INPUT = 256 * 1024
"""Bytes of the inputs of a run, as JSON."""


def completed(definition: Definition, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs with the defaults of those that are missing.

    Raises:
        ValueError: they are not what the workflow takes; the message names each.
    """
    known = {item.name: item for item in definition.input}
    faults = [f"there is no input {name}" for name in sorted({*given} - {*known})]
    defaults = {name: item.default for name, item in known.items() if item.default is not None}
    found = {**defaults, **given}
    faults += [
        f"the input {name} is missing"
        for name, item in known.items()
        if item.required and name not in found
    ]
    if not faults:
        # What is neither given nor has a default is not there: a step that needs it says so.
        said = Arguments(arguments_schema(definition.input)).faults(found)
        faults += [said] if said else []
    if not faults and len(orjson.dumps(found)) > LARGEST_INPUT:
        faults.append(f"the inputs have more than {LARGEST_INPUT} bytes")
    if faults:
        raise ValueError("; ".join(faults))
    return found


def of_file(path: Path) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Raises:
        ValueError: it is none, or not readable.
    """
    try:
        found = jsons.exact(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path}: it is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: it is no JSON object")  # noqa: TRY004 - of who wrote the file
    return found


def of_words(definition: Definition, words: list[str]) -> dict[str, Any]:
    """Return inputs from `name=value`: the text itself where the input is a string, JSON otherwise.

    Raises:
        ValueError: one of them is not readable.
    """
    types = {item.name: item.type for item in definition.input}
    found: dict[str, Any] = {}
    for word in words:
        name, mark, text = word.partition("=")
        if not mark or not name:
            raise ValueError(f"{word}: write it as name=value")
        if name in found:
            raise ValueError(f"the input {name} is given twice")
        if jsons.whole_text(text) != text:
            raise ValueError(f"the input {name} is not text in UTF-8")
        if types.get(name, "string") == "string":
            found[name] = text
            continue
        try:
            found[name] = jsons.exact(text)
        except ValueError as error:
            why = f"; {error}" if str(error) == jsons.TOO_LONG else ""
            raise ValueError(
                f"the input {name} is of type {types[name]}: write JSON{why}"
            ) from None
    return found


def named(workflow: str) -> str:
    """Return a name for a run of a workflow."""
    end = uuid.uuid4().hex[:10]
    return f"{workflow[: LONGEST_NAME - len(end) - 1].rstrip('-')}-{end}"


async def submitted(
    settings: WorkflowSettings,
    store: WorkflowStore,
    name: str,
    given: Mapping[str, Any],
    user: str,
    trace: str = "",
) -> tuple[Found, bool]:
    """Keep a new run, or find the one of its name with the same inputs; return it, and whether it is new.

    Raises:
        HttpProblem: the inputs are wrong, the name is taken, as many runs are open as may be, or the one of the name
            cannot be read.
    """
    try:
        inputs = completed(settings.definition, given)
    except ValueError as error:
        raise HttpProblem("invalid_fields", f"input: {error}") from None
    run = WorkflowRun(
        name=name,
        id=uuid.uuid4().hex,
        user=user,
        input=inputs,
        definition=settings.definition.model_dump(mode="json", by_alias=True, exclude_unset=True),
        trace=taken(trace),
    )
    limit = settings.concurrency
    try:
        found = await store.submit(run, limit.max_concurrent, limit.policy)
        _ = found.run.plan
    except RejectedError:
        most = limit.max_concurrent if limit.policy == "reject" else "too many"
        raise HttpProblem("concurrency_rejected", f"{most} runs are open already", 5) from None
    except UnreadableRecordError as error:
        raise HttpProblem("unreadable", str(error)) from None
    if not jsons.same(found.run.input, inputs):
        raise HttpProblem("run_exists", f"{name} has other inputs; take another name")
    return found, found.run.id == run.id
