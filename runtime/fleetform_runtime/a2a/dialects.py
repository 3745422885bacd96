"""Version 0.3: what its clients send as version 1.0 has it, and the other way round.

It has two forms. JSON-RPC has names in camel case and `kind` in each object; HTTP+JSON has the JSON of a protobuf,
whose names its clients write with underscores.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fleetform_runtime.a2a.errors import A2aError, invalid
from fleetform_runtime.a2a.names import INPUT_REQUIRED, TERMINAL

Json = dict[str, Any]
_UNDERSCORE = re.compile(r"_([a-z])")
_OPAQUE = frozenset(("metadata", "data"))
"""Members whose names are the client's own."""
_VALUE = "data_part_compat"
"""Metadata by which the official clients mark data that is no object, which 0.3 cannot say."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a version says things in a binding."""

    version: str
    params: Callable[[Json], Json]
    """Reads the parameters of a message to send."""
    sent: Callable[[Json], Json]
    """Writes the task that answers a message."""
    task: Callable[[Json], Json]
    """Writes a task that was asked for."""
    update: Callable[[Json], Json]
    """Writes what a stream tells."""
    error: Callable[[A2aError], Json]
    """Writes an error: of JSON-RPC its member, of HTTP+JSON the whole body."""


def _same(found: Json) -> Json:
    return found


# -- what 0.3 sends --------------------------------------------------------------------------------


def _params_rpc(params: Json) -> Json:
    message, configuration = params.get("message"), params.get("configuration")
    if isinstance(message, dict):
        role = {"user": "ROLE_USER", "agent": "ROLE_AGENT"}.get(str(message.get("role")))
        parts = _each(message.get("parts"), _part_from_rpc)
        message = {**message, "role": role, "parts": parts}
    return {**params, "message": message, "configuration": _configuration(configuration)}


def _part_from_rpc(part: Json) -> Json:
    kind, metadata = part.get("kind"), part.get("metadata")
    if kind == "text":
        return {"text": part.get("text")}
    if kind == "data":
        data = part.get("data")
        if isinstance(metadata, dict) and metadata.get(_VALUE) and isinstance(data, dict):
            data = data.get("value")
        return {"data": data}
    if kind == "file":
        return _file(part.get("file"), "bytes", "uri")
    raise invalid("message.parts", f"a part of kind {kind!r} is not known: text, data or file")


def _params_rest(params: Json) -> Json:
    params = _camel(params)
    # The protobuf's own name of the member is another one than that in its JSON, and both are read.
    message, configuration = (
        params.get("message", params.get("request")),
        params.get("configuration"),
    )
    if isinstance(message, dict):
        content = message.get("content", message.get("parts"))
        message = {**message, "parts": _each(content, _part_from_rest)}
    if isinstance(configuration, dict) and configuration.get("pushNotification"):
        configuration = {**configuration, "pushNotificationConfig": True}
    return {**params, "message": message, "configuration": _configuration(configuration)}


def _part_from_rest(part: Json) -> Json:
    if isinstance(part.get("data"), dict):
        return {"data": part["data"].get("data")}
    if "file" in part:
        return _file(part["file"], "fileWithBytes", "fileWithUri")
    return {"text": part.get("text")}


def _file(file: Any, raw: str, url: str) -> Json:
    if not isinstance(file, dict):
        raise invalid("message.parts", "a part of kind file has `file`")
    shown = {"filename": file.get("name"), "mediaType": file.get("mimeType")}
    if file.get(raw) is not None:
        return {"raw": file[raw], **shown}
    return {"url": file.get(url), **shown}


def _configuration(configuration: Any) -> Any:
    """Return how an answer is wanted: 0.3 says `blocking`, and 1.0 the opposite."""
    if not isinstance(configuration, dict):
        return configuration
    blocking = configuration.get("blocking", True)
    return {
        "acceptedOutputModes": configuration.get("acceptedOutputModes"),
        "taskPushNotificationConfig": configuration.get("pushNotificationConfig"),
        "returnImmediately": not blocking if isinstance(blocking, bool) else blocking,
    }


def _each(parts: Any, read: Callable[[Json], Json]) -> Any:
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return parts
    return [read(part) for part in parts]


def _camel(found: Any) -> Any:
    if isinstance(found, dict):
        return {
            _UNDERSCORE.sub(lambda match: match[1].upper(), name): (
                value if name in _OPAQUE else _camel(value)
            )
            for name, value in found.items()
        }
    return [_camel(item) for item in found] if isinstance(found, list) else found


# -- what 0.3 reads --------------------------------------------------------------------------------


