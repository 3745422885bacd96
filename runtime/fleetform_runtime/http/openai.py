"""/v1: the agent as a model for any client of the Chat Completions API.

Nothing is stored: the client sends the conversation each time. The agent's own tools run here;
calls of the client's tools are returned to it.
"""

import time
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.requests import Request

from fleetform_runtime.http import errors
from fleetform_runtime.http.answering import Answering
from fleetform_runtime.http.content import content_of, shown, text_of
from fleetform_runtime.http.errors import Json
from fleetform_runtime.http.events import Translated
from fleetform_runtime.http.mounting import BOTH, Mounted, Parts
from fleetform_runtime.http.router import Route
from fleetform_runtime.messages import (
    Assistant,
    Image,
    Message,
    Part,
    ToolCall,
    ToolResult,
    ToolResults,
    User,
)
from fleetform_runtime.models import ToolSpec
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.live import LiveRun, Order
from fleetform_runtime.runs.service import Runs

PASSED_ON = (
    "temperature", "top_p", "frequency_penalty", "presence_penalty", "stop", "seed", "response_format",
    "parallel_tool_calls", "reasoning_effort", "verbosity", "logit_bias", "service_tier", "user",
    "prompt_cache_key", "prompt_cache_retention", "safety_identifier",
    "top_k", "min_p", "repetition_penalty", "chat_template_kwargs", "enable_thinking", "thinking_budget",
)  # fmt: skip
"""Members of a request that go to the model as they are."""
MEANT_ANYWAY: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "store": (False,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "modalities": (["text"],),
    "functions": ([],),
}
"""Members that ask for what happens anyway, with these values; with others they are refused."""


def refuse_others(
    members: Mapping[str, Any] | None,
    passed_on: Collection[str],
    meant_anyway: Mapping[str, tuple[Any, ...]],
    where: str,
) -> None:
    """Refuse members of a request that neither go to the model nor ask for what happens anyway.

    Raises:
        ValueError: there is one; the message names it, and `where` it is not served.
    """
    for name, value in (members or {}).items():
        if value is not None and name not in passed_on and value not in meant_anyway.get(name, ()):
            raise ValueError(f"{name} is not served {where}; leave it out")


class Wire(BaseModel):
    """Clients send more than we need; what we need is validated."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class Function(Wire):
    """A function that the client runs."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Wire):
    """A tool of the client."""

    type: Literal["function"]
    function: Function


class CalledFunction(Wire):
    """The function called."""

    name: str
    arguments: str


class Called(Wire):
    """A call in the history."""

    id: str
    type: str = "function"
    function: CalledFunction


class WireMessage(Wire):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[Called] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class StreamOptions(Wire):
    """Options of a stream."""

    include_usage: bool | None = None


