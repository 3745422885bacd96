"""Tool calls: found, validated, approved, timed, truncated, and never an exception."""

import asyncio
import difflib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fleetform_runtime.messages import Citation, Image, Outcome, ToolCall, ToolResult
from fleetform_runtime.models import ToolSpec
from fleetform_runtime.models.history import DEEPEST, object_of
from fleetform_runtime.telemetry.metrics import Metrics
from fleetform_runtime.tools import (
    CallContext,
    DecisionNeededError,
    InputNeededError,
    Output,
    Tool,
    ToolError,
    ToolSource,
)
from fleetform_runtime.tools.schema import Arguments

log = logging.getLogger(__name__)
MOST_NAMES = 20
"""Names that a call of no tool is answered with."""
OVERLAP = 16 * 1024
"""Characters behind the cut of a result that are searched for secrets with it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that needs a human: an approval, or an answer to a question."""

    call: ToolCall
    type: Literal["approval", "question"]
    arguments: dict[str, Any] = field(default_factory=dict)
    server: str = ""
    """The MCP server that would be called."""
    needed: dict[str, Any] | None = None
    """What that server asks in the middle of the call."""
    waits: dict[str, Any] | None = None
    """What the agent that was called waits for."""


class Toolbox:
    """Offers the tools of all sources and runs calls."""

    def __init__(
        self,
        sources: Sequence[ToolSource],
        result_bytes: int,
        metrics: Metrics,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._redact = redact
        self._sources = sources
        self._most = result_bytes
        self._metrics = metrics
        self._checks: dict[int, tuple[dict[str, Any], Arguments]] = {}

    async def tools(self) -> dict[str, Tool]:
        """Return the tools by name; if two have the same name, the first source's is used."""
        found: dict[str, Tool] = {}
        for source in self._sources:
            for tool in await source.tools():
                found.setdefault(tool.name, tool)
        return found

    def prepare(self, tools: dict[str, Tool], call: ToolCall) -> ToolResult | Waiting | None:
        """Check a call before it is made: return a result that says why not, or None."""
        tool = tools.get(call.name)
        if tool is None:
            self._metrics.count("agent_tool_calls_total", "unknown", "api", "invalid")
            return ToolResult(
                call.id,
                call.name,
                f"There is no such tool. Tools: {_near(call.name, tools)}",
                "invalid",
            )
        try:
            arguments = self.arguments(tool, call)
        except ToolError as error:
            self._metrics.tool_call(tool.name, tool.kind, "invalid", None)
            return ToolResult(call.id, call.name, str(error), "invalid")
        if tool.kind == "human":
            return Waiting(call, "question", arguments)
        if tool.requires_approval:
            return Waiting(call, "approval", arguments, tool.server)
        return None

    def arguments(self, tool: Tool, call: ToolCall) -> dict[str, Any]:
        """Parse and validate the arguments of a call."""
        arguments = object_of(call.arguments)
        if arguments is None:
            what = f"a JSON object of at most {DEEPEST} levels"
            raise ToolError(f"The arguments are not {what}.", "invalid")
        if tool.checked is not None:
            self._check(tool.checked).check(arguments)
        return arguments

    async def call(self, tool: Tool, call: ToolCall, context: CallContext) -> ToolResult | Waiting:
        """Run a call that passed `prepare`; whatever happens is a result, or a question to a person."""
        began = time.monotonic()
        outcome: Outcome = "ok"
        images: tuple[Image, ...] = ()
        citations: tuple[Citation, ...] = ()
        try:
            output = await tool.run(self.arguments(tool, call), context)
            if isinstance(output, str):
                output = Output(output)
            content, images, citations = output.text, output.images, output.citations
        except ToolError as error:
            content, outcome = str(error), error.outcome
        except InputNeededError as error:
            shown = {"message": error.message, "schema": error.schema}
            return Waiting(call, "question", shown, tool.server, error.body())
        except DecisionNeededError as error:
            types = {item["type"] for item in error.waits["calls"]}
            kind: Literal["approval", "question"] = (
                "approval" if "approval" in types else "question"
            )
            return Waiting(call, kind, waits=error.waits)
        except TimeoutError:
            content, outcome = "The tool did not answer in time.", "timeout"
        except asyncio.CancelledError:
            # A dying transport may cancel the task that waits for it: only our own cancellation
            # counts.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            content, outcome = "The connection to the tool was lost.", "error"
        except Exception:
            log.exception("tool %s failed", tool.name)
            content, outcome = "The tool failed.", "error"
        self._metrics.tool_call(tool.name, tool.kind, outcome, time.monotonic() - began)
        return ToolResult(call.id, call.name, self.cut(content), outcome, images, citations)

    def answered(self, tool: Tool, outcome: Outcome) -> None:
        """Count a call that a human answered or denied."""
        self._metrics.tool_call(tool.name, tool.kind, outcome, None)

    def cut(self, content: str) -> str:
        """Redact secrets in a result, and truncate it if it is too long, with a note."""
        size = len(content) if content.isascii() else len(content.encode("utf-8", "replace"))
        # Only what may be shown is searched, and a little more, lest half a secret stand at the cut.
        searched = content[: self._most + OVERLAP]
        text = self._redact(searched)
        if len(searched) < len(content):
            text = text[:-OVERLAP]
        data = text.encode("utf-8", "replace")
        if size <= self._most:
            return data.decode()
        kept = data[: self._most].decode("utf-8", "ignore")
        return f"{kept}\n[cut: {size} bytes, the first {self._most} are shown]"

    def _check(self, schema: dict[str, Any]) -> Arguments:
        held = self._checks.get(id(schema))
        if held is None or held[0] is not schema:
            if len(self._checks) > 4096:  # lists of servers that change
                self._checks.clear()
            held = self._checks[id(schema)] = (schema, Arguments(schema))
        return held[1]


def _near(name: str, tools: dict[str, Tool]) -> str:
    """Return the names of the tools; of many those that are most like a name."""
    if len(tools) <= MOST_NAMES:
        return ", ".join(sorted(tools)) or "none"
    near = difflib.get_close_matches(name[:64], tools, MOST_NAMES, cutoff=0.3)
    return f"{', '.join(near) or ', '.join(sorted(tools)[:MOST_NAMES])} and others"


def spec(tool: Tool) -> ToolSpec:
    """Return a tool as the model sees it."""
    return ToolSpec(tool.name, tool.description, tool.schema)
