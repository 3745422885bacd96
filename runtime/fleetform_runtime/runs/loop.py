"""The loop of a run: call the model, run its tool calls, call it again."""

import asyncio
import hashlib
import time
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from fleetform_runtime import jsons
from fleetform_runtime.messages import (
    Assistant,
    Message,
    ToolCall,
    ToolResult,
    ToolResults,
    Usage,
    User,
    now,
    read_result,
)
from fleetform_runtime.models import ChatModel, ChatRequest, Delta, ModelError, ToolSpec
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.fitting import Fitting
from fleetform_runtime.runs.log import RunLog
from fleetform_runtime.runs.structured import MismatchError, Wanted
from fleetform_runtime.telemetry.traces import Spans
from fleetform_runtime.tools import CallContext, Tool
from fleetform_runtime.tools.mcp.protocol import reply_to
from fleetform_runtime.tools.toolbox import Toolbox, Waiting, spec

FITTINGS = 3
"""Times that one step is asked, each time cut further, before the conversation is too long."""


@dataclass(slots=True)
class Turn:
    """The input of a run, and its output, even if it fails."""

    run: str
    session: str
    user: str
    system: str
    history: list[Message]
    streaming: bool
    overrides: dict[str, Any] = field(default_factory=dict)
    tool_choice: Any = None
    foreign: list[ToolSpec] = field(default_factory=list)
    """Tools that the caller runs itself: a call of one ends the run."""
    wanted: Wanted | None = None
    """What the last answer must be."""
    draft: list[Message] = field(default_factory=list)
    """Answers that did not match, and what was said to them: for the model alone."""
    most: int | None = None
    """Tokens of a request, once the model has refused a larger one."""
    hops: int = 0
    """Agents that have called each other before this one."""
    may_wait: bool = True
    """Whether a human can be asked; otherwise calls that need one are denied."""

    fresh: list[Message] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    calls: list[dict[str, Any]] = field(default_factory=list)
    spoken: list[str] = field(default_factory=list)
    """Text of the answer streamed so far, in case the run is cut off."""


@dataclass(slots=True)
class Pause:
    """Why a run is paused: pending calls, and results of the other calls in the same answer."""

    waiting: list[Waiting]
    done: list[ToolResult]


@dataclass(slots=True)
class Answer:
    """How a run ended."""

    text: str
    finish: str
    pause: Pause | None = None
    foreign: list[ToolCall] = field(default_factory=list)
    thinking: str = ""
    value: Any = None
    """The value that a structured answer is."""


