"""POST /chat and its alias."""

import re
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request

from fleetform_runtime.access.identity import Identity, named
from fleetform_runtime.http.answering import Answering, wants_stream
from fleetform_runtime.http.body import Fields
from fleetform_runtime.http.content import content_of
from fleetform_runtime.http.mounting import BOTH, Mounted, Parts
from fleetform_runtime.http.router import Route
from fleetform_runtime.messages import User
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.live import Order
from fleetform_runtime.runs.service import Runs
from fleetform_runtime.runs.structured import REPAIRS, Wanted, wanted
from fleetform_runtime.tools import HOPS, PATH, UNNAMED

SESSION_ID = r"^[A-Za-z0-9_-]{1,128}$"
SESSION = re.compile(SESSION_ID)
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class ChatBody(Fields):
    """A user's message, and the session it belongs to."""

    message: Annotated[
        Annotated[str, Field(min_length=1)]
        | Annotated[list[dict[str, Any]], Field(min_length=1)]
        | None,
        Field(
            description="The user's message: text, or parts as in OpenAI's API, of type text, image_url "
            "(https or data) or file (data).",
        ),
    ] = None
    retry_of: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=256,
            description="A run that failed or was cancelled, instead of a message: what was asked in it is asked again.",
        ),
    ] = None
    session_id: Annotated[
        str | None, Field(pattern=SESSION_ID, description="Session to continue.")
    ] = None
    user_id: Annotated[
        str | None,
        Field(
            max_length=256,
            description="User, if the caller may act on behalf of users; otherwise ignored.",
        ),
    ] = None
    model: Annotated[
        str | None, Field(max_length=256, description="One of the models that /v1/models lists.")
    ] = None
    temperature: Annotated[
        Annotated[float, Field(ge=0, le=2)] | None,
        Field(description="Sampling temperature of the session from now on; default: as it was."),
    ] = None
    stream: Annotated[bool, Field(description="Answer with server-sent events.")] = False
    output_schema: Annotated[
        dict[str, Any] | None,
        Field(description="JSON Schema that the answer must match; it is in `data` then."),
    ] = None
    metadata: dict[str, Any] = Field(
        default_factory=dict, max_length=64, description="Added to the trace of the run."
    )


class Chat:
    """Handles chats."""

    def __init__(self, agent: str, runs: Runs, answering: Answering, most: int) -> None:
        self._agent = agent
        self._most = most
        self._runs = runs
        self._answering = answering

    async def chat(self, request: Request) -> Any:
        """Run the agent once."""
        body = await self._answering.read(request, ChatBody)
        identity = acting(request.state.identity, body.user_id)
        order = ordered(body, identity, streaming=body.stream or wants_stream(request))
        order.callers = callers_of(request, self._most)
        order.traceparent = request.headers.get("traceparent")
        return await self._answering.answer(request, order, lambda: self._runs.start(order))

    async def alias(self, request: Request) -> Any:
        """Run the agent if the path names this one."""
        if request.path_params["name"] != self._agent:
            raise HttpProblem("not_found", f"this is {self._agent}")
        return await self.chat(request)


def acting(identity: Identity, user: str | None) -> Identity:
    """Return the user that a caller acts for: itself, unless it may act on behalf of others."""
    if user is None or not identity.may_name_users:
        return identity
    return named(identity.user.partition("/")[0], user)


def callers_of(request: Request, most: int) -> tuple[str, ...]:
    """Return the agents that have called each other before this one.

    Raises:
        HttpProblem: with this one they are more than `most`: they probably do in a circle.
    """
    shown = request.headers.get(HOPS, "0")
    hops = int(shown) if shown.isascii() and shown.isdecimal() and len(shown) < 4 else 0
    said = [name.strip() for name in request.headers.get(PATH, "").split(",")[: most + 1]]
    named = [name if _NAME.fullmatch(name) else UNNAMED for name in said if name]
    callers = (*(UNNAMED,) * max(0, min(hops, most + 1) - len(named)), *named)
    if len(callers) >= most:
        path = " → ".join(callers)
        what = f"more than {most} agents would have called each other: {path} → this one"
        raise HttpProblem("agents_in_circle", what)
    return callers


def ordered(body: ChatBody, identity: Identity, *, streaming: bool) -> Order:
    """Return what a caller asks of the agent.

    Raises:
        HttpProblem: it cannot be asked.
    """
    return Order(
        user=identity.user,
        message=_message(body),
        session=body.session_id,
        retry_of=body.retry_of,
        model=body.model,
        temperature=body.temperature,
        streaming=streaming,
        metadata=body.metadata,
        wanted=wanted_of(body),
    )


def _message(body: ChatBody) -> User | None:
    """Return what a caller asks; None if that was asked before.

    Raises:
        HttpProblem: it says neither, or both.
    """
    if (body.message is None) == (body.retry_of is None):
        raise HttpProblem("invalid_fields", "one of message and retry_of is needed")
    return None if body.message is None else User(content_of(body.message, "message"))


def wanted_of(body: ChatBody) -> Wanted | None:
    """Return what a caller wants the answer to be.

    Raises:
        HttpProblem: its schema is none that answers can be compared with.
    """
    if body.output_schema is None:
        return None
    try:
        return wanted(body.output_schema, REPAIRS)
    except ValueError as error:
        raise HttpProblem("invalid_fields", f"output_schema: {error}") from None


def mount(parts: Parts) -> Mounted:
    """Mount the agent's own way to chat."""
    most = parts.settings.limits.agent_hops
    chat = Chat(parts.agent, parts.runs, parts.answering, most)
    one, other = "Chat with the agent", "Chat with the agent by name"
    return Mounted(
        (
            Route("POST", "/chat", chat.chat, summary=one, body=ChatBody, answer=BOTH),
            Route(
                "POST", "/agents/{name}/chat", chat.alias, summary=other, body=ChatBody, answer=BOTH
            ),
        )
    )
