"""/memories: what an agent remembers of the caller, listed, added and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from fleetform_runtime.http.answering import Answering
from fleetform_runtime.http.body import Fields
from fleetform_runtime.http.errors import Json
from fleetform_runtime.http.mounting import Mounted, Parts
from fleetform_runtime.http.router import Route
from fleetform_runtime.http.sessions import page_of
from fleetform_runtime.messages import moment
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.service import Runs
from fleetform_runtime.store import ConflictError, Memory

if TYPE_CHECKING:
    from fleetform_runtime.memories.remembering import Remembering


class NewMemory(Fields):
    """Something to be remembered."""

    text: Annotated[str, Field(min_length=1, max_length=500, description="What to remember.")]
    kind: Annotated[
        Literal["semantic", "episodic", "instruction"],
        Field(description="A fact, something that happened, or a wish; default: semantic."),
    ] = "semantic"


class MemoryRoutes:
    """Handles /memories for the caller's own memories."""

    def __init__(self, remembering: Remembering, runs: Runs, answering: Answering) -> None:
        self._remembering = remembering
        self._runs = runs
        self._answering = answering

    async def list(self, request: Request) -> Json:
        """List memories, the latest first."""
        start, count = page_of(request)
        found = (await self._remembering.memories.load(_owner(request))).memories
        shown = [_shown(one) for one in found[start : start + count]]
        return Json({"memories": shown, "total": len(found), "offset": start})

    async def add(self, request: Request) -> Json:
        """Remember something, or correct what is the same."""
        from fleetform_runtime.memories.service import Draft  # noqa: PLC0415 - few agents need it

        body: NewMemory = await self._answering.read(request, NewMemory)
        owner, draft = _owner(request), Draft(body.text, body.kind)
        await self._runs.admit(owner)
        try:
            made = await self._remembering.memories.remember(owner, draft)
        except ConflictError:
            raise HttpProblem("conflict", "memories are deleted at the same time") from None
        if made is None:
            raise HttpProblem("invalid_fields", "text: there is nothing to remember in it")
        return Json(_shown(made), 201)

    async def delete(self, request: Request) -> Response:
        """Delete one memory."""
        name = str(request.path_params["id"])
        if not await self._remembering.forget(_owner(request), [name]):
            raise HttpProblem("memory_not_found", "it never existed, is not yours, or is deleted")
        return Response(status_code=204)

    async def clear(self, request: Request) -> Json:
        """Delete all memories."""
        return Json({"deleted": await self._remembering.forget(_owner(request))})


def _owner(request: Request) -> str:
    return str(request.state.identity.user)


def _shown(memory: Memory) -> dict[str, Any]:
    return {
        "id": memory.id,
        "text": memory.text,
        "kind": memory.kind,
        "created_at": moment(memory.created),
        "used_at": moment(memory.used),
        "hits": memory.hits,
        "session_id": memory.session or None,
        "run_id": memory.run or None,
    }


def mount(parts: Parts) -> Mounted:
    """Mount memories, where there are any."""
    if parts.runs.remembering is None:
        return Mounted(())
    memories = MemoryRoutes(parts.runs.remembering, parts.runs, parts.answering)
    path = "/memories"
    return Mounted(
        (
            Route("GET", path, memories.list, summary="List what is remembered of you"),
            Route("POST", path, memories.add, summary="Remember something", body=NewMemory),
            Route("DELETE", path, memories.clear, summary="Delete all that is remembered of you"),
            Route("DELETE", f"{path}/{{id}}", memories.delete, summary="Delete a memory"),
        ),
        needs_store=True,
    )
