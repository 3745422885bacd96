"""Runs as tasks."""

from typing import Any

from fleetform_runtime.a2a import errors, people
from fleetform_runtime.a2a.names import (
    ERROR,
    FAILED,
    INPUT_REQUIRED,
    STATES,
    TERMINAL,
    USAGE,
)
from fleetform_runtime.a2a.parts import artifact
from fleetform_runtime.messages import moment
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.store import Run


def shown(task: str, run: Run, modes: list[str], *, artifacts: bool = True) -> dict[str, Any]:
    """Return a task as its user sees it, by the last run that it is of."""
    state = STATES[run.status]
    made = artifact(run.result, modes) if artifacts and state in TERMINAL else None
    metadata = about(run) if state in TERMINAL else {}
    return {
        "id": task,
        "contextId": run.session,
        "status": status(task, run),
        **({"artifacts": [made]} if made else {}),
        **({"metadata": metadata} if metadata else {}),
    }


def status(task: str, run: Run) -> dict[str, Any]:
    """Return the status of a task."""
    state = STATES[run.status]
    found: dict[str, Any] = {"state": state}
    if state == INPUT_REQUIRED:
        found["message"] = people.asked(task, run)
    elif state == FAILED or "error" in run.result:
        found["message"] = said(task, run, run.result.get("error", {}).get("detail", ""))
    return found | {"timestamp": moment(run.ended or run.created)}


def about(run: Run) -> dict[str, Any]:
    """Return the metadata of a task that ended."""
    found = {}
    if usage := run.result.get("usage"):
        found[USAGE] = usage
    if run.status == "failed" and (error := run.result.get("error")):
        found[ERROR] = errors.failure(
            HttpProblem(
                error["code"],
                error["detail"],
                error.get("retry_after"),
                retryable=error["retryable"],
            )
        )
    return found


def said(task: str, run: Run, text: str) -> dict[str, Any]:
    """Return a message of the agent."""
    return {
        "messageId": f"{run.id}-{run.status}",
        "contextId": run.session,
        "taskId": task,
        "role": "ROLE_AGENT",
        "parts": [{"text": text}],
    }
