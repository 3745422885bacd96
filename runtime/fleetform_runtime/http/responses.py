"""/v1/responses: the agent as a model for clients of the Responses API.

Nothing is stored: the client sends the conversation each time, as items. The agent's own tools
run here; calls of the client's functions are returned to it.
"""

from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from starlette.requests import Request

from fleetform_runtime.http import errors
from fleetform_runtime.http.answering import Answering
from fleetform_runtime.http.content import content_of, shown, text_of, wrong
from fleetform_runtime.http.events import Translated
from fleetform_runtime.http.mounting import BOTH, Mounted, Parts
from fleetform_runtime.http.openai import add_result, refuse_others, spec
from fleetform_runtime.http.router import Route
from fleetform_runtime.messages import Assistant, Message, ToolCall, User
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.live import LiveRun, Order
from fleetform_runtime.runs.service import Runs

PASSED_ON = (
    "temperature", "top_p", "parallel_tool_calls", "service_tier", "user", "safety_identifier",
    "prompt_cache_key", "prompt_cache_retention",
)  # fmt: skip
"""Members of a request that go to the model as they are."""
MEANT_ANYWAY: dict[str, tuple[Any, ...]] = {
    "store": (False,),
    "background": (False,),
    "include": ([],),
    "truncation": ("auto",),
    "top_logprobs": (0,),
    "stream_options": ({}, {"include_obfuscation": False}),
}
"""Members that ask for what happens anyway, with these values; with others they are refused."""
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Strict(BaseModel):
    """Part of a request: each member has an effect, or is refused by name."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Function(Strict):
    """A function that the client runs."""

    type: Literal["function"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Reasoning(Strict):
    """How much the model thinks; what it tells of that is always given as a summary."""

    effort: Annotated[str, Field(pattern=r"^[a-z]{1,16}$")] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class Format(Strict):
    """What the text of the answer is."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    description: str | None = None
    strict: bool | None = None

    @model_validator(mode="after")
    def _need_a_schema(self) -> Self:
        if self.type == "json_schema" and not (self.name and self.schema_):
            raise ValueError("a format of type json_schema has a name and a schema")
        return self


class Text(Strict):
    """The text of the answer."""

    format: Format | None = None
    verbosity: str | None = None


class Chosen(Strict):
    """A function that the model is to call."""

    type: Literal["function"]
    name: str


