"""POST /ag-ui: the agent for clients of the Agent User Interaction Protocol (AG-UI 1.0, docs.ag-ui.com).

A thread is a session, whose history is kept here: of the messages that a client sends, the last one counts. What waits for a
person ends a run with interrupts; the run that answers them goes on where it stood.
"""

import json
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import orjson
from pydantic import Field, ValidationError
from starlette.requests import Request

from fleetform_runtime.access.identity import Identity
from fleetform_runtime.http.answering import EVENT_STREAM, Answering
from fleetform_runtime.http.body import Fields, validated
from fleetform_runtime.http.chat import SESSION_ID, callers_of
from fleetform_runtime.http.content import content_of, wrong
from fleetform_runtime.http.events import Translated
from fleetform_runtime.http.mounting import Mounted, Parts
from fleetform_runtime.http.router import Route
from fleetform_runtime.http.runs import Decision, written
from fleetform_runtime.messages import User
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.live import LiveRun, Order
from fleetform_runtime.runs.service import Runs

VERSION = "1.0"
MOST_MESSAGES = 10_000
_NAME = Annotated[str, Field(min_length=1, max_length=256)]
_NOTHING: tuple[Any, ...] = (None, {}, [], "")
_ANSWER = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean", "description": "Whether the call is allowed."},
        "editedArgs": {
            "type": "object",
            "description": "Other arguments than those that the model wanted.",
        },
        "reason": {
            "type": "string",
            "description": "Reason for a refusal, shown to the model.",
        },
    },
    "required": ["approved"],
}
Json = dict[str, Any]


class Resume(Fields):
    """The answer to an interrupt."""

    interrupt_id: Annotated[str, Field(alias="interruptId", max_length=4_500)]
    status: str
    payload: Any = None
    metadata: Any = None


class Asked(Fields):
    """What a client asks for: the RunAgentInput of the protocol."""

    thread_id: Annotated[
        str, Field(alias="threadId", pattern=SESSION_ID, description="Session; made if it is new.")
    ]
    run_id: Annotated[_NAME, Field(alias="runId", description="Name of the run, echoed.")]
    protocol_version: Annotated[str | None, Field(alias="protocolVersion", max_length=32)] = None
    parent_run_id: Annotated[str | None, Field(alias="parentRunId", max_length=256)] = None
    messages: Annotated[
        list[Json],
        Field(
            max_length=MOST_MESSAGES,
            description="The conversation; the last message, the user's, is what is asked: history is kept here.",
        ),
    ] = Field(default_factory=list)
    resume: Annotated[
        list[Resume], Field(max_length=256, description="Answers to the interrupts of a run.")
    ] = Field(default_factory=list)
    forwarded: Annotated[
        Any, Field(alias="forwardedProps", description="`model` and `temperature`, as of /chat.")
    ] = None
    state: Annotated[Any, Field(description="None: an agent has no state of its client's.")] = None
    tools: Annotated[list[Any], Field(description="None: tools are the agent's own.")] = Field(
        default_factory=list
    )
    context: Annotated[list[Any], Field(description="None: say it in the message.")] = Field(
        default_factory=list
    )


class Forwarded(Fields):
    """What a client may choose besides."""

    model: Annotated[str | None, Field(max_length=256)] = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None