class Loop:
    """Runs turns with one set of tools and limits."""

    def __init__(
        self, toolbox: Toolbox, max_steps: int, max_tool_calls: int, spans: Spans, fitting: Fitting
    ) -> None:
        self._toolbox = toolbox
        self._fitting = fitting
        self._max_steps = max_steps
        self._max_calls = max_tool_calls
        self._spans = spans

    async def run(self, turn: Turn, model: ChatModel, log: RunLog) -> Answer:
        """Continue until the model makes no more calls, or a human decision is needed.

        Raises:
            ModelError: the model failed.
            HttpProblem: a limit of the run was reached.
        """
        tools = await self._toolbox.tools()
        specs = [spec(tool) for tool in tools.values()]
        if taken := sorted({tool.name for tool in turn.foreign} & tools.keys()):
            what = f"tools: the agent has a tool {taken[0]} of its own; rename yours"
            raise HttpProblem("invalid_fields", what)
        specs += turn.foreign
        for step in range(self._max_steps):
            if step and turn.tool_choice != "none":
                turn.tool_choice = None  # whoever wants a call has had it: again, and it never ends
            answer = await self._ask(turn, model, specs, log)
            if answer.calls or turn.wanted is None:
                turn.fresh.append(answer)
            if not answer.calls:
                ended = self._last(turn, answer, log)
            else:
                ended = await self._act(turn, tools, answer, log)
            if ended is not None:
                return ended
        raise HttpProblem(
            "steps_exceeded", f"the run did not finish within {self._max_steps} steps"
        )

    @staticmethod
    def _last(turn: Turn, answer: Assistant, log: RunLog) -> Answer | None:
        """Return how the run ends with an answer; None if the model is asked again for another one."""
        if turn.wanted is None or answer.finish in ("refusal", "content_filter"):
            return Answer(answer.text, answer.finish, thinking=answer.thinking)
        try:
            value = turn.wanted.value(answer.text)
        except MismatchError as error:
            if len(turn.draft) >= 2 * turn.wanted.repairs:
                raise HttpProblem("output_invalid", str(error)) from None
            turn.draft += [answer, User(turn.wanted.complaint(error))]
            return None
        answer.text = jsons.write(value).decode()
        turn.fresh.append(answer)
        log.emit("token", {"content": answer.text})
        return Answer(answer.text, answer.finish, thinking=answer.thinking, value=value)

    async def check_tools(
        self, pause: dict[str, Any], decisions: dict[str, dict[str, Any]]
    ) -> None:
        """Check, before anything is decided, that what a person approves can be called now.

        Raises:
            HttpProblem: the server of an approved call is away; the decision stays open.
        """
        tools = await self._toolbox.tools()
        for call in pause["calls"]:
            is_wanted = decisions.get(call["id"], {}).get("approved") is True
            if is_wanted and call.get("server") and call["name"] not in tools:
                what = f"the MCP server {call['server']} of {call['name']} cannot be reached; try again"
                raise HttpProblem("not_ready", what, 2)

    async def resume(
        self, turn: Turn, pause: dict[str, Any], decisions: dict[str, dict[str, Any]], log: RunLog
    ) -> Answer | None:
        """Apply the human decisions on the calls of a paused run; return an Answer if it pauses again."""
        tools = await self._toolbox.tools()
        results = {item["id"]: read_result(item) for item in pause["done"]}
        open_calls = [ToolCall(c["id"], c["name"], c["arguments"]) for c in pause["calls"]]
        # What a person decided on is a tool of that server, not whatever has its name by now.
        servers = {c["id"]: c["server"] for c in pause["calls"] if "server" in c}
        there = {
            call.id: tool
            for call in open_calls
            if (tool := tools.get(call.name)) and tool.server == servers.get(call.id, tool.server)
        }
        needed = {c["id"]: c["needed"] for c in pause["calls"] if "needed" in c}
        outcomes = await asyncio.gather(
            *(
                self._decided(turn, there, call, decisions[call.id], needed.get(call.id), log)
                for call in open_calls
            )
        )
        again = [item for item in outcomes if isinstance(item, Waiting)]
        results |= {item.id: item for item in outcomes if isinstance(item, ToolResult)}
        if again:  # a server asks another question
            return Answer("", "approval_required", Pause(again, list(results.values())))
        turn.fresh.append(ToolResults([results[name] for name in pause["order"]], now()))
        return None

    async def _ask(
        self, turn: Turn, model: ChatModel, specs: list[ToolSpec], log: RunLog
    ) -> Assistant:
        for attempt in range(FITTINGS):
            whole = ChatRequest(
                _system(turn),
                [*turn.history, *turn.fresh, *turn.draft],
                specs,
                turn.overrides,
                turn.tool_choice,
                turn.wanted.schema if turn.wanted else None,
            )
            request = self._fitting.fitted(model.key, whole, turn.most)
            try:
                answer = await self._heard(turn, model, request, log)
                break
            except ModelError as error:
                is_last = attempt + 1 == FITTINGS or not _is_too_long(error)
                turn.most = None if is_last else self._fitting.after(model.key, request, error)
                if turn.most is None:
                    raise
            finally:
                turn.usage.add(request.lost)
        answer.at = now()
        answer.calls = distinct(answer.calls)
        turn.usage.add(answer.usage)
        turn.spoken.clear()
        if not _is_streamed(turn):
            if answer.thinking:
                log.emit("thinking", {"content": answer.thinking})
            if answer.text and turn.wanted is None:
                log.emit("token", {"content": answer.text})
        return answer

    async def _heard(
        self, turn: Turn, model: ChatModel, request: ChatRequest, log: RunLog
    ) -> Assistant:
        """Ask once, and pass on what is streamed."""
        turn.spoken.clear()

        def tell(delta: Delta) -> None:
            kind, text = delta
            if kind == "text":
                turn.spoken.append(text)
                log.emit("token", {"content": text})
            else:
                log.emit("thinking", {"content": text})

        with self._spans.chat(model.key, request) as span:
            answer = await model.respond(request, tell if _is_streamed(turn) else None)
            span.answered(answer)
        return answer

    async def _act(
        self, turn: Turn, tools: dict[str, Tool], answer: Assistant, log: RunLog
    ) -> Answer | None:
        """Run the calls of an answer; return an Answer if the run ends or pauses here."""
        if len(turn.calls) + len(answer.calls) > self._max_calls:
            turn.fresh.append(
                ToolResults(
                    [_unmade(call, "The run may not make any more calls.") for call in answer.calls]
                )
            )
            raise HttpProblem("steps_exceeded", f"the run made {self._max_calls} tool calls")
        if foreign := [call for call in answer.calls if _is_foreign(turn, call)]:
            return self._handed_over(turn, answer, foreign)
        outcomes = await asyncio.gather(
            *(self._start(turn, tools, call, log) for call in answer.calls)
        )
        waiting = [item for item in outcomes if isinstance(item, Waiting)]
        done = [item for item in outcomes if isinstance(item, ToolResult)]
        if waiting:
            return Answer(answer.text, "approval_required", Pause(waiting, done))
        turn.fresh.append(ToolResults(done, now()))
        return None

    @staticmethod
    def _handed_over(turn: Turn, answer: Assistant, foreign: list[ToolCall]) -> Answer:
        """End the run with calls that the caller makes itself.

        Calls of the agent's own tools beside them are not made: their results would be lost, and
        the model asks again once it has those of the caller.
        """
        calls = [replace(call, id=f"call_{turn.run[:24]}_{n}") for n, call in enumerate(foreign)]
        turn.fresh[-1] = replace(answer, calls=calls)
        return Answer(answer.text, "tool_calls", foreign=calls)

    async def _start(
        self, turn: Turn, tools: dict[str, Tool], call: ToolCall, log: RunLog
    ) -> ToolResult | Waiting:
        ready = self._toolbox.prepare(tools, call)
        if isinstance(ready, Waiting):
            if turn.may_wait:
                return ready
            ready = _unmade(call, "This needs human approval, which is not available here.")
        if ready is not None:
            _tell_start(log, call)
            _tell_end(log, turn, ready, call, 0.0)
            return ready
        return await self._carry_out(turn, tools[call.name], call, log)

    async def _carry_out(
        self,
        turn: Turn,
        tool: Tool,
        call: ToolCall,
        log: RunLog,
        reply: dict[str, Any] | None = None,
    ) -> ToolResult | Waiting:
        _tell_start(log, call)
        began = time.monotonic()
        with self._spans.tool(tool, call) as span:
            context = CallContext(
                turn.run, turn.session, turn.user, call.id, _key(turn, call), turn.hops, reply
            )
            result = await self._toolbox.call(tool, call, context)
            if isinstance(result, Waiting):
                if turn.may_wait:
                    return result
                result = _unmade(call, "This asks a person something, who is not available here.")
            span.returned(result)
        _tell_end(log, turn, result, call, time.monotonic() - began)
        return result

    async def _decided(
        self,
        turn: Turn,
        there: dict[str, Tool],
        call: ToolCall,
        decision: dict[str, Any],
        needed: dict[str, Any] | None,
        log: RunLog,
    ) -> ToolResult | Waiting:
        tool = there.get(call.id)
        if tool is None:
            return _unmade(call, "The tool is no longer available.")
        if decision.get("approved") is False:
            reason = decision.get("reason") or "A person refused."
            result = ToolResult(call.id, call.name, self._toolbox.cut(str(reason)), "denied")
        elif needed is not None:
            reply = reply_to(needed, decision["raw_answer"])
            return await self._carry_out(turn, tool, call, log, reply)
        elif tool.kind == "human":
            result = ToolResult(
                call.id, call.name, self._toolbox.cut(str(decision["answer"])), "ok"
            )
        else:
            edited = decision.get("arguments")
            if edited is None:
                return await self._carry_out(turn, tool, call, log)
            changed = replace(call, arguments=jsons.write(edited).decode())
            carried = await self._carry_out(turn, tool, changed, log)
            if isinstance(carried, Waiting):
                return carried
            note = f"[a person changed the arguments to {changed.arguments}]"
            return replace(carried, content=f"{note}\n{carried.content}")
        self._toolbox.answered(tool, result.outcome)
        _tell_start(log, call)
        _tell_end(log, turn, result, call, 0.0)
        return result