class Completion(BaseModel):
    """A request for a chat completion: each member has an effect, or is refused by name."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[list[WireMessage], Field(min_length=1, max_length=10_000)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Annotated[list[FunctionTool], Field(max_length=256)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    response_format: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Annotated[str, Field(pattern=r"^[a-z]{1,16}$")] | None = None
    metadata: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _refuse_what_is_not_served(self) -> Self:
        refuse_others(self.model_extra, PASSED_ON, MEANT_ANYWAY, "here")
        return self


class OpenAi:
    """Handles /v1."""

    def __init__(self, agent: str, runs: Runs, answering: Answering) -> None:
        self._agent = agent
        self._runs = runs
        self._answering = answering
        self._since = int(time.time())

    async def models(self, request: Request) -> Json:
        """List the models: the agent itself, which is its default model, and all by name."""
        names = [self._agent, *(name for name in self._runs.models if name != self._agent)]
        return Json({"object": "list", "data": [self._shown(name) for name in names]})

    async def model(self, request: Request) -> Json:
        """Return one model."""
        name = request.path_params["id"]
        if name != self._agent:
            self._runs.model(name)
        return Json(self._shown(name))

    def _shown(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._since, "owned_by": "fleetform"}

    async def complete(self, request: Request) -> Any:
        """Run the agent on the conversation that the client sent."""
        body: Completion = await self._answering.read(request, Completion)
        order = self._order(body, request)
        usage = bool(body.stream_options and body.stream_options.include_usage)
        return await self._answering.answer(
            request,
            order,
            lambda: self._runs.start(order),
            whole=lambda run, result: _whole(run, result, body.model),
            write=lambda run: _Chunks(run, body.model, usage=usage),
        )

    def _order(self, body: Completion, request: Request) -> Order:
        system, history = _conversation(body.messages)
        message = history.pop() if history and isinstance(history[-1], User) else None
        overrides = {name: getattr(body, name, None) for name in PASSED_ON}
        overrides["max_tokens"] = body.max_completion_tokens or body.max_tokens
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
                spec(one.name, one.description, one.parameters, strict=one.strict)
                for one in (tool.function for tool in body.tools or ())
            ],
            tool_choice=body.tool_choice,
            overrides={name: value for name, value in overrides.items() if value is not None},
        )


def spec(
    name: str, description: str | None, parameters: dict[str, Any] | None, *, strict: bool | None
) -> ToolSpec:
    """Return a function of the client as a tool."""
    schema = parameters or {"type": "object", "properties": {}}
    return ToolSpec(name, description or "", schema, strict)


def _conversation(messages: list[WireMessage]) -> tuple[str, list[Message]]:
    """Return the client's addition to the system prompt, and the conversation.

    Raises:
        HttpProblem: a part of it is of a kind that no model here takes.
    """
    system: list[str] = []
    history: list[Message] = []
    for index, item in enumerate(messages):
        if item.role in ("system", "developer"):
            system.append(_text(item, index))
        elif item.role == "user":
            history.append(User(_content(item, index)))
        elif item.role == "assistant":
            calls = [
                ToolCall(call.id, call.function.name, call.function.arguments)
                for call in item.tool_calls or ()
            ]
            history.append(Assistant(text=_text(item, index), calls=calls))
        else:
            path = f"messages.{index}.tool_call_id"
            text, images = shown(item.content, f"messages.{index}.content")
            add_result(history, item.tool_call_id, text, path, images)
    return "\n\n".join(part for part in system if part), history


def add_result(
    history: list[Message], call: Any, text: str, path: str, images: tuple[Image, ...] = ()
) -> None:
    """Add the result of a call to those of the same answer.

    Args:
        history: the conversation so far.
        call: the identifier of the call.
        text: what the tool returned.
        path: where the identifier stands, for problems.
        images: what it returned to be seen.

    Raises:
        HttpProblem: the answer before has no such call.
    """
    last = history[-1] if history else None
    asked = history[-2] if isinstance(last, ToolResults) and len(history) > 1 else last
    calls = {one.id: one.name for one in asked.calls} if isinstance(asked, Assistant) else {}
    name = calls.get(call) if isinstance(call, str) else None
    if name is None:
        raise HttpProblem("invalid_fields", f"{path}: no such call before it")
    result = ToolResult(call, name, text, images=images)
    if isinstance(last, ToolResults):
        last.results.append(result)
    else:
        history.append(ToolResults([result]))


def _text(item: WireMessage, index: int) -> str:
    return text_of(item.content, f"messages.{index}.content")


def _content(item: WireMessage, index: int) -> str | list[Part]:
    return content_of(item.content, f"messages.{index}.content")


def _whole(run: LiveRun, result: dict[str, Any], model: str) -> dict[str, Any]:
    refused = result["finish_reason"] == "refusal"
    text = None if refused else result["output"] or None
    message: dict[str, Any] = {"role": "assistant", "content": text}
    message["refusal"] = result["output"] if refused else None
    if run.thinking:
        message["reasoning_content"] = run.thinking
    if run.foreign:
        message["tool_calls"] = [_called(call) for call in run.foreign]
    elif not result["output"]:
        message["content"] = ""
    return {
        "id": f"chatcmpl-{run.id}",
        "object": "chat.completion",
        "created": int(run.created),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": _finish(result["finish_reason"]),
                "logprobs": None,
            }
        ],
        "usage": _usage(result["usage"]),
    }


def _called(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _finish(reason: str) -> str:
    return reason if reason in ("stop", "length", "tool_calls", "content_filter") else "stop"


def _usage(usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
        "prompt_tokens_details": {"cached_tokens": usage.get("cached_tokens", 0)},
        "completion_tokens_details": {"reasoning_tokens": usage.get("reasoning_tokens", 0)},
        **({"cost_usd": usage["cost_usd"]} if "cost_usd" in usage else {}),
    }


class _Chunks(Translated):
    """Converts the events of a run to chunks of a completion."""

    def __init__(self, run: LiveRun, model: str, *, usage: bool) -> None:
        self._run = run
        self._usage = usage
        self._base = {
            "id": f"chatcmpl-{run.id}",
            "object": "chat.completion.chunk",
            "created": int(run.created),
            "model": model,
        }
        super().__init__(
            {
                "run_start": lambda data: self._delta({"role": "assistant", "content": ""}),
                "token": lambda data: self._delta({"content": data["content"]}),
                "thinking": lambda data: self._delta({"reasoning_content": data["content"]}),
                "done": self._done,
                "error": self._error,
            }
        )

    def _line(self, body: dict[str, Any]) -> bytes:
        return b"data: " + orjson.dumps(body) + b"\n\n"

    def _delta(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return self._line({**self._base, "choices": [choice]})

    def _done(self, data: dict[str, Any]) -> bytes:
        written = b""
        if self._run.foreign:
            calls = [
                {"index": index, **_called(call)} for index, call in enumerate(self._run.foreign)
            ]
            written += self._delta({"tool_calls": calls})
        written += self._delta({}, _finish(data["finish_reason"]))
        if self._usage:
            usage = _usage(self._run.result["usage"])
            written += self._line({**self._base, "choices": [], "usage": usage})
        return written + b"data: [DONE]\n\n"

    def _error(self, data: dict[str, Any]) -> bytes:
        error = errors.openai_error(HttpProblem(data["code"], data["message"]))
        return self._line({"error": error}) + b"data: [DONE]\n\n"


def mount(parts: Parts) -> Mounted:
    """Mount the API of OpenAI's chat completions."""
    openai = OpenAi(parts.agent, parts.runs, parts.answering)
    path, summary = "/v1/chat/completions", "Use the agent as a model"
    return Mounted(
        (
            Route("POST", path, openai.complete, summary=summary, body=Completion, answer=BOTH),
            Route("GET", "/v1/models", openai.models, summary="List models"),
            Route("GET", "/v1/models/{id}", openai.model, summary="Show a model"),
        )
    )
