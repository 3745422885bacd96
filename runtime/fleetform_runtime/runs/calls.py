"""The tool calls of a run: each is made, told of, and answered."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import orjson

from fleetform_runtime import jsons
from fleetform_runtime.messages import ToolCall, ToolResult
from fleetform_runtime.runs.log import RunLog
from fleetform_runtime.runs.turn import Turn
from fleetform_runtime.sections.long_term import TOOLS as MEMORY_TOOLS
from fleetform_runtime.telemetry.traces import Spans
from fleetform_runtime.tools import CallContext, Tool
from fleetform_runtime.tools.toolbox import Toolbox, Waiting


class Calls:
    """Makes calls with one set of tools."""

    def __init__(self, toolbox: Toolbox, spans: Spans) -> None:
        self.toolbox = toolbox
        self._spans = spans

    async def start(
        self, turn: Turn, tools: dict[str, Tool], call: ToolCall, log: RunLog
    ) -> ToolResult | Waiting:
        """Make a call, unless a person is asked first."""
        ready = self.toolbox.prepare(tools, call)
        if isinstance(ready, Waiting):
            if turn.may_wait:
                return ready
            ready = unmade(call, "This needs human approval, which is not available here.")
        if ready is not None:
            return self.settle(turn, call, ready, log)
        return await self.carry_out(turn, tools[call.name], call, log)

    async def carry_out(
        self,
        turn: Turn,
        tool: Tool,
        call: ToolCall,
        log: RunLog,
        reply: dict[str, Any] | None = None,
    ) -> ToolResult | Waiting:
        """Make a call; `reply` is what people said to what it waited for."""
        _tell_start(log, call)
        began = time.monotonic()
        with self._spans.tool(tool, call) as span:
            key = _key(turn, call)
            context = CallContext(
                turn.run,
                turn.session,
                turn.user,
                call.id,
                key,
                turn.callers,
                reply,
                turn.may_wait,
                turn.has_results(apart_from=MEMORY_TOOLS),
                _teller(log, call) if turn.streaming else None,
            )
            result = await self.toolbox.call(tool, call, context)
            if isinstance(result, Waiting):
                if turn.may_wait:
                    return result
                result = unmade(call, "This asks a person something, who is not available here.")
            span.returned(result)
        result = replace(result, duration_ms=round((time.monotonic() - began) * 1000, 3))
        _tell_end(log, turn, result, call)
        return result

    def settle(self, turn: Turn, call: ToolCall, result: ToolResult, log: RunLog) -> ToolResult:
        """Tell of a call that has its result without being made."""
        _tell_start(log, call)
        result = replace(result, duration_ms=0.0)
        _tell_end(log, turn, result, call)
        return result


def unmade(call: ToolCall, why: str) -> ToolResult:
    """Return the result of a call that is not made."""
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


def _teller(log: RunLog, call: ToolCall) -> Callable[[dict[str, Any]], None]:
    """Return what tells how a call goes on."""

    def tell(data: dict[str, Any]) -> None:
        log.emit("tool_progress", {"id": call.id, "name": call.name, **data})

    return tell


def _tell_start(log: RunLog, call: ToolCall) -> None:
    log.emit("tool_start", {"id": call.id, "name": call.name, "args": readable(call.arguments)})


def _tell_end(log: RunLog, turn: Turn, result: ToolResult, call: ToolCall) -> None:
    ok = result.outcome == "ok"
    quoted = [asdict(citation) for citation in result.citations]
    if quoted:
        log.emit("citations", {"id": call.id, "name": call.name, "citations": quoted})
    turn.calls.append(
        {
            "id": call.id,
            "name": call.name,
            "args": readable(call.arguments),
            "ok": ok,
            "content": result.content,
            **({"citations": quoted} if quoted else {}),
        }
    )
    log.emit(
        "tool_end",
        {
            "id": call.id,
            "name": call.name,
            "ok": ok,
            "outcome": result.outcome,
            "content": result.content,
            "duration_ms": result.duration_ms,
        },
    )
