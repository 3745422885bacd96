"""The events of a run as updates of its task."""

import time
from collections.abc import Callable
from typing import Any

import orjson

from fleetform_runtime.a2a.errors import A2aError
from fleetform_runtime.a2a.names import ANSWER, PROGRESS, TERMINAL, TEXT, WORKING
from fleetform_runtime.a2a.parts import artifact
from fleetform_runtime.a2a.service import Followed
from fleetform_runtime.a2a.tasks import about, shown, status
from fleetform_runtime.http.events import PING
from fleetform_runtime.messages import moment
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.store import Event, Run

Frame = Callable[[dict[str, Any] | A2aError], bytes]
"""Writes what a stream tells in the words of a binding and a version."""


class Updates:
    """Writes the events of one stream: first the task, then what becomes of it."""

    def __init__(self, modes: list[str], frame: Frame) -> None:
        self._modes = modes
        self._frame = frame
        self._followed: Followed | None = None
        self._is_fresh = True
        """Whether the next piece replaces what was told: text before a call of a tool is not part of the answer."""
        self._result: dict[str, Any] = {}

    def begin(self, followed: Followed) -> None:
        """Take what is followed, before any of its events."""
        self._followed = followed

    def __call__(self, events: list[Event]) -> bytes:
        """Write events; none make a sign of life."""
        if not events:
            return PING
        found = [self._frame(item) for event in events for item in self._said(event)]
        return b"".join(found)

    def _said(self, event: Event) -> list[dict[str, Any] | A2aError]:
        data = orjson.loads(event.data)
        opening = self._opening() if self._followed is not None else []
        match event.type:
            case "token":
                return [*opening, self._piece(data["content"])]
            case "tool_start" | "tool_end" | "tool_progress":
                self._is_fresh = self._is_fresh or event.type != "tool_progress"
                return [*opening, self._progress(event.type, data)]
            case "usage":
                self._result["usage"] = data
            case "approval_required":
                self._result["pending"] = data
            case "done":
                return [*opening, *self._done(data)]
            case "error":
                return [*opening, self._failed(data)]
        return opening

    def _opening(self) -> list[dict[str, Any] | A2aError]:
        followed = self._followed
        if followed is None:  # pragma: no cover - only called while there is one
            return []
        self._task, self._run, self._followed = followed.task, followed.run, None
        return [{"task": shown(self._task, self._run, self._modes)}]

    def _place(self) -> dict[str, str]:
        return {"taskId": self._task, "contextId": self._run.session}

    def _piece(self, text: str) -> dict[str, Any]:
        append, self._is_fresh = not self._is_fresh, False
        part = {"artifactId": ANSWER, "name": ANSWER, "parts": [{"text": text, "mediaType": TEXT}]}
        return {
            "artifactUpdate": {
                **self._place(),
                "artifact": part,
                "append": append,
                "lastChunk": False,
            }
        }

    def _progress(self, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        told = {"event": kind} | {
            name: data[name] for name in ("id", "name", "ok", "tool") if name in data
        }
        state = {"state": WORKING, "timestamp": moment(time.time())}
        return {"statusUpdate": {**self._place(), "status": state, "metadata": {PROGRESS: told}}}

    def _done(self, data: dict[str, Any]) -> list[dict[str, Any] | A2aError]:
        members = ("output", "data")
        said: dict[str, Any] = {name: data[name] for name in members if name in data}
        waits = data["finish_reason"] == "approval_required"
        found: list[dict[str, Any] | A2aError] = []
        made = None if waits else artifact(said, self._modes)
        if made is not None:  # whole: some clients take the last piece for the answer
            whole = {**self._place(), "artifact": made, "append": False, "lastChunk": True}
            found.append({"artifactUpdate": whole})
        return [*found, self._ended("waiting" if waits else "succeeded", said)]

    def _failed(self, data: dict[str, Any]) -> dict[str, Any] | A2aError:
        problem = HttpProblem(data["code"], data["message"], retryable=data["retryable"])
        if "run_id" not in data:  # the run goes on, and cannot be followed at the moment
            return A2aError("InternalError", problem.detail, problem=problem)
        kind = "cancelled" if problem.code == "cancelled" else "failed"
        return self._ended(kind, {"error": problem.body()})

    def _ended(self, state: str, said: dict[str, Any]) -> dict[str, Any]:
        run = Run(
            id=self._run.id,
            user=self._run.user,
            session=self._run.session,
            status=state,
            created=self._run.created,
            ended=time.time(),
            result=self._result | said,
        )
        now = status(self._task, run)
        metadata = about(run) if now["state"] in TERMINAL else {}
        return {
            "statusUpdate": {
                **self._place(),
                "status": now,
                **({"metadata": metadata} if metadata else {}),
            }
        }
