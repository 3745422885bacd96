"""The loop of a run: call the model, run its tool calls, call it again."""

import asyncio
from dataclasses import replace

from fleetform_runtime import jsons
from fleetform_runtime.messages import Assistant, ToolCall, ToolResult, ToolResults, User, now
from fleetform_runtime.models import ChatModel, ChatRequest, Delta, ModelError, ToolSpec
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.calls import Calls, unmade
from fleetform_runtime.runs.fitting import Room
from fleetform_runtime.runs.log import RunLog
from fleetform_runtime.runs.structured import MismatchError
from fleetform_runtime.runs.turn import Answer, Pause, Turn
from fleetform_runtime.telemetry.traces import Spans
from fleetform_runtime.tools import Tool
from fleetform_runtime.tools.toolbox import Waiting, spec

FITTINGS = 3
"""Times that one step is asked, each time cut further, before the conversation is too long."""


class Loop:
    """Runs turns with one set of tools and limits."""

    def __init__(
        self, calls: Calls, max_steps: int, max_tool_calls: int, spans: Spans, room: Room
    ) -> None:
        self._calls = calls
        self._room = room
        self._max_steps = max_steps
        self._max_calls = max_tool_calls
        self._spans = spans

    async def run(self, turn: Turn, model: ChatModel, log: RunLog) -> Answer:
        """Continue until the model makes no more calls, or a human decision is needed.

        Raises:
            ModelError: the model failed.
            HttpProblem: a limit of the run was reached.
        """
        tools = await self._calls.toolbox.tools()
        if turn.without:
            tools = {
                name: tool
                for name, tool in tools.items()
                if name not in turn.without and tool.server not in turn.without
            }
        if not turn.remembers:
            tools = {name: tool for name, tool in tools.items() if tool.kind != "memory"}
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

    async def _ask(
        self, turn: Turn, model: ChatModel, specs: list[ToolSpec], log: RunLog
    ) -> Assistant:
        for attempt in range(FITTINGS):
            whole = ChatRequest(
                _system(turn),
                [*turn.history, *turn.noted(turn.fresh), *turn.draft],
                specs,
                turn.overrides,
                turn.tool_choice,
                turn.wanted.schema if turn.wanted else None,
            )
            request = await self._room.made(turn, model, whole, log)
            try:
                answer = await self._heard(turn, model, request, log)
                break
            except ModelError as error:
                if not _is_too_long(error) or attempt + 1 == FITTINGS:
                    raise
                if not self._room.is_worth_asking_again(turn, model.key, request, error):
                    raise
            finally:
                turn.usage.add(request.lost)
        self._room.answered(turn, model.key, request, answer)
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
                    [unmade(call, "The run may not make any more calls.") for call in answer.calls]
                )
            )
            raise HttpProblem("steps_exceeded", f"the run made {self._max_calls} tool calls")
        if foreign := [call for call in answer.calls if _is_foreign(turn, call)]:
            return self._handed_over(turn, answer, foreign)
        outcomes = await asyncio.gather(
            *(self._calls.start(turn, tools, call, log) for call in answer.calls)
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


def _is_foreign(turn: Turn, call: ToolCall) -> bool:
    return any(tool.name == call.name for tool in turn.foreign)