class AgUi:
    """Handles /ag-ui."""

    def __init__(self, runs: Runs, answering: Answering, most: int) -> None:
        self._runs = runs
        self._answering = answering
        self._most = most

    async def run(self, request: Request) -> Any:
        """Run the agent once, or go on with a run that has waited for a person."""
        body: Asked = validated(await self._answering.read_json(request, _attached), Asked)
        _refuse(body)
        identity, chosen = request.state.identity, _chosen(body.forwarded)
        order = Order(
            user=identity.user,
            message=None,
            session=body.thread_id,
            opens=body.thread_id,
            model=chosen.model,
            temperature=chosen.temperature,
            streaming=True,
            metadata={"run": body.run_id, "parent": body.parent_run_id},
            traceparent=request.headers.get("traceparent"),
        )
        known: dict[str, str] = {}
        if body.resume:
            paused, calls = _paused(body.resume)
            answers = [*zip(body.resume, calls, strict=True)]
            decisions = written([_decision(item, call) for item, call in answers])
            known = {call: item.interrupt_id for item, call in answers}
            start = partial(self._resumed, identity, paused, decisions, order)
        else:
            order.message = _message(body.messages)
            order.callers = callers_of(request, self._most)
            start = partial(self._runs.start, order)
        return await self._answering.answer(
            request, order, start, write=lambda run: _Events(run, body, known)
        )

    async def _resumed(
        self, identity: Identity, run: str, decisions: dict[str, Json], order: Order
    ) -> LiveRun:
        """Go on with a run of the caller's own in its own session.

        Raises:
            HttpProblem: it is another one's, of another thread, or waits no more.
        """
        state = await self._runs.seen(identity, run)
        if state.user != identity.user or state.session != order.session:
            raise HttpProblem("run_not_found", "no run of this thread waits for that", run_id=run)
        return await self._runs.decide(identity, run, decisions, order)


# -- what is asked -----------------------------------------------------------------------------------


def _refuse(body: Asked) -> None:
    """Refuse what would have no effect.

    Raises:
        HttpProblem: there is some.
    """
    why = {
        "tools": "tools are the agent's own: those of a client are not called",
        "context": "say it in the message",
        "state": "the agent keeps no state of its client's",
    }
    for name, said in why.items():
        if getattr(body, name) not in _NOTHING:
            raise wrong(name, f"not served here; {said}")


def _chosen(given: Any) -> Forwarded:
    if given in _NOTHING:
        return Forwarded()
    try:
        return Forwarded.model_validate(given)
    except ValidationError:
        raise wrong("forwardedProps", "model and temperature are taken, and nothing else") from None


def _message(messages: list[Json]) -> User:
    """Return what the user asks.

    Raises:
        HttpProblem: the last message is not the user's, or says nothing.
    """
    place = f"messages.{max(0, len(messages) - 1)}"
    last = messages[-1] if messages else {}
    if last.get("role") != "user":
        raise wrong(place, "the last message is what the user asks, or `resume` answers interrupts")
    content = last.get("content")
    parts = [_part(part) for part in content] if isinstance(content, list) else content
    found = content_of(parts if isinstance(parts, str | list) else None, f"{place}.content")
    if not found:
        raise wrong(f"{place}.content", "it says nothing")
    return User(found)


def _part(part: Any) -> Any:
    """Return a part as OpenAI's APIs have it; what is no part of this protocol is refused there."""
    found = part if isinstance(part, dict) else {}
    source = found.get("source")
    if found.get("type") not in ("image", "document") or not isinstance(source, dict):
        return part
    value, media = source.get("value"), source.get("mimeType")
    url = f"data:{media};base64,{value}" if source.get("type") == "data" else value
    if found["type"] == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"file_data": url, "filename": _filename(found)}}


def _filename(part: Json) -> Any:
    metadata = part.get("metadata")
    return metadata.get("filename") if isinstance(metadata, dict) else None


def _attached(document: Any) -> int:
    """Return how many characters of a request are images and files."""
    if isinstance(document, list):
        return sum(map(_attached, document))
    if not isinstance(document, dict):
        return 0
    value = document.get("value")
    if document.get("type") == "data" and isinstance(value, str):
        return len(value)
    return sum(map(_attached, document.values()))


# -- what waits for people ---------------------------------------------------------------------------


