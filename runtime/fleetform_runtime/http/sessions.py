"""/sessions: list, create, get, change, delete, list messages."""

import asyncio
import uuid
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from fleetform_runtime.http.answering import Answering
from fleetform_runtime.http.body import Fields
from fleetform_runtime.http.chat import SESSION_ID
from fleetform_runtime.http.errors import Json
from fleetform_runtime.http.mounting import Mounted, Parts
from fleetform_runtime.http.router import Route
from fleetform_runtime.messages import (
    Assistant,
    File,
    Message,
    Part,
    Summary,
    ToolResults,
    User,
    moment,
)
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.calls import readable
from fleetform_runtime.runs.service import Runs
from fleetform_runtime.runs.sessions import Sessions
from fleetform_runtime.store import Session

PAGE = 50
LARGEST_PAGE = 200
LONGEST_SEARCH = 256

Title = Annotated[str, Field(min_length=1, max_length=256, description="Title shown in lists.")]


Temperature = Annotated[float, Field(ge=0, le=2)]


class NewSession(Fields):
    """A session to be created."""

    session_id: Annotated[
        str | None, Field(pattern=SESSION_ID, description="Identifier; default: a random one.")
    ] = None
    title: Title | None = None
    model: Annotated[str | None, Field(max_length=256, description="One of /v1/models.")] = None
    temperature: Annotated[
        Temperature | None, Field(description="Sampling temperature; default: the model's.")
    ] = None


class SessionChange(Fields):
    """The fields that may be changed."""

    title: Title | None = None
    model: Annotated[str | None, Field(max_length=256, description="One of /v1/models.")] = None
    temperature: Annotated[
        Temperature | None, Field(description="Sampling temperature; null: the model's.")
    ] = None


class SessionRoutes:
    """Handles /sessions for the caller's own sessions."""

    def __init__(self, sessions: Sessions, runs: Runs, answering: Answering) -> None:
        self._sessions = sessions
        self._runs = runs
        self._answering = answering

    async def list(self, request: Request) -> Json:
        """List sessions, most recently used first: all, or those whose title has a text."""
        start, count = page_of(request)
        user, text = request.state.identity.user, request.query_params.get("q", "").strip()
        if len(text) > LONGEST_SEARCH:
            raise HttpProblem("invalid_request", f"q has at most {LONGEST_SEARCH} characters")
        if text:
            found, total = await self._sessions.found(user, text, start, count)
        else:
            found, total = await self._sessions.store.recent(user, start, count)
        items = await asyncio.gather(*map(self._shown, found))
        return Json({"sessions": items, "total": total, "offset": start})

    async def create(self, request: Request) -> Json:
        """Create a session without messages."""
        body: NewSession = await self._answering.read(request, NewSession)
        if body.model:
            self._runs.model(body.model)
        session = Session(
            id=body.session_id or uuid.uuid4().hex,
            user=request.state.identity.user,
            title=body.title or "",
            model=body.model or "",
            temperature=body.temperature,
        )
        if body.temperature is not None:
            self._runs.check_temperature(session.model)
        return await self._one(await self._sessions.create(self._runs.begun(session)), 201)

    async def get(self, request: Request) -> Json:
        """Return a session."""
        return await self._one(
            await self._sessions.get(request.state.identity.user, _name(request))
        )

    async def change(self, request: Request) -> Json:
        """Change a session's title, model or temperature."""
        body: SessionChange = await self._answering.read(request, SessionChange)
        given = {name: value for name in ("title", "model") if (value := getattr(body, name))}
        if "temperature" in body.model_fields_set:
            given["temperature"] = body.temperature
        if not given:
            raise HttpProblem("invalid_fields", "title, model or temperature is missing")
        if body.model:
            self._runs.model(body.model)
        user, name = request.state.identity.user, _name(request)
        if body.temperature is not None:
            model = body.model or (await self._sessions.get(user, name)).model
            self._runs.check_temperature(model)
        return await self._one(await self._sessions.change(user, name, given, _if_match(request)))

    async def delete(self, request: Request) -> Response:
        """Delete a session, and what was learned in it if the caller wants that."""
        told = request.query_params.get("memories", "false")
        if told not in ("true", "false"):
            raise HttpProblem("invalid_request", "memories must be true or false")
        user = request.state.identity.user
        await self._runs.delete_session(user, _name(request), memories=told == "true")
        return Response(status_code=204)

    async def messages(self, request: Request) -> Json:
        """List messages, oldest first."""
        start, count = page_of(request)
        user = request.state.identity.user
        session, found = await self._sessions.messages(user, _name(request), start, count)
        return Json(
            {
                "messages": [message(item) for item in found],
                "total": session.messages + len(session.parked),
                "offset": start,
            }
        )

    async def _shown(self, session: Session) -> dict[str, Any]:
        return shown(session, await self._sessions.running(session))

    async def _one(self, session: Session, status: int = 200) -> Json:
        return Json(await self._shown(session), status, {"ETag": f'"{session.revision}"'})


