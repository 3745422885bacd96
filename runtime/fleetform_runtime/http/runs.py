"""/runs: status, cancellation, and human decisions on pending calls."""

from typing import Annotated, Any

import orjson
from pydantic import Field
from starlette.requests import Request

from fleetform_runtime.access.identity import Identity
from fleetform_runtime.http.answering import EVENT_STREAM, Answering, wants_stream
from fleetform_runtime.http.body import Fields
from fleetform_runtime.http.errors import Json
from fleetform_runtime.http.events import EventStream
from fleetform_runtime.http.mounting import BOTH, Mounted, Parts
from fleetform_runtime.http.router import Route
from fleetform_runtime.messages import moment
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.live import Order
from fleetform_runtime.runs.service import Runs
from fleetform_runtime.store import Run


class Decision(Fields):
    """A human decision on one call."""

    id: Annotated[str, Field(max_length=4_096, description="Identifier of the call.")]
    approved: Annotated[
        bool | None, Field(description="For an approval: whether the call is allowed.")
    ] = None
    arguments: Annotated[
        dict[str, Any] | None,
        Field(description="For an approval: other arguments than those that the model wanted."),
    ] = None
    answer: Annotated[
        Any,
        Field(description="For a question: the answer, matching the output schema of its tool."),
    ] = None
    reason: Annotated[
        str | None, Field(max_length=8192, description="Reason for a refusal, shown to the model.")
    ] = None
    digest: Annotated[
        str | None,
        Field(max_length=64, description="Digest of the call; if given, it must match."),
    ] = None


class Decisions(Fields):
    """Decisions on all pending calls."""

    decisions: Annotated[list[Decision], Field(min_length=1, max_length=256)]
    stream: Annotated[bool, Field(description="Answer with server-sent events.")] = False


class RunRoutes:
    """Handles /runs: the caller's own runs, and of others what an approver has to know."""

    def __init__(self, runs: Runs, answering: Answering) -> None:
        self._runs = runs
        self._answering = answering

    async def list(self, request: Request) -> Json:
        """List runs that wait for a person: the caller's, and those that it decides on."""
        if request.query_params.get("status") != "waiting":
            raise HttpProblem("invalid_request", "ask for status=waiting: those runs are listed")
        return Json({"runs": await self._runs.waiting(request.state.identity)})

    async def get(self, request: Request) -> Json:
        """Return the state of a run."""
        return Json(shown_to(request.state.identity, await self._seen(request)))

    async def follow(self, request: Request) -> EventStream:
        """Follow a run from an event on."""
        user, run, after = request.state.identity.user, _name(request), last_event(request)
        return await self._answering.follow(
            user, lambda ping: self._runs.follow(user, run, after, ping)
        )

    async def cancel(self, request: Request) -> Json:
        """Cancel a run."""
        state = await self._runs.cancel(request.state.identity, _name(request))
        return Json(shown(state), 202)

    async def decide(self, request: Request) -> Any:
        """Continue a paused run."""
        body: Decisions = await self._answering.read(request, Decisions)
        identity = request.state.identity
        order = Order(
            user=identity.user,
            message=None,
            streaming=body.stream or wants_stream(request),
            traceparent=request.headers.get("traceparent"),
        )
        decisions = written(body.decisions)
        state = await self._seen(request)
        if state.user == identity.user:
            return await self._answering.answer(
                request, order, lambda: self._runs.decide(identity, state.id, decisions, order)
            )
        if body.stream:
            raise HttpProblem("invalid_fields", "stream: what follows is for whoever asked")
        order.streaming = True  # for whoever asked
        await self._runs.decide(identity, state.id, decisions, order)
        return Json(shown_to(identity, await self._seen(request)), 202)

    async def _seen(self, request: Request) -> Run:
        return await self._runs.seen(request.state.identity, _name(request))


def written(decisions: list[Decision]) -> dict[str, dict[str, Any]]:
    """Return decisions by call; an answer that is not text becomes JSON for the model.

    Raises:
        HttpProblem: there are two decisions on one call, or an answer is nested too deeply.
    """
    found: dict[str, dict[str, Any]] = {}
    for item in decisions:
        if item.id in found:
            raise HttpProblem("invalid_fields", f"two decisions on {item.id}")
        if item.arguments is not None and item.approved is not True:
            raise HttpProblem("invalid_fields", f"arguments for {item.id}, which is not approved")
        answer = item.answer
        if answer is not None and not isinstance(answer, str):
            try:
                answer = orjson.dumps(answer).decode()
            except TypeError:
                raise HttpProblem(
                    "invalid_fields", f"the answer to {item.id} is nested too deeply"
                ) from None
        found[item.id] = {
            "approved": item.approved,
            "arguments": item.arguments,
            "answer": answer,
            "raw_answer": item.answer,
            "reason": item.reason,
            "digest": item.digest,
        }
    return found


def shown(run: Run) -> dict[str, Any]:
    """Return what a caller sees of a run."""
    return {
        "run_id": run.id,
        "session_id": run.session,
        "status": run.status,
        "created_at": moment(run.created),
        "ended_at": moment(run.ended) if run.ended else None,
        **{
            name: value
            for name, value in run.result.items()
            if name not in ("run_id", "session_id")
        },
    }


def shown_to(identity: Identity, run: Run) -> dict[str, Any]:
    """Return what a caller sees of a run; an approver sees what was to be decided, and by whom it was."""
    if run.user == identity.user:
        return shown(run)
    return {
        "run_id": run.id,
        "status": run.status,
        "created_at": moment(run.created),
        "asked_by": run.user,
        **{name: run.result[name] for name in ("pending", "decision") if name in run.result},
    }


def _name(request: Request) -> str:
    return str(request.path_params["id"])


def last_event(request: Request) -> int:
    """Return the number of the event from which on a client wants to follow.

    Raises:
        HttpProblem: it is no number.
    """
    shown = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
    if not (shown.isdecimal() and shown.isascii() and len(shown) < 16):
        raise HttpProblem("invalid_request", "Last-Event-ID is the number of an event")
    return int(shown)


def mount(parts: Parts) -> Mounted:
    """Mount runs."""
    runs = RunRoutes(parts.runs, parts.answering)
    one, follow, decide = "/runs/{id}", "Follow a run from an event on", "Decide on pending calls"
    allow = f"{one}/approvals"
    return Mounted(
        (
            Route("GET", "/runs", runs.list, summary="List runs that wait for a person"),
            Route("GET", one, runs.get, summary="Show a run"),
            Route("GET", f"{one}/events", runs.follow, summary=follow, answer=EVENT_STREAM),
            Route("POST", f"{one}/cancel", runs.cancel, summary="Stop a run"),
            Route("POST", allow, runs.decide, summary=decide, body=Decisions, answer=BOTH),
        ),
        needs_store=True,
    )