def _interrupt(run: str, call: Json, expires: str) -> Json:
    """Return an interrupt; its id names the run that waits, and the call."""
    asks, args = call.get("asks"), call["args"]
    question = args.get("question") if isinstance(args, Mapping) else None
    is_approval = call["type"] == "approval"
    said = asks["message"] if asks else question
    schema = asks["schema"] if asks else None
    return {
        "id": f"{run}:{call['id']}",
        "reason": "tool_call" if is_approval else "input_required",
        "message": f"Allow {call['name']}?" if is_approval else str(said or call["name"]),
        "toolCallId": f"{run}:{call['id']}",
        "expiresAt": expires,
        "metadata": {"digest": call["digest"]}
        | {name: call[name] for name in ("agent", "server") if name in call},
        **({"responseSchema": _ANSWER if is_approval else schema} if is_approval or schema else {}),
    }


def _paused(resume: list[Resume]) -> tuple[str, list[str]]:
    """Return the run that waits, and the calls that are decided on.

    Raises:
        HttpProblem: they are not those of one run.
    """
    parts = [item.interrupt_id.partition(":") for item in resume]
    runs = {run for run, _, _ in parts}
    if len(runs) != 1 or not all(call for _, _, call in parts):
        raise wrong("resume", "all interrupts of one run are answered at once, each by its id")
    return runs.pop(), [call for _, _, call in parts]


def _decision(item: Resume, call: str) -> Decision:
    """Return what a person has decided.

    Raises:
        HttpProblem: it is none.
    """
    if item.status == "cancelled":
        return Decision(id=call, approved=False)
    if item.status != "resolved":
        raise wrong("resume", "status: resolved or cancelled")
    given = item.payload
    if isinstance(given, dict) and isinstance(given.get("approved"), bool):
        edited, reason = given.get("editedArgs"), given.get("reason")
        if not isinstance(edited, dict | None) or not isinstance(reason, str | None):
            raise wrong("resume", "editedArgs is an object, reason a text")
        return Decision(id=call, approved=given["approved"], arguments=edited, reason=reason)
    return Decision(id=call, answer=given)


# -- what is told ------------------------------------------------------------------------------------