def _task_for_rpc(task: Json) -> Json:
    artifacts = [_artifact_for_rpc(item) for item in task.get("artifacts", ())]
    return {
        "kind": "task",
        **task,
        "status": _status_for_rpc(task["status"]),
        **({"artifacts": artifacts} if artifacts else {}),
    }


def _status_for_rpc(status: Json) -> Json:
    state = status["state"].removeprefix("TASK_STATE_").lower().replace("_", "-")
    message = status.get("message")
    return {**status, "state": state, **({"message": _message_for_rpc(message)} if message else {})}


def _message_for_rpc(message: Json) -> Json:
    return {
        "kind": "message",
        **message,
        "role": "agent",
        "parts": [_part_for_rpc(part) for part in message["parts"]],
    }


def _artifact_for_rpc(artifact: Json) -> Json:
    return {**artifact, "parts": [_part_for_rpc(part) for part in artifact["parts"]]}


def _part_for_rpc(part: Json) -> Json:
    if "text" in part:
        return {"kind": "text", "text": part["text"]}
    data, metadata = _object(part["data"])
    return {"kind": "data", "data": data, **({"metadata": metadata} if metadata else {})}


def _object(data: Any) -> tuple[Json, Json]:
    """Return data as an object, and the metadata that says when it is none."""
    return (data, {}) if isinstance(data, dict) else ({"value": data}, {_VALUE: True})


def _is_final(status: Json) -> bool:
    return status["state"] in TERMINAL or status["state"] == INPUT_REQUIRED


def _update_for_rpc(update: Json) -> Json:
    if "task" in update:
        return _task_for_rpc(update["task"])
    if "artifactUpdate" in update:
        found = update["artifactUpdate"]
        return {
            "kind": "artifact-update",
            **found,
            "artifact": _artifact_for_rpc(found["artifact"]),
        }
    found = update["statusUpdate"]
    final = _is_final(found["status"])
    return {
        "kind": "status-update",
        **found,
        "status": _status_for_rpc(found["status"]),
        "final": final,
    }


def _task_for_rest(task: Json) -> Json:
    artifacts = [_artifact_for_rest(item) for item in task.get("artifacts", ())]
    return {
        **task,
        "status": _status_for_rest(task["status"]),
        **({"artifacts": artifacts} if artifacts else {}),
    }


def _status_for_rest(status: Json) -> Json:
    state = status["state"].replace("CANCELED", "CANCELLED")
    message = status.get("message")
    if message is None:
        return {**status, "state": state}
    parts = [_part_for_rest(part) for part in message["parts"]]
    said = {name: value for name, value in message.items() if name != "parts"}
    return {**status, "state": state, "message": {**said, "content": parts}}


def _artifact_for_rest(artifact: Json) -> Json:
    return {**artifact, "parts": [_part_for_rest(part) for part in artifact["parts"]]}


def _part_for_rest(part: Json) -> Json:
    if "text" in part:
        return {"text": part["text"]}
    data, metadata = _object(part["data"])
    return {"data": {"data": data}, **({"metadata": metadata} if metadata else {})}


def _update_for_rest(update: Json) -> Json:
    if "task" in update:
        return {"task": _task_for_rest(update["task"])}
    if "artifactUpdate" in update:
        found = update["artifactUpdate"]
        return {"artifactUpdate": {**found, "artifact": _artifact_for_rest(found["artifact"])}}
    found = update["statusUpdate"]
    final = _is_final(found["status"])
    return {"statusUpdate": {**found, "status": _status_for_rest(found["status"]), "final": final}}


def _error_for_rpc(error: A2aError) -> Json:
    """Return an error whose data is an object: the official client for Go reads no other, and its `error` to people."""
    info, *more = error.details()
    said = {item["@type"]: {n: v for n, v in item.items() if n != "@type"} for item in more}
    data = {name: info[name] for name in ("reason", "domain", "metadata")}
    return {**error.rpc(), "data": {"error": error.message, **data, **said}}


def _error_for_rest(error: A2aError) -> Json:
    # One official client reads the kind, another one the number.
    return {**error.body(), "type": error.kind, "code": error.code, "message": error.message}


NEW_RPC = Dialect("1.0", _same, lambda task: {"task": task}, _same, _same, A2aError.rpc)
NEW_REST = Dialect("1.0", _same, lambda task: {"task": task}, _same, _same, A2aError.body)
OLD_RPC = Dialect("0.3", _params_rpc, _task_for_rpc, _task_for_rpc, _update_for_rpc, _error_for_rpc)
OLD_REST = Dialect(
    "0.3",
    _params_rest,
    lambda task: {"task": _task_for_rest(task)},
    _task_for_rest,
    _update_for_rest,
    _error_for_rest,
)
