"""What people decide on the calls of a paused run."""

import asyncio
from dataclasses import replace
from typing import Any

from fleetform_runtime import jsons
from fleetform_runtime.messages import ToolCall, ToolResult, ToolResults, now
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.calls import Calls, unmade
from fleetform_runtime.runs.log import RunLog
from fleetform_runtime.runs.pending import inner, made
from fleetform_runtime.runs.turn import Answer, Pause, Turn
from fleetform_runtime.tools import Tool, Waiter
from fleetform_runtime.tools.mcp.protocol import reply_to
from fleetform_runtime.tools.toolbox import Waiting


class Decider:
    """Carries out what people decide."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def check(self, pause: dict[str, Any], decisions: dict[str, dict[str, Any]]) -> None:
        """Check, before anything is decided, that what a person approves can be called now.

        Raises:
            HttpProblem: the server of an approved call is away; the decision stays open.
        """
        tools = await self._calls.toolbox.tools()
        for call in pause["calls"]:
            is_wanted = decisions.get(call["id"], {}).get("approved") is True
            if is_wanted and call.get("server") and call["name"] not in tools:
                what = f"the MCP server {call['server']} of {call['name']} cannot be reached; try again"
                raise HttpProblem("not_ready", what, 2)

    async def apply(
        self, turn: Turn, pause: dict[str, Any], decisions: dict[str, dict[str, Any]], log: RunLog
    ) -> Answer | None:
        """Apply the human decisions on the calls of a paused run; return an Answer if it pauses again."""
        tools = await self._calls.toolbox.tools()
        results = made(pause)
        open_calls = [ToolCall(c["id"], c["name"], c["arguments"]) for c in pause["calls"]]
        # What a person decided on is a tool of that server, not whatever has its name by now.
        servers = {c["id"]: c["server"] for c in pause["calls"] if "server" in c}
        there = {
            call.id: tool
            for call in open_calls
            if (tool := tools.get(call.name)) and tool.server == servers.get(call.id, tool.server)
        }
        kept = {c["id"]: c for c in pause["calls"]}
        outcomes = await asyncio.gather(
            *(
                self._passed_on(turn, there, call, kept[call.id], decisions, log)
                if "waits" in kept[call.id]
                else self._decided(
                    turn, there, call, decisions[call.id], kept[call.id].get("needed"), log
                )
                for call in open_calls
            )
        )
        again = [item for item in outcomes if isinstance(item, Waiting)]
        results |= {item.id: item for item in outcomes if isinstance(item, ToolResult)}
        if again:  # a server asks another question
            return Answer("", "approval_required", Pause(again, list(results.values())))
        turn.fresh.append(ToolResults([results[name] for name in pause["order"]], now()))
        return None

    async def withdraw(self, pause: dict[str, Any]) -> None:
        """Tell agents whose calls will not be decided on; those that cannot be reached let theirs expire."""
        waits = [(c["name"], c["waits"]) for c in pause["calls"] if "waits" in c]
        tools = await self._calls.toolbox.tools() if waits else {}
        found = [(tools.get(name), kept) for name, kept in waits]
        await asyncio.gather(
            *(tool.withdraw(kept) for tool, kept in found if isinstance(tool, Waiter))
        )

    async def _passed_on(
        self,
        turn: Turn,
        there: dict[str, Tool],
        call: ToolCall,
        kept: dict[str, Any],
        decisions: dict[str, dict[str, Any]],
        log: RunLog,
    ) -> ToolResult | Waiting:
        """Pass decisions on the calls of another agent on to it."""
        tool = there.get(call.id)
        if not isinstance(tool, Waiter):
            return unmade(call, "The tool is no longer available.")
        made = [
            _for_agent(item["id"], decisions[inner(call.id, item)], item)
            for item in kept["waits"]["calls"]
        ]
        reply = {"waits": kept["waits"], "decisions": made}
        return await self._calls.carry_out(turn, tool, call, log, reply)

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
            return unmade(call, "The tool is no longer available.")
        if decision.get("approved") is False:
            reason = decision.get("reason") or "A person refused."
            result = ToolResult(call.id, call.name, self._calls.toolbox.cut(str(reason)), "denied")
        elif needed is not None:
            reply = reply_to(needed, decision["raw_answer"])
            return await self._calls.carry_out(turn, tool, call, log, reply)
        elif tool.kind == "human":
            result = ToolResult(
                call.id, call.name, self._calls.toolbox.cut(str(decision["answer"])), "ok"
            )
        else:
            edited = decision.get("arguments")
            if edited is None:
                return await self._calls.carry_out(turn, tool, call, log)
            changed = replace(call, arguments=jsons.write(edited).decode())
            carried = await self._calls.carry_out(turn, tool, changed, log)
            if isinstance(carried, Waiting):
                return carried
            note = f"[a person changed the arguments to {changed.arguments}]"
            return replace(carried, content=f"{note}\n{carried.content}")
        self._calls.toolbox.answered(tool, result.outcome)
        return self._calls.settle(turn, call, result, log)


def _for_agent(name: str, decision: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    """Return a decision as the API of the other agent takes it, tied to the call that was shown."""
    given = {key: decision.get(key) for key in ("approved", "arguments", "reason")}
    found = {**given, "answer": decision.get("raw_answer")}
    said = {key: value for key, value in found.items() if value is not None}
    return {"id": name, "digest": item["digest"], **said}
