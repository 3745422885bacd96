"""The HTTP API of a workflow: runs to begin, look at, follow, end, repeat, and steps that wait for a person."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request

from fleetform_runtime import __version__
from fleetform_runtime.http import ui
from fleetform_runtime.http.body import Fields, read
from fleetform_runtime.http.errors import Json
from fleetform_runtime.http.events import EventStream
from fleetform_runtime.http.health import Health, probes
from fleetform_runtime.http.openapi import document as openapi
from fleetform_runtime.http.router import Route
from fleetform_runtime.http.runs import Decisions, last_event
from fleetform_runtime.problems import CODES, HttpProblem
from fleetform_runtime.store import Event as ShownEvent
from fleetform_runtime.store import UnreadableRecordError
from fleetform_runtime.workflows.calls import Caller, CallError
from fleetform_runtime.workflows.records import (
    StepState,
    WorkflowRun,
    again_from,
    document,
    event,
    shown_step,
    wait_for_a_person,
)
from fleetform_runtime.workflows.settings import WorkflowSettings
from fleetform_runtime.workflows.store import Found, WorkflowStore
from fleetform_runtime.workflows.submitting import LARGEST_INPUT, NAME, named, submitted

MOST_RUNS = 100
LARGEST_BODY = LARGEST_INPUT + 64 * 1024
LOOK_SECONDS = 0.5
EVENT_STREAM = "text/event-stream"
_OF_DECISIONS = {403, 409, 413, 422, 429, 503}
"""Statuses with which an agent says what is wrong with a decision, or that it cannot take one now."""


class NewRun(Fields):
    """A run to begin."""

    name: Annotated[
        str | None,
        Field(
            pattern=NAME,
            description="Name of the run. The same name with the same inputs is the same run. Default: a new one.",
        ),
    ] = None
    input: Annotated[
        dict[str, Any],
        Field(description="Inputs; default: those that the workflow has defaults for."),
    ] = Field(default_factory=dict)


class WorkflowApi:
    """Handles requests; every caller sees every run, for they are the workflow's and not a user's."""

    def __init__(
        self,
        settings: WorkflowSettings,
        store: WorkflowStore,
        caller: Caller,
        wake: Callable[[str], None],
        config: str = "",
    ) -> None:
        """Take what runs are kept in and carried out by; `config` is the hash of the settings.

        `wake` is told the name of a run that has begun, or shall end.
        """
        self._settings = settings
        self._config = config
        self._store = store
        self._caller = caller
        self._wake = wake

    async def begin(self, request: Request) -> Json:
        """Begin a run, or find the one of its name."""
        if (asked := request.path_params.get("name")) not in (None, self._name):
            raise HttpProblem("not_found", f"this is the workflow {self._name}, not {asked}")
        body: NewRun = await self._read(request, NewRun)
        found, is_new = await submitted(
            self._settings,
            self._store,
            body.name or named(self._name),
            body.input,
            request.state.identity.user,
            request.headers.get("traceparent", ""),
        )
        self._wake(found.run.name)
        place = {"Location": f"/runs/{found.run.name}"}
        return Json(self._shown(found), 201 if is_new else 200, place)

    async def info(self, _: Request) -> Json:
        """Return what the workflow is: its inputs and its steps."""
        return Json(_described(self._settings) | {"config": self._config})

    async def page(self, request: Request) -> Json:
        """List runs, newest first."""
        asked = request.query_params
        phase = asked.get("phase", "")
        if phase not in ("", "Pending", "Running", "Succeeded", "Failed"):
            raise HttpProblem("invalid_request", "phase: Pending, Running, Succeeded or Failed")
        limit = asked.get("limit", "20")
        is_number = limit.isdecimal() and limit.isascii() and len(limit) < 10
        if not (is_number and 0 < int(limit) <= MOST_RUNS):
            raise HttpProblem("invalid_request", f"limit: 1 to {MOST_RUNS}")
        page = await self._store.page(phase, cursor(asked.get("cursor")), int(limit))
        found: dict[str, Any] = {"items": [await self._line(one) for one in page]}
        if len(page) == int(limit):
            found["cursor"] = token(page[-1].run)
        return Json(found)

    async def get(self, request: Request) -> Json:
        """Return a run."""
        return Json(self._shown(await self._found(request)))

    async def step(self, request: Request) -> Json:
        """Return a step with what is kept of its answer, and what it waits for."""
        found, name, state = await self._step(request)
        shown = shown_step(name, state) | {"output": state.outputs}
        if state.waits is not None and (agent := self._agent(found, name)) is not None:
            try:
                shown["pending"] = await self._caller.pending(agent, state.task, found.run.user)
            except CallError as error:
                shown["problem"] = str(error)
        return Json(shown)

    async def decide(self, request: Request) -> Json:
        """Pass on what a person has decided to the agent that waits."""
        found, name, state = await self._step(request)
        body: Decisions = await self._read(request, Decisions)
        agent = self._agent(found, name)
        if state.waits is None or agent is None:
            raise HttpProblem("approval_used", f"the step {name} waits for nobody")
        decisions = [item.model_dump(exclude_unset=True) for item in body.decisions]
        try:
            await self._caller.decide(agent, state.task, found.run.user, decisions)
        except CallError as error:
            raise _refusal(error) from None
        return Json(shown_step(name, state), 202)

    async def follow(self, request: Request) -> EventStream:
        """Follow a run from an event on."""
        found, after = await self._found(request), last_event(request)
        server = self._settings.server
        return EventStream(
            self._events(found.run.name, after, server.ping_seconds), server.slow_reader_seconds
        )

    async def cancel(self, request: Request) -> Json:
        """End a run."""
        found = await self._found(request)
        if not await self._store.stop(found.run.name, "Cancelled"):
            raise HttpProblem("run_ended", f"it is {found.run.phase}")
        self._wake(found.run.name)
        return Json(self._shown(found), 202)

    async def retry(self, request: Request) -> Json:
        """Begin a failed run again where it failed: what has succeeded stays."""
        found = await self._found(request)
        if found.run.phase != "Failed":
            code = "run_ended" if found.run.phase == "Succeeded" else "conflict"
            raise HttpProblem(code, f"it is {found.run.phase}; only a failed one begins again")
        run, left = again_from(found.run, found.steps)
        told = event(run.events, "run", phase="Pending", reason="Retried")
        if not await self._store.reopen(found, run, left, told):
            raise HttpProblem("conflict", "somebody else was first")
        self._wake(run.name)
        again = await self._store.get(run.name)
        return Json(self._shown(again or found), 202)

    # -- parts -------------------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return self._settings.workflow.name

    async def _read(self, request: Request, model: Any) -> Any:
        return await read(request, model, LARGEST_BODY, self._settings.server.read_seconds)

    async def _found(self, request: Request) -> Found:
        try:
            found = await self._store.get(str(request.path_params["id"]))
            if found is None:
                raise HttpProblem("run_not_found", "there is no such run, or it is no longer kept")
            _ = found.run.plan
        except UnreadableRecordError as error:
            raise HttpProblem("unreadable", str(error)) from None
        return found

    async def _step(self, request: Request) -> tuple[Found, str, StepState]:
        found, name = await self._found(request), str(request.path_params["step"])
        if name not in [step.name for step in found.run.plan.steps]:
            raise HttpProblem("not_found", f"the run has no step {name}")
        return found, name, found.steps.get(name, StepState())

    def _agent(self, found: Found, name: str) -> Any:
        step = next(step for step in found.run.plan.steps if step.name == name)
        return self._settings.agent(step.agent)

    def _shown(self, found: Found) -> dict[str, Any]:
        return document(found.run, found.steps, self._name, self._settings.workflow.namespace)

    async def _line(self, found: Found) -> dict[str, Any]:
        """Return a run as the list has it; whether it waits for a person, its steps say."""
        run, reason, waits = found.run, found.run.reason, False
        try:
            if run.phase in ("Pending", "Running"):
                _ = run.plan
            if run.phase == "Running":
                whole = await self._store.get(run.name)
                waits = whole is not None and wait_for_a_person(whole.steps)
        except UnreadableRecordError:
            reason = "Unreadable"
        line = {"name": run.name, "phase": run.phase, "reason": reason, "created": run.created}
        return line | ({"waiting": True} if waits else {})

    async def _events(self, name: str, after: int, ping: float) -> AsyncIterator[list[ShownEvent]]:
        """Yield events until that with which the run is over; nothing is a sign of life."""
        silent = 0.0
        while True:
            found = await self._store.get(name)
            events = await self._store.events(name, after)
            if events:
                after, silent = events[-1].number, 0.0
                yield [ShownEvent(one.number, one.kind, one.data) for one in events]
            if found is None or (found.run.ended is not None and found.run.notice != "due"):
                if found is None or found.run.events <= after:
                    return
                continue
            await asyncio.sleep(LOOK_SECONDS)
            silent += LOOK_SECONDS
            if silent >= ping:
                silent = 0.0
                yield []


def _refusal(error: CallError) -> HttpProblem:
    """Return why an agent refuses a decision: as it says itself, unless that is between it and the workflow."""
    if error.code in CODES and CODES[error.code][0] in _OF_DECISIONS:
        return HttpProblem(error.code, str(error), error.after, retryable=error.may_retry)
    detail = f"the agent has refused: {error}"
    return HttpProblem("conflict", detail, error.after, retryable=error.may_retry)


def _described(settings: WorkflowSettings) -> dict[str, Any]:
    workflow, definition = settings.workflow, settings.definition
    told = {"name", "agent", "depends_on", "parallel", "retries", "timeout_seconds"}
    return {
        "workflow": workflow.name,
        "namespace": workflow.namespace,
        "display_name": workflow.display_name or workflow.name,
        "description": workflow.description or "",
        "version": __version__,
        "contract": settings.contract,
        "auth": settings.auth.type,
        "memory": settings.memory.type,
        "input": [item.model_dump(mode="json", exclude_unset=True) for item in definition.input],
        "steps": [
            step.model_dump(mode="json", include=told, exclude_unset=True)
            for step in definition.steps
        ],
        "limits": {
            "run_seconds": definition.timeout_seconds,
            "runs": settings.concurrency.max_concurrent,
        },
    }


def token(run: WorkflowRun) -> str:
    """Return what a client says to read on behind a run: its moment exactly, or runs are left out or told twice."""
    return f"{run.created!r}~{run.name}"


def cursor(text: str | None) -> tuple[float, str] | None:
    """Return where to read on.

    Raises:
        HttpProblem: nobody was given that.
    """
    if not text:
        return None
    time, _, name = text.partition("~")
    try:
        if math.isfinite(number := float(time)):
            return number, name
    except ValueError:
        pass
    raise HttpProblem("invalid_request", "cursor: take it from the page before")


def routes(
    settings: WorkflowSettings,
    api: WorkflowApi,
    store: WorkflowStore,
    is_draining: Callable[[], bool],
) -> list[Route]:
    """Return every route of a workflow's process."""
    one = "/runs/{id}"
    step = f"{one}/steps/{{step}}"
    served = [
        Route("POST", "/workflows/{name}/runs", api.begin, summary="Begin a run", body=NewRun),
        Route("POST", "/runs", api.begin, summary="Begin a run", body=NewRun),
        Route("GET", "/info", api.info, summary="Show what the workflow is: its inputs and its steps"),
        Route("GET", "/runs", api.page, summary="List runs, newest first"),
        Route("GET", one, api.get, summary="Show a run"),
        Route("GET", f"{one}/events", api.follow, summary="Follow a run", answer=EVENT_STREAM),
        Route("POST", f"{one}/cancel", api.cancel, summary="End a run"),
        Route("POST", f"{one}/retry", api.retry, summary="Begin a failed run again where it failed"),
        Route("GET", step, api.step, summary="Show a step"),
        Route("POST", f"{step}/approvals", api.decide, summary="Decide for a step that waits", body=Decisions),
    ]  # fmt: skip
    described = openapi(settings.workflow.name, settings.workflow.description or "", served)

    async def show(_: Request) -> Json:
        return Json(described)

    workflow = settings.workflow
    known = {
        "workflow": workflow.name,
        "namespace": workflow.namespace,
        "title": workflow.display_name or workflow.name,
    }
    return [
        *served,
        *(ui.routes(settings.auth, known) if settings.server.ui else ()),
        Route("GET", "/openapi.json", show, public=True),
        *probes(Health(store.ping, is_draining, list), settings.health),
    ]