class _Events(Translated):
    """Converts the events of a run to those of the protocol: texts, thoughts and calls each begin and end."""

    def __init__(self, run: LiveRun, body: Asked, known: dict[str, str]) -> None:
        self._run = run
        self._body = body
        self._known = known
        """Calls that the client has seen when they were asked about, and what it calls them."""
        self._calls: dict[str, str] = {}
        self._named: set[str] = set()
        self._open = ""
        """What is being told: TEXT_MESSAGE, REASONING_MESSAGE, or nothing."""
        self._count = 0
        self._pending: Json | None = None
        custom = ("citations", "compaction", "tool_progress")
        super().__init__(
            {
                "run_start": self._start,
                "token": lambda data: self._say("TEXT_MESSAGE", "assistant", data["content"]),
                "thinking": lambda data: self._say(
                    "REASONING_MESSAGE", "reasoning", data["content"]
                ),
                "tool_start": self._call,
                "tool_end": self._result,
                "approval_required": self._wait,
                "done": self._done,
                "error": self._error,
                **{name: self._custom(name) for name in custom},
            }
        )

    def _event(self, kind: str, **members: Any) -> bytes:
        return b"data: " + orjson.dumps({"type": kind, **members}) + b"\n\n"

    def _start(self, data: Json) -> bytes:
        return self._event(
            "RUN_STARTED",
            threadId=self._body.thread_id,
            runId=self._body.run_id,
            protocolVersion=VERSION,
            metadata={"run_id": self._run.id, "model": data["model"]},
        )

    @property
    def _message(self) -> str:
        return f"{self._run.id}:message-{self._count}"

    def _say(self, kind: str, role: str, text: str) -> bytes:
        if not text:
            return b""
        told = b""
        if self._open != kind:
            told = self._close()
            self._open, self._count = kind, self._count + 1
            if kind == "REASONING_MESSAGE":
                told += self._event("REASONING_START", messageId=self._message)
            told += self._event(f"{kind}_START", messageId=self._message, role=role)
        return told + self._event(f"{kind}_CONTENT", messageId=self._message, delta=text)

    def _close(self) -> bytes:
        if not self._open:
            return b""
        told = self._event(f"{self._open}_END", messageId=self._message)
        if self._open == "REASONING_MESSAGE":
            told += self._event("REASONING_END", messageId=self._message)
        self._open = ""
        return told

    def _call(self, data: Json) -> bytes:
        name = data["id"]
        if name in self._known:
            self._calls[name] = self._known.pop(name)
            return self._close()
        shown = f"{self._run.id}:{name}"
        while shown in self._named:  # providers repeat ids from step to step
            shown += "'"
        self._named.add(shown)
        self._calls[name] = shown
        return self._close() + self._called(shown, data["name"], data["args"])

    def _called(self, shown: str, name: str, args: Any) -> bytes:
        text = args if isinstance(args, str) else json.dumps(args, ensure_ascii=False)
        return (
            self._event("TOOL_CALL_START", toolCallId=shown, toolCallName=name)
            + self._event("TOOL_CALL_ARGS", toolCallId=shown, delta=text)
            + self._event("TOOL_CALL_END", toolCallId=shown)
        )

    def _result(self, data: Json) -> bytes:
        told = b"" if data["id"] in self._calls else self._call({**data, "args": {}})
        shown = self._calls.pop(data["id"])
        self._count += 1
        facts = ("ok", "outcome", "duration_ms")
        return told + self._event(
            "TOOL_CALL_RESULT",
            messageId=self._message,
            toolCallId=shown,
            content=data["content"],
            role="tool",
            metadata={name: data[name] for name in facts if name in data},
        )

    def _wait(self, data: Json) -> bytes:
        self._pending = data
        told = self._close()
        for call in data["calls"]:
            told += self._called(f"{data['run_id']}:{call['id']}", call["name"], call["args"])
        return told

    def _custom(self, name: str) -> Any:
        return lambda data: self._event("CUSTOM", name=name, value=data)

    def _done(self, data: Json) -> bytes:
        outcome: Json = {"type": "success"}
        if self._pending is not None:
            waits = self._pending
            interrupts = [
                _interrupt(waits["run_id"], call, waits["expires_at"]) for call in waits["calls"]
            ]
            outcome = {"type": "interrupt", "interrupts": interrupts}
        return self._close() + self._finished(outcome, finish_reason=data["finish_reason"])

    def _finished(self, outcome: Json, **result: Any) -> bytes:
        return self._event(
            "RUN_FINISHED",
            threadId=self._body.thread_id,
            runId=self._body.run_id,
            outcome=outcome,
            result=result,
            usage=[_usage(self._run.result["usage"])],
        )

    def _error(self, data: Json) -> bytes:
        if data["code"] == "cancelled":
            return self._close() + self._finished({"type": "cancelled"}, finish_reason="cancelled")
        return self._close() + self._event("RUN_ERROR", message=data["message"], code=data["code"])


def _usage(usage: Json) -> Json:
    names = {
        "inputTokens": "input_tokens",
        "outputTokens": "output_tokens",
        "totalTokens": "total_tokens",
        "cachedInputTokens": "cached_tokens",
        "cacheWriteInputTokens": "cache_write_tokens",
        "reasoningTokens": "reasoning_tokens",
    }
    return {theirs: usage[ours] for theirs, ours in names.items() if ours in usage}


def mount(parts: Parts) -> Mounted:
    """Mount the protocol."""
    served = AgUi(parts.runs, parts.answering, parts.settings.limits.agent_hops)
    summary = "Run the agent for a client of AG-UI"
    return Mounted(
        (Route("POST", "/ag-ui", served.run, summary=summary, body=Asked, answer=EVENT_STREAM),),
        needs_store=True,
    )
