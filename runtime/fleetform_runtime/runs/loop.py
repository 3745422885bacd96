"""The loop of a run: call the model, run its tool calls, call it again."""

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

import orjson

from fleetform_runtime.messages import (
    Assistant,
    Message,
    ToolCall,
    ToolResult,
    ToolResults,
    Usage,
    User,
    now,
)
from fleetform_runtime.models import ChatModel, ChatRequest, Delta, ToolSpec
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.log import RunLog
from fleetform_runtime.telemetry.traces import Spans
from fleetform_runtime.tools import CallContext, Tool
from fleetform_runtime.tools.toolbox import Toolbox, Waiting, spec


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


class Loop:
    """Runs turns with one set of tools and limits."""

    def __init__(self, toolbox: Toolbox, max_steps: int, max_tool_calls: int, spans: Spans) -> None:
        self._toolbox = toolbox
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
        specs += [tool for tool in turn.foreign if tool.name not in tools]
        for _ in range(self._max_steps):
            answer = await self._ask(turn, model, specs, log)
            turn.fresh.append(answer)
            if not answer.calls:
                return Answer(answer.text, answer.finish)
            ended = await self._act(turn, tools, answer, log)
            if ended is not None:
                return ended
        raise HttpProblem(
            "steps_exceeded", f"the run did not finish within {self._max_steps} steps"
        )

    async def resume(
        self, turn: Turn, pause: dict[str, Any], decisions: dict[str, dict[str, Any]], log: RunLog
    ) -> None:
        """Apply the human decisions on the calls of a paused run."""
        tools = await self._toolbox.tools()
        results = {item["id"]: ToolResult(**item) for item in pause["done"]}
        open_calls = [ToolCall(c["id"], c["name"], c["arguments"]) for c in pause["calls"]]
        # What a person decided on is a tool of that server, not whatever has its name by now.
        servers = {c["id"]: c["server"] for c in pause["calls"] if "server" in c}
        there = {
            call.id: tool
            for call in open_calls
            if (tool := tools.get(call.name)) and tool.server == servers.get(call.id, tool.server)
        }
        outcomes = await asyncio.gather(
            *(self._decided(turn, there, call, decisions[call.id], log) for call in open_calls)
        )
        results |= {result.id: result for result in outcomes}
        turn.fresh.append(ToolResults([results[name] for name in pause["order"]], now()))

    async def _ask(
        self, turn: Turn, model: ChatModel, specs: list[ToolSpec], log: RunLog
    ) -> Assistant:
        request = ChatRequest(
            turn.system,
            repaired([*turn.history, *turn.fresh]),
            specs,
            turn.overrides,
            turn.tool_choice,
        )
        turn.spoken.clear()

        def tell(delta: Delta) -> None:
            kind, text = delta
            if kind == "text":
                turn.spoken.append(text)
                log.emit("token", {"content": text})
            else:
                log.emit("thinking", {"content": text})

        with self._spans.chat(model.key, request) as span:
            answer = await model.respond(request, tell if turn.streaming else None)
            span.answered(answer)
        answer.at = now()
        answer.calls = distinct(answer.calls)
        turn.usage.add(answer.usage)
        turn.spoken.clear()
        if not turn.streaming:
            if answer.thinking:
                log.emit("thinking", {"content": answer.thinking})
            if answer.text:
                log.emit("token", {"content": answer.text})
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
        foreign = [call for call in answer.calls if call.name not in tools and _is(turn, call)]
        own = [call for call in answer.calls if call not in foreign]
        outcomes = await asyncio.gather(*(self._start(turn, tools, call, log) for call in own))
        waiting = [item for item in outcomes if isinstance(item, Waiting)]
        done = [item for item in outcomes if isinstance(item, ToolResult)]
        if foreign:
            return Answer(answer.text, "tool_calls", foreign=foreign)
        if waiting:
            return Answer(answer.text, "approval_required", Pause(waiting, done))
        turn.fresh.append(ToolResults(done, now()))
        return None

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

    async def _carry_out(self, turn: Turn, tool: Tool, call: ToolCall, log: RunLog) -> ToolResult:
        _tell_start(log, call)
        began = time.monotonic()
        with self._spans.tool(tool, call) as span:
            context = CallContext(
                turn.run, turn.session, turn.user, call.id, _key(turn, call), span.traceparent()
            )
            result = await self._toolbox.call(tool, call, context)
            span.returned(result)
        _tell_end(log, turn, result, call, time.monotonic() - began)
        return result

    async def _decided(
        self,
        turn: Turn,
        there: dict[str, Tool],
        call: ToolCall,
        decision: dict[str, Any],
        log: RunLog,
    ) -> ToolResult:
        tool = there.get(call.id)
        if tool is None:
            return _unmade(call, "The tool is no longer available.")
        if decision.get("approved") is False:
            reason = decision.get("reason") or "A person refused."
            result = ToolResult(call.id, call.name, self._toolbox.cut(str(reason)), "denied")
        elif tool.kind == "human":
            result = ToolResult(
                call.id, call.name, self._toolbox.cut(str(decision["answer"])), "ok"
            )
        else:
            return await self._carry_out(turn, tool, call, log)
        self._toolbox.answered(tool, result.outcome)
        _tell_start(log, call)
        _tell_end(log, turn, result, call, 0.0)
        return result


def repaired(messages: list[Message]) -> list[Message]:
    """Give every call a result and drop results without a call: otherwise providers refuse the history."""
    whole: list[Message] = []
    for index, message in enumerate(messages):
        if isinstance(message, ToolResults):
            asked = messages[index - 1] if index else None
            if isinstance(asked, Assistant) and asked.calls:
                whole.append(message)
            continue
        whole.append(message)
        if isinstance(message, Assistant) and message.calls:
            follower = messages[index + 1] if index + 1 < len(messages) else None
            known = {r.id for r in follower.results} if isinstance(follower, ToolResults) else set()
            missing = [call for call in message.calls if call.id not in known]
            if missing and isinstance(follower, ToolResults):
                messages[index + 1] = ToolResults(
                    [*follower.results, *(_unmade(call, "No result.") for call in missing)],
                    follower.at,
                )
            elif missing:
                whole.append(ToolResults([_unmade(call, "No result.") for call in missing]))
    return whole


def distinct(calls: list[ToolCall]) -> list[ToolCall]:
    """Give every call of an answer a unique identifier, which some servers do not."""
    seen: set[str] = set()
    kept: list[ToolCall] = []
    for call in calls:
        name = call.id if call.id and call.id not in seen else f"{call.id or 'call'}_{len(seen)}"
        seen.add(name)
        kept.append(call if name == call.id else ToolCall(name, call.name, call.arguments))
    return kept


def title_of(message: User) -> str:
    """Return the first words of a conversation, for lists."""
    line = " ".join(message.text().split())
    return line if len(line) <= 80 else line[:79].rstrip() + "…"


def _is(turn: Turn, call: ToolCall) -> bool:
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
        found = orjson.loads(arguments or "{}")
        orjson.dumps([[[[[[[[found]]]]]]]])
    except (ValueError, TypeError):
        return arguments
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