class Creation(BaseModel):
    """A request for a response: each member has an effect, or is refused by name."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    model: Annotated[str, Field(min_length=1, max_length=256)]
    input: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[dict[str, Any]], Field(min_length=1, max_length=10_000)]
    )
    instructions: str | None = None
    stream: bool | None = None
    tools: Annotated[list[Function], Field(max_length=256)] | None = None
    tool_choice: Literal["auto", "none", "required"] | Chosen | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    text: Text | None = None
    metadata: dict[str, Any] | None = None

    @field_validator("tools", mode="before")
    @classmethod
    def _refuse_hosted_tools(cls, tools: Any) -> Any:
        for tool in tools if isinstance(tools, list) else ():
            kind = tool.get("type") if isinstance(tool, dict) else None
            if isinstance(kind, str) and kind != "function":
                raise ValueError(
                    f"tools of type {kind} are not served here; give the agent such a tool, "
                    "or send functions"
                )
        return tools

    @model_validator(mode="after")
    def _refuse_what_is_not_served(self) -> Self:
        refuse_others(self.model_extra, PASSED_ON, MEANT_ANYWAY, "here, where nothing is kept")
        return self


class Responses:
    """Handles /v1/responses."""

    def __init__(self, agent: str, runs: Runs, answering: Answering) -> None:
        self._agent = agent
        self._runs = runs
        self._answering = answering

    async def create(self, request: Request) -> Any:
        """Run the agent on the conversation that the client sent."""
        body: Creation = await self._answering.read(request, Creation)
        order = self._order(body, request)
        return await self._answering.answer(
            request,
            order,
            lambda: self._runs.start(order),
            whole=lambda run, result: _whole(run, result, body),
            write=lambda run: _Events(run, body),
        )

    def _order(self, body: Creation, request: Request) -> Order:
        system, history = _conversation(body)
        message = history.pop() if history and isinstance(history[-1], User) else None
        return Order(
            user=request.state.identity.user,
            message=message if isinstance(message, User) else None,
            model=None if body.model == self._agent else body.model,
            streaming=bool(body.stream),
            metadata=body.metadata or {},
            traceparent=request.headers.get("traceparent"),
            stateless=True,
            history=history,
            system=system,
            foreign=[
                spec(tool.name, tool.description, tool.parameters, strict=tool.strict)
                for tool in body.tools or ()
            ],
            tool_choice=_choice(body),
            overrides=_overrides(body),
        )


def _choice(body: Creation) -> Any:
    if isinstance(body.tool_choice, Chosen):
        return {"type": "function", "function": {"name": body.tool_choice.name}}
    return body.tool_choice


def _overrides(body: Creation) -> dict[str, Any]:
    """Return what goes to the model, by the names of Chat Completions."""
    text = body.text or Text()
    asked = {name: getattr(body, name, None) for name in PASSED_ON} | {
        "max_tokens": body.max_output_tokens,
        "reasoning_effort": body.reasoning.effort if body.reasoning else None,
        "verbosity": text.verbosity,
        "response_format": _format(text.format),
    }
    return {name: value for name, value in asked.items() if value is not None}


def _format(asked: Format | None) -> dict[str, Any] | None:
    if asked is None or asked.type == "text":
        return None
    if asked.type == "json_object":
        return {"type": "json_object"}
    schema = asked.model_dump(by_alias=True, exclude={"type"}, exclude_none=True)
    return {"type": "json_schema", "json_schema": schema}


def _conversation(body: Creation) -> tuple[str, list[Message]]:
    """Return the client's addition to the system prompt, and the conversation.

    Raises:
        HttpProblem: an item of it is of a kind that is not taken.
    """
    system = [body.instructions or ""]
    if isinstance(body.input, str):
        return system[0], [User(body.input)]
    history: list[Message] = []
    for index, item in enumerate(body.input):
        _add(history, system, item, f"input.{index}")
    return "\n\n".join(part for part in system if part), history


def _add(history: list[Message], system: list[str], item: dict[str, Any], path: str) -> None:
    kind = item.get("type", "message")
    if kind == "message":
        _add_message(history, system, item, path)
    elif kind == "function_call":
        _add_call(history, item, path)
    elif kind == "function_call_output":
        text, images = shown(_content(item, "output", path), f"{path}.output")
        add_result(history, item.get("call_id"), text, f"{path}.call_id", images)
    elif kind != "reasoning":  # what is thought here is not kept; a client sends it back anyway
        raise wrong(f"{path}.type", f"an item of type {kind!r} is not taken")


def _add_message(
    history: list[Message], system: list[str], item: dict[str, Any], path: str
) -> None:
    role, content, at = item.get("role"), _content(item, "content", path), f"{path}.content"
    if role == "user":
        history.append(User(content_of(content, at)))
    elif role in ("system", "developer"):
        system.append(text_of(content, at))
    elif role == "assistant":
        history.append(Assistant(text=text_of(content, at)))
    else:
        raise wrong(f"{path}.role", "user, assistant, system or developer")


def _content(item: dict[str, Any], name: str, path: str) -> Any:
    """Return a text or a list of parts."""
    found = item.get(name)
    if not isinstance(found, str | list):
        raise wrong(f"{path}.{name}", "a text or a list of parts")
    return found


def _add_call(history: list[Message], item: dict[str, Any], path: str) -> None:
    """Add a call to the answer that it belongs to: that right before it."""
    for name in ("call_id", "name", "arguments"):
        if not isinstance(item.get(name), str):
            raise wrong(f"{path}.{name}", "a text")
    if not history or not isinstance(history[-1], Assistant):
        history.append(Assistant())
    answer = history[-1]
    if isinstance(answer, Assistant):
        answer.calls.append(ToolCall(item["call_id"], item["name"], item["arguments"]))


def _response(run: LiveRun, body: Creation, status: str, output: list[Any]) -> dict[str, Any]:
    """Return a response, with what the client asked for."""
    shown = {"reasoning", "text", "tool_choice", "tools"}
    asked = body.model_dump(by_alias=True, exclude_none=True, include=shown)
    return {
        "id": f"resp_{run.id}",
        "object": "response",
        "created_at": int(run.created),
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata or {},
        "model": body.model,
        "output": output,
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": asked.get("reasoning", {"effort": None, "summary": None}),
        "store": False,
        "temperature": body.temperature,
        "text": asked.get("text", {"format": {"type": "text"}}),
        "tool_choice": asked.get("tool_choice", "auto"),
        "tools": asked.get("tools", []),
        "top_p": body.top_p,
        "truncation": "auto",
        "usage": None,
    }


def _ended(run: LiveRun, body: Creation, reason: str, output: list[Any]) -> dict[str, Any]:
    """Return the response of a run that ended with an answer."""
    why = _INCOMPLETE.get(reason)
    made = _response(run, body, "incomplete" if why else "completed", output)
    if why:
        made["incomplete_details"] = {"reason": why}
    usage = run.result["usage"]
    made["usage"] = {
        "input_tokens": usage["input_tokens"],
        "input_tokens_details": {
            "cached_tokens": usage.get("cached_tokens", 0),
            "cache_write_tokens": usage.get("cache_write_tokens", 0),
        },
        "output_tokens": usage["output_tokens"],
        "output_tokens_details": {"reasoning_tokens": usage.get("reasoning_tokens", 0)},
        "total_tokens": usage["total_tokens"],
        **({"cost_usd": usage["cost_usd"]} if "cost_usd" in usage else {}),
    }
    return made


def _whole(run: LiveRun, result: dict[str, Any], body: Creation) -> dict[str, Any]:
    output: list[dict[str, Any]] = []
    reason = result["finish_reason"]
    if run.thinking:
        output.append(_thought(f"rs_{run.id}_0", run.thinking))
    if result["output"] or not run.foreign:
        name = f"msg_{run.id}_{len(output)}"
        part = _refusal(result["output"]) if reason == "refusal" else _text(result["output"])
        output.append(_message(name, _status(reason), [part]))
    output += [
        _call(f"fc_{run.id}_{len(output) + index}", call, "completed")
        for index, call in enumerate(run.foreign)
    ]
    return _ended(run, body, reason, output)


def _status(reason: str) -> str:
    return "incomplete" if reason in _INCOMPLETE else "completed"


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _refusal(text: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": text}


def _message(name: str, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": name,
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _thought(name: str, text: str | None) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": text}] if text is not None else []
    return {"id": name, "type": "reasoning", "summary": summary}


def _call(name: str, call: ToolCall, status: str) -> dict[str, Any]:
    return {
        "id": name,
        "type": "function_call",
        "status": status,
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments if status == "completed" else "",
    }


class _Events(Translated):
    """Converts the events of a run to those of a response.

    Text and reasoning arrive in pieces: one item is open at a time, and ends where the other kind
    begins, or where the agent calls a tool of its own.
    """

    def __init__(self, run: LiveRun, body: Creation) -> None:
        self._run = run
        self._body = body
        self._number = 0
        self._output: list[dict[str, Any]] = []
        self._pieces: list[str] = []
        self._kind = ""
        super().__init__(
            {
                "run_start": self._started,
                "token": lambda data: self._piece("message", data["content"]),
                "thinking": lambda data: self._piece("reasoning", data["content"]),
                "tool_start": lambda data: self._close("completed"),
                "done": self._done,
                "error": self._failed,
            }
        )

    def _event(self, kind: str, **members: Any) -> bytes:
        body = {"type": f"response.{kind}", "sequence_number": self._number, **members}
        self._number += 1
        return b"event: response.%s\ndata: %s\n\n" % (kind.encode(), orjson.dumps(body))

    def _started(self, _: dict[str, Any]) -> bytes:
        made = _response(self._run, self._body, "in_progress", [])
        return self._event("created", response=made) + self._event("in_progress", response=made)

    def _place(self, **members: Any) -> dict[str, Any]:
        """Return where in the response the open item is."""
        index = len(self._output)
        return {"item_id": self._name(self._kind), "output_index": index, **members}

    def _name(self, kind: str) -> str:
        short = {"message": "msg", "reasoning": "rs", "call": "fc"}[kind]
        return f"{short}_{self._run.id}_{len(self._output)}"

    def _added(self, item: dict[str, Any]) -> bytes:
        return self._event("output_item.added", output_index=len(self._output), item=item)

    def _ended(self, item: dict[str, Any]) -> bytes:
        written = self._event("output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)
        return written

    def _piece(self, kind: str, text: str) -> bytes:
        written = b""
        if self._kind != kind:
            written = self._close("completed") + self._begin(kind)
        self._pieces.append(text)
        if kind == "reasoning":
            at = self._place(summary_index=0, delta=text)
            return written + self._event("reasoning_summary_text.delta", **at)
        at = self._place(content_index=0, delta=text, logprobs=[])
        return written + self._event("output_text.delta", **at)

    def _begin(self, kind: str) -> bytes:
        self._kind, self._pieces = kind, []
        if kind == "reasoning":
            part = {"type": "summary_text", "text": ""}
            return self._added(_thought(self._name(kind), None)) + self._event(
                "reasoning_summary_part.added", **self._place(summary_index=0, part=part)
            )
        return self._added(_message(self._name(kind), "in_progress", [])) + self._event(
            "content_part.added", **self._place(content_index=0, part=_text(""))
        )

    def _close(self, status: str) -> bytes:
        """End the open item, if there is one."""
        if not self._kind:
            return b""
        text = "".join(self._pieces)
        name = self._name(self._kind)
        if self._kind == "reasoning":
            at = self._place(summary_index=0)
            item = _thought(name, text)
            written = self._event("reasoning_summary_text.done", **at, text=text)
            written += self._event("reasoning_summary_part.done", **at, part=item["summary"][0])
        else:
            at = self._place(content_index=0)
            item = _message(name, status, [_text(text)])
            written = self._event("output_text.done", **at, text=text, logprobs=[])
            written += self._event("content_part.done", **at, part=item["content"][0])
        self._kind = ""
        return written + self._ended(item)

    def _called(self, call: ToolCall) -> bytes:
        name = self._name("call")
        at = {"item_id": name, "output_index": len(self._output)}
        arguments = call.arguments
        return (
            self._added(_call(name, call, "in_progress"))
            + self._event("function_call_arguments.delta", **at, delta=arguments)
            + self._event("function_call_arguments.done", **at, name=call.name, arguments=arguments)
            + self._ended(_call(name, call, "completed"))
        )

    def _done(self, data: dict[str, Any]) -> bytes:
        reason = data["finish_reason"]
        written = self._close(_status(reason))
        written += b"".join(map(self._called, self._run.foreign))
        if not any(item["type"] != "reasoning" for item in self._output):
            written += self._begin("message") + self._close(_status(reason))
        made = _ended(self._run, self._body, reason, self._output)
        return written + self._event(made["status"], response=made)

    def _failed(self, data: dict[str, Any]) -> bytes:
        written = self._close("incomplete")
        made = _response(self._run, self._body, "failed", self._output)
        error = errors.openai_error(HttpProblem(data["code"], data["message"]))
        made["error"] = {"code": error["code"], "message": error["message"]}
        return written + self._event("failed", response=made)


def mount(parts: Parts) -> Mounted:
    """Mount the API of OpenAI's responses."""
    responses = Responses(parts.agent, parts.runs, parts.answering)
    path, summary = "/v1/responses", "Use the agent as a model, in items"
    route = Route("POST", path, responses.create, summary=summary, body=Creation, answer=BOTH)
    return Mounted((route,))