def shown(session: Session, running: str | None) -> dict[str, Any]:
    """Return what a caller sees of a session; `running` is its run that goes on."""
    return {
        "session_id": session.id,
        "title": session.title,
        "model": session.model,
        **({"variant": session.variant} if session.variant else {}),
        "created_at": moment(session.created),
        "updated_at": moment(session.updated),
        "messages": session.messages + len(session.parked),
        "revision": session.revision,
        "waiting": session.waiting[0]["run_id"] if session.waiting else None,
        "running": running,
        "temperature": session.temperature,
    }


def message(item: Message) -> dict[str, Any]:
    """Return what a caller sees of a message."""
    if isinstance(item, Summary):
        return {
            "role": "summary",
            "content": item.plain(),
            "keeps": item.keeps,
            "model": item.model,
            "usage": item.usage.body(),
            "created_at": item.at,
        }
    if isinstance(item, User):
        return {"role": "user", "content": _content(item), "created_at": item.at}
    if isinstance(item, ToolResults):
        results = [
            {
                "id": r.id,
                "name": r.name,
                "ok": r.outcome == "ok",
                "outcome": r.outcome,
                "content": r.content,
                **({} if r.duration_ms is None else {"duration_ms": r.duration_ms}),
                **({"images": [_part(image) for image in r.images]} if r.images else {}),
                **({"citations": [asdict(one) for one in r.citations]} if r.citations else {}),
            }
            for r in item.results
        ]
        return {"role": "tool", "results": results, "created_at": item.at}
    return _answer(item)


def _answer(item: Assistant) -> dict[str, Any]:
    calls = [{"id": c.id, "name": c.name, "args": readable(c.arguments)} for c in item.calls]
    return {
        "role": "assistant",
        "content": item.text,
        **({"thinking": item.thinking} if item.thinking else {}),
        "tool_calls": calls,
        "model": item.model,
        "usage": item.usage.body(),
        "finish_reason": item.finish,
        "created_at": item.at,
    }


def _content(item: User) -> Any:
    if isinstance(item.content, str):
        return item.content
    return [_part(part) for part in item.content]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, File):
        return {"type": "file", "file": {"filename": part.name, "file_data": part.url}}
    return {"type": "image_url", "image_url": {"url": part.url}}


def page_of(request: Request) -> tuple[int, int]:
    """Read offset and limit of a list.

    Raises:
        HttpProblem: they are not valid numbers.
    """
    values = []
    for name, default, most in (("offset", 0, 2**31), ("limit", PAGE, LARGEST_PAGE)):
        text = request.query_params.get(name, str(default))
        if not (text.isascii() and text.isdecimal() and len(text) < 12 and int(text) <= most):
            raise HttpProblem("invalid_request", f"{name} must be a number from 0 to {most}")
        values.append(int(text))
    return values[0], values[1]


def _name(request: Request) -> str:
    return str(request.path_params["id"])


def _if_match(request: Request) -> int | None:
    header = request.headers.get("if-match")
    if header is None or header == "*":
        return None
    text = header.strip().strip('"')
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise HttpProblem("invalid_request", "If-Match must be the revision from the ETag")
    return int(text)


def mount(parts: Parts) -> Mounted:
    """Mount sessions."""
    sessions = SessionRoutes(parts.runs.sessions, parts.runs, parts.answering)
    path, one, change = "/sessions", "/sessions/{id}", "Change title, model or temperature"
    return Mounted(
        (
            Route("GET", path, sessions.list, summary="List sessions"),
            Route("POST", path, sessions.create, summary="Create a session", body=NewSession),
            Route("GET", one, sessions.get, summary="Get a session"),
            Route("PATCH", one, sessions.change, summary=change, body=SessionChange),
            Route("DELETE", one, sessions.delete, summary="Delete a session"),
            Route("GET", f"{one}/messages", sessions.messages, summary="List messages"),
        ),
        needs_store=True,
    )
