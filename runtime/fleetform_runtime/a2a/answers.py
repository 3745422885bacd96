"""What other agents answer, as version 1.0 has it, whatever they speak, and as little of it as is needed."""

import re
from dataclasses import dataclass, field
from typing import Any

import orjson

from fleetform_runtime.a2a.names import FORMER

Json = dict[str, Any]
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,256}")


class PeerError(Exception):
    """Another agent refuses; `code` is that of JSON-RPC, 0 if it answered with a status alone."""

    def __init__(self, message: str, code: int = 0, problem: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.problem = problem
        """The code of the problem behind it, if it is one of our agents."""


@dataclass(slots=True)
class Seen:
    """A task of another agent, as far as it has told."""

    id: str = ""
    context: str = ""
    state: str = ""
    message: Json = field(default_factory=dict)
    """What its status says."""
    artifacts: dict[str, list[Json]] = field(default_factory=dict)
    """The parts of each."""

    def output(self) -> str:
        """Return what it has made, or said: texts, and data as JSON."""
        parts = [part for found in self.artifacts.values() for part in found]
        pieces = [text for part in parts or _list(self.message, "parts") if (text := _text(part))]
        return "".join(pieces)

    def take(self, said: Json) -> None:
        """Take what a stream tells, or an answer has.

        Raises:
            PeerError: it is nothing of the protocol.
        """
        if isinstance(task := said.get("task"), dict):
            self._task(task)
        elif isinstance(update := said.get("artifactUpdate"), dict):
            self._place(update)
            self._artifact(update.get("artifact"), append=update.get("append") is True)
        elif isinstance(update := said.get("statusUpdate"), dict):
            self._place(update)
            self._status(update.get("status"))
        elif isinstance(message := said.get("message"), dict):
            self.state, self.message = "TASK_STATE_COMPLETED", message
        else:
            raise PeerError("its answer is none of the protocol")

    def _task(self, task: Json) -> None:
        self.id = named(task.get("id"))
        self.context = named(task.get("contextId"))
        self.artifacts.clear()
        for artifact in _list(task, "artifacts"):
            self._artifact(artifact, append=False)
        self._status(task.get("status"))

    def _place(self, update: Json) -> None:
        self.id = self.id or named(update.get("taskId"))
        self.context = self.context or named(update.get("contextId"))

    def _artifact(self, artifact: Any, *, append: bool) -> None:
        if not isinstance(artifact, dict):
            raise PeerError("its answer is none of the protocol")
        parts = _list(artifact, "parts")
        name = str(artifact.get("artifactId", ""))
        held = self.artifacts.get(name, []) if append else []
        self.artifacts[name] = [*held, *parts]

    def _status(self, status: Any) -> None:
        state = status.get("state") if isinstance(status, dict) else None
        if not isinstance(state, str):
            raise PeerError("its answer is none of the protocol")
        message = status.get("message")
        self.state, self.message = state, message if isinstance(message, dict) else {}


def named(found: Any) -> str:
    """Return a name that another agent gave; empty if it is none."""
    return found if isinstance(found, str) and _NAME.fullmatch(found) else ""


def _text(part: Json) -> str:
    if isinstance(text := part.get("text"), str):
        return text
    if "data" in part:
        try:
            return orjson.dumps(part["data"]).decode()
        except TypeError:
            return ""
    return f"[file {part['filename']}]" if isinstance(part.get("filename"), str) else ""


def _list(where: Json, name: str) -> list[Json]:
    found = where.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def reply_of(document: Any) -> Json:
    """Return the result of a response of JSON-RPC.

    Raises:
        PeerError: it is an error, or no response.
    """
    if not isinstance(document, dict):
        raise PeerError("its answer is none of the protocol")
    error = document.get("error")
    if isinstance(error, dict):
        code = error.get("code")
        told = [item for item in _list(error, "data") if isinstance(item.get("code"), str)]
        problem = told[0]["code"] if told else ""
        said = str(error.get("message", ""))[:1_000]
        raise PeerError(said, code if isinstance(code, int) else 0, problem)
    result = document.get("result")
    if not isinstance(result, dict):
        raise PeerError("its answer is none of the protocol")
    return result


# -- version 0.3 -----------------------------------------------------------------------------------


def modern(result: Json, version: str, *, is_task: bool = False) -> Json:
    """Return what a version says as 1.0 has it; `is_task` says that a task alone was asked for."""
    if version != FORMER:
        return {"task": result} if is_task else result
    kind = result.get("kind")
    if kind == "message":
        return {"message": _message(result)}
    if kind == "status-update":
        return {"statusUpdate": {**result, "status": _status_of(result.get("status"))}}
    if kind == "artifact-update":
        return {"artifactUpdate": {**result, "artifact": _artifact_of(result.get("artifact"))}}
    artifacts = [_artifact_of(item) for item in _list(result, "artifacts")]
    return {"task": {**result, "status": _status_of(result.get("status")), "artifacts": artifacts}}


def _status_of(status: Any) -> Any:
    if not isinstance(status, dict):
        return status
    state = str(status.get("state", "")).upper().replace("-", "_")
    message = status.get("message")
    said = {"message": _message(message)} if isinstance(message, dict) else {}
    return {**status, "state": f"TASK_STATE_{state}", **said}


def _message(message: Json) -> Json:
    return {**message, "parts": [_part(item) for item in _list(message, "parts")]}


def _artifact_of(artifact: Any) -> Any:
    if not isinstance(artifact, dict):
        return artifact
    return {**artifact, "parts": [_part(item) for item in _list(artifact, "parts")]}


def _part(part: Json) -> Json:
    if part.get("kind") == "text":
        return {"text": part.get("text")}
    if part.get("kind") == "data":
        return {"data": part.get("data")}
    file = part.get("file")
    return {"filename": file.get("name", "file")} if isinstance(file, dict) else {}


def former(message: Json) -> Json:
    """Return a message of ours as 0.3 has it: of texts and data."""
    parts = [
        {"kind": "text", "text": part["text"]}
        if "text" in part
        else {"kind": "data", "data": part["data"]}
        for part in message["parts"]
    ]
    return {"kind": "message", **message, "role": "user", "parts": parts}
