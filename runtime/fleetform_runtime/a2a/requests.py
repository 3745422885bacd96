"""What clients ask, checked: every member that has a meaning here is of the right type, others are passed over."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from fleetform_runtime.a2a.errors import A2aError, invalid
from fleetform_runtime.a2a.names import HITL, SCHEMA, STATES
from fleetform_runtime.a2a.parts import kind_of
from fleetform_runtime.http.chat import SESSION
from fleetform_runtime.http.content import MOST_PARTS
from fleetform_runtime.messages import moment
from fleetform_runtime.runs.structured import REPAIRS, Wanted, wanted
from fleetform_runtime.store import Run

LONGEST_NAME = 256


@dataclass(frozen=True, slots=True)
class Sending:
    """A message, and how its answer is wanted."""

    message: dict[str, Any]
    modes: list[str] = field(default_factory=list)
    waits: bool = True
    """Whether the answer is wanted when the task has ended, or needs a person."""

    @property
    def id(self) -> str:
        """Return the message's name."""
        return str(self.message["messageId"])

    @property
    def task(self) -> str | None:
        """Return the task that it belongs to, if it is not to begin one."""
        return self.message.get("taskId")

    @property
    def context(self) -> str | None:
        """Return the session that it belongs to, if it names one."""
        return self.message.get("contextId")

    def run(self, user: str) -> str:
        """Return the name of the run that answers it: the same whenever it is sent again by the same user."""
        return hashlib.sha256(orjson.dumps([user, self.id])).hexdigest()[:32]

    def print(self) -> str:
        """Return a hash of what has to be the same if it is sent again."""
        said = {name: self.message.get(name) for name in ("parts", "taskId", "contextId")}
        metadata = self.message.get("metadata", {})
        said |= {name: metadata[name] for name in (SCHEMA, HITL) if name in metadata}
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]

    def wanted(self) -> Wanted | None:
        """Return what the answer has to be.

        Raises:
            A2aError: that is no schema.
        """
        schema = self.message.get("metadata", {}).get(SCHEMA)
        if schema is None:
            return None
        if not isinstance(schema, dict):
            raise invalid(f"message.metadata[{SCHEMA}]", "is a JSON Schema")
        try:
            return wanted(schema, REPAIRS)
        except ValueError as error:
            raise invalid(f"message.metadata[{SCHEMA}]", str(error)) from None


def sending(params: dict[str, Any]) -> Sending:
    """Return a message to send.

    Raises:
        A2aError: something is missing, of the wrong type, or not supported.
    """
    message = _object(params, "message", "")
    if message is None:
        raise invalid("message", "is missing")
    if not text(message, "messageId", "message"):
        raise invalid("message.messageId", "is missing")
    if message.get("role") != "ROLE_USER":
        raise invalid("message.role", "is that of the user")
    parts = message.get("parts")
    if not isinstance(parts, list) or not parts or not all(isinstance(p, dict) for p in parts):
        raise invalid("message.parts", "is a list of at least one object")
    if len(parts) > MOST_PARTS:
        raise invalid("message.parts", f"has more than {MOST_PARTS}")
    for n, part in enumerate(parts):
        kind_of(part, f"message.parts[{n}]")
    context = text(message, "contextId", "message")
    if context and not SESSION.fullmatch(context):
        raise invalid("message.contextId", "has 1 to 128 letters, digits, hyphens and underscores")
    optional = {"contextId": context or None, "taskId": text(message, "taskId", "message") or None}
    metadata = _object(message, "metadata", "message") or {}
    extensions = _texts(message, "extensions", "message")
    configuration = _object(params, "configuration", "") or {}
    if configuration.get("taskPushNotificationConfig"):
        raise A2aError("PushNotificationNotSupportedError", "push notifications are not supported")
    immediately = configuration.get("returnImmediately", False)
    if not isinstance(immediately, bool):
        raise invalid("configuration.returnImmediately", "is true or false")
    return Sending(
        {**message, **optional, "metadata": metadata, "extensions": extensions},
        _texts(configuration, "acceptedOutputModes", "configuration"),
        not immediately,
    )


MOST_LISTED = 100
_STATES = frozenset(STATES.values())


@dataclass(frozen=True, slots=True)
class Listing:
    """Which tasks are listed, and what of them."""

    context: str = ""
    state: str = ""
    after: str = ""
    """The moment after which they changed, as ISO 8601 in UTC."""
    size: int = 50
    cursor: tuple[float, str] | None = None
    artifacts: bool = False


def listing(params: dict[str, Any]) -> Listing:
    """Return what to list; in a path all values are texts.

    Raises:
        A2aError: something is of the wrong type.
    """
    size = params.get("pageSize", 50)
    if isinstance(size, str) and size.isascii() and size.isdecimal() and len(size) < 10:
        size = int(size)
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MOST_LISTED:
        raise invalid("pageSize", f"is a number from 1 to {MOST_LISTED}")
    artifacts = params.get("includeArtifacts", False)
    if artifacts not in (True, False, "true", "false"):
        raise invalid("includeArtifacts", "is true or false")
    state = text(params, "status", "")
    if state and state != "TASK_STATE_UNSPECIFIED" and not state.startswith("TASK_STATE_"):
        raise invalid("status", f"is one of {', '.join(sorted(_STATES))}")
    return Listing(
        text(params, "contextId", ""),
        state.removesuffix("TASK_STATE_UNSPECIFIED"),
        _utc(text(params, "statusTimestampAfter", "")),
        size,
        _cursor(text(params, "pageToken", "")),
        artifacts in (True, "true"),
    )


def token(run: Run) -> str:
    """Return what a client says to read on behind a task."""
    return f"{run.touched!r}_{run.id}"


def _cursor(said: str) -> tuple[float, str] | None:
    if not said:
        return None
    number, _, name = said.partition("_")
    try:
        return float(number), name
    except ValueError:
        raise invalid("pageToken", "is none that was given out") from None


def _utc(said: str) -> str:
    if not said:
        return ""
    try:
        return moment(datetime.fromisoformat(said).astimezone(UTC).timestamp())
    except (ValueError, OverflowError):
        raise invalid("statusTimestampAfter", "is a time as ISO 8601 has it") from None


def task_of(params: dict[str, Any]) -> str:
    """Return the name of the task that a request is about.

    Raises:
        A2aError: it is missing.
    """
    found = text(params, "id", "")
    if not found:
        raise invalid("id", "is missing")
    return found


def text(where: dict[str, Any], name: str, path: str) -> str:
    """Return a text, empty if it is absent.

    Raises:
        A2aError: it is none, or too long.
    """
    found = where.get(name)
    if found is None:
        return ""
    if not isinstance(found, str) or len(found) > LONGEST_NAME:
        raise invalid(_place(path, name), f"is a string of at most {LONGEST_NAME} characters")
    return found


def _object(where: dict[str, Any], name: str, path: str) -> dict[str, Any] | None:
    found = where.get(name)
    if found is not None and not isinstance(found, dict):
        raise invalid(_place(path, name), "is an object")
    return found


def _texts(where: dict[str, Any], name: str, path: str) -> list[str]:
    found = where.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise invalid(_place(path, name), "is a list of strings")
    return found


def _place(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