def _system(turn: Turn) -> str:
    if turn.wanted is None:
        return turn.system
    return f"{turn.system}\n\n{turn.wanted.instruction()}".strip()


def _is_streamed(turn: Turn) -> bool:
    """Whether the caller hears the model at once; what must match a schema is told once it does."""
    return turn.streaming and turn.wanted is None


def _is_too_long(error: ModelError) -> bool:
    return error.kind == "context" and not error.started


def distinct(calls: list[ToolCall]) -> list[ToolCall]:
    """Give every call of an answer a unique identifier, which some servers do not."""
    seen: set[str] = set()
    kept: list[ToolCall] = []
    for call in calls:
        name = call.id if call.id and call.id not in seen else f"{call.id or 'call'}_{len(seen)}"
        seen.add(name)
        kept.append(call if name == call.id else replace(call, id=name))
    return kept


def title_of(message: User) -> str:
    """Return the first words of a conversation, for lists."""
    line = " ".join(message.text().split())
    return line if len(line) <= 80 else line[:79].rstrip() + "…"


def _is_foreign(turn: Turn, call: ToolCall) -> bool:
    return any(tool.name == call.name for tool in turn.foreign)


def _unmade(call: ToolCall, why: str) -> ToolResult:
    return ToolResult(call.id, call.name, why, "denied")


