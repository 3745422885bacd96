"""What is known of a run and of its steps, how it is kept, and how people see it."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import orjson
from pydantic import TypeAdapter

from fleetform_runtime.messages import moment
from fleetform_runtime.store import UnreadableRecordError
from fleetform_runtime.workflows.settings import Definition

Phase = Literal["Pending", "Running", "Succeeded", "Failed"]
StepPhase = Literal["Pending", "Running", "Succeeded", "Failed", "Skipped"]
Reason = Literal[
    "",
    "Timeout",
    "Cancelled",
    "Replaced",
    "StepFailed",
    "OutputMissing",
    "OutputTooLarge",
    "Unreadable",
]
"""Why a run has failed; `Unreadable` is never kept, but shown in a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepState:
    """Where a step is; times are seconds since 1970, by the store's clock."""

    phase: StepPhase = "Pending"
    tries: int = 0
    """Messages that the agent was or is asked with, each with an id of its own."""
    failures: int = 0
    crashes: int = 0
    """Attempts that failed, and those that broke off because the agent's process ended."""
    started: float | None = None
    asked: float | None = None
    """When the current attempt began."""
    waited: float = 0.0
    """Seconds of the current attempt in which it waited for a person."""
    waits: float | None = None
    """Since when it waits for a person, if it does."""
    again: float | None = None
    """When the next attempt begins, after one that failed."""
    ended: float | None = None
    task: str = ""
    """The agent's id of the task."""
    code: str = ""
    error: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is done for it."""
        return self.phase in ("Succeeded", "Failed", "Skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRun:
    """A run of a workflow, without its steps."""

    name: str
    id: str
    """Random, so that a run of the same name, later, is another one for the agents."""
    user: str
    """Who has asked for it."""
    input: dict[str, Any]
    definition: dict[str, Any]
    created: float = 0.0
    phase: Phase = "Pending"
    reason: Reason = ""
    message: str = ""
    summary: str = ""
    """The message without what agents have said: others may be told."""
    started: float | None = None
    ended: float | None = None
    output: dict[str, Any] = field(default_factory=dict)
    notice: Literal["", "due", "told", "lost"] = ""
    events: int = 0
    """Number of its last event."""
    takeovers: int = 0
    trace: str = ""
    """The W3C header of the request that asked for it."""

    @property
    def plan(self) -> Definition:
        """Return the definition that it began with.

        Raises:
            UnreadableRecordError: it is invalid here; a newer version may have written it.
        """
        try:
            return Definition.model_validate_json(orjson.dumps(self.definition))
        except ValueError:
            raise UnreadableRecordError(
                "the definition of a stored run cannot be read; a newer version may have written it"
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a run; `data` is JSON."""

    number: int
    kind: str
    data: bytes


_RUN = tuple(WorkflowRun.__dataclass_fields__)
_STEP = tuple(StepState.__dataclass_fields__)
_KEPT_APART = ("created",)
_RUNS, _STEPS = TypeAdapter(WorkflowRun), TypeAdapter(StepState)


def run_json(run: WorkflowRun) -> bytes:
    """Serialise a run; when it was created is the store's to say."""
    return orjson.dumps({name: getattr(run, name) for name in _RUN if name not in _KEPT_APART})


def read_run(row: bytes | str, created: float) -> WorkflowRun:
    """Read a run.

    Raises:
        UnreadableRecordError: it is invalid.
    """
    try:
        return replace(_RUNS.validate_python(orjson.loads(row)), created=created)
    except ValueError:
        raise UnreadableRecordError("a stored run of a workflow cannot be read") from None


def listed_run(row: bytes | str, created: float, name: str, phase: str) -> WorkflowRun:
    """Read a run for a list, which names one that cannot be read as well."""
    try:
        return read_run(row, created)
    except UnreadableRecordError:
        return WorkflowRun(
            name=name,
            id="",
            user="",
            input={},
            definition={},
            created=created,
            phase=next((known for known in get_args(Phase) if known == phase), "Pending"),
            reason="Unreadable",
        )


def step_json(step: StepState) -> bytes:
    """Serialise a step."""
    return orjson.dumps({name: getattr(step, name) for name in _STEP})