def _key(turn: Turn, call: ToolCall) -> str:
    """Return a key that is the same for the same call of a run, which makes retries harmless."""
    text = (
        f"{turn.session}\n{turn.run}\n{len(turn.history) + len(turn.fresh)}\n{call.id}\n{call.name}"
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def readable(arguments: str) -> Any:
    """Return arguments as JSON, or as plain text if they are invalid or cannot be written again.

    The library reads more levels than it writes, and what it is to write has some of its own around these.
    """
    try:
        found = jsons.read(arguments or "{}")
        orjson.dumps([[[[[[[[found]]]]]]]])
    except (ValueError, TypeError):
        return jsons.whole_text(arguments)
    return found


def _tell_start(log: RunLog, call: ToolCall) -> None:
    log.emit("tool_start", {"id": call.id, "name": call.name, "args": readable(call.arguments)})


def _tell_end(log: RunLog, turn: Turn, result: ToolResult, call: ToolCall, seconds: float) -> None:
    ok = result.outcome == "ok"
    turn.calls.append(
        {
            "id": call.id,
            "name": call.name,
            "args": readable(call.arguments),
            "ok": ok,
            "content": result.content,
        }
    )
    log.emit(
        "tool_end",
        {
            "id": call.id,
            "name": call.name,
            "ok": ok,
            "content": result.content,
            "duration_ms": round(seconds * 1000, 3),
        },
    )