def read_step(row: bytes | str) -> StepState:
    """Read a step.

    Raises:
        UnreadableRecordError: it is invalid.
    """
    try:
        return _STEPS.validate_python(orjson.loads(row))
    except ValueError:
        raise UnreadableRecordError("a stored step of a workflow cannot be read") from None


def event(number: int, kind: str, /, **data: Any) -> Event:
    """Return an event."""
    return Event(number=number, kind=kind, data=orjson.dumps(data))


def again_from(
    run: WorkflowRun, steps: dict[str, StepState]
) -> tuple[WorkflowRun, dict[str, StepState]]:
    """Return a failed run, and those of its steps that begin anew; what has succeeded stays."""
    left = {
        name: StepState(tries=step.tries)
        for name, step in steps.items()
        if step.phase != "Succeeded"
    }
    begun = replace(
        run,
        phase="Pending",
        reason="",
        message="",
        summary="",
        started=None,
        ended=None,
        notice="",
        output={},
    )
    return begun, left


# -- what people see ---------------------------------------------------------------------------------


def document(
    run: WorkflowRun, steps: dict[str, StepState], workflow: str, namespace: str
) -> dict[str, Any]:
    """Return a run as the object WorkflowRun, with its status; outputs of steps are asked for one by one."""
    plan = run.plan
    shown = [shown_step(step.name, steps.get(step.name, StepState())) for step in plan.steps]
    status: dict[str, Any] = {
        "phase": run.phase,
        "reason": run.reason,
        "message": run.message,
        "startTime": _time(run.started),
        "completionTime": _time(run.ended),
        "steps": shown,
        "conditions": conditions(run, steps),
        "output": run.output,
        "usage": usage(steps),
        "notification": run.notice,
        "takeovers": run.takeovers,
    }
    return {
        "apiVersion": "fleetform.dev/v1alpha1",
        "kind": "WorkflowRun",
        "metadata": {
            "name": run.name,
            "namespace": namespace,
            "uid": run.id,
            "creationTimestamp": _time(run.created),
        },
        "spec": {"workflowRef": {"name": workflow}, "input": run.input},
        "status": {key: value for key, value in status.items() if value},
    }


def shown_step(name: str, step: StepState) -> dict[str, Any]:
    """Return a step as people see it."""
    error = {"code": step.code, "message": step.error} if step.code else None
    found = {
        "name": name,
        "phase": step.phase,
        "reason": "WaitingForPerson" if step.waits is not None else "",
        "attempts": step.failures + (step.phase in ("Running", "Succeeded")),
        "restarts": step.crashes,
        "startTime": _time(step.started),
        "completionTime": _time(step.ended),
        "taskId": step.task,
        "error": error,
        "usage": step.usage,
    }
    return {key: value for key, value in found.items() if value}


def wait_for_a_person(steps: dict[str, StepState]) -> bool:
    """Whether one of the steps does."""
    return any(step.waits is not None for step in steps.values())


def conditions(run: WorkflowRun, steps: dict[str, StepState]) -> list[dict[str, Any]]:
    """Return the conditions of a run, as those of a Kubernetes object."""
    over = run.phase in ("Succeeded", "Failed")
    waits = not over and wait_for_a_person(steps)
    found = [{"type": "Initialized", "status": "True", "lastTransitionTime": _time(run.created)}]
    if run.started is not None:
        since = _time(run.ended if over else run.started)
        found.append(
            {"type": "Running", "status": "False" if over else "True", "lastTransitionTime": since}
        )
    if waits:
        found.append({"type": "WaitingForPerson", "status": "True"})
    if over:
        found.append(
            {
                "type": run.phase,
                "status": "True",
                "reason": run.reason or run.phase,
                "message": run.message,
                "lastTransitionTime": _time(run.ended),
            }
        )
    return [{key: value for key, value in one.items() if value} for one in found]


def usage(steps: dict[str, StepState]) -> dict[str, float]:
    """Return what all steps have used together."""
    found: dict[str, float] = {}
    for step in steps.values():
        for name, value in step.usage.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[name] = found.get(name, 0) + value
    return found


def _time(seconds: float | None) -> str:
    return moment(seconds) if seconds is not None else ""
