"""A run's input and output while it is executed, and how it ended."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from fleetform_runtime.messages import (
    Message,
    Summary,
    ToolCall,
    ToolResult,
    ToolResults,
    Usage,
    User,
)
from fleetform_runtime.models import ToolSpec
from fleetform_runtime.runs.compaction import Pace, View
from fleetform_runtime.runs.structured import Wanted
from fleetform_runtime.store import Session
from fleetform_runtime.tools.toolbox import Waiting


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
    callers: tuple[str, ...] = ()
    """Agents that have called each other before this one."""
    stored: Session | None = None
    """The session as the history was read from it; None if nothing is stored."""
    view: View = field(default_factory=View)
    """What of history and fresh messages the model reads, once that is not all."""
    pace: Pace = field(default_factory=Pace)
    without: frozenset[str] = frozenset()
    """Names of tools, and of MCP servers, that the session's variant of the agent does not have."""
    may_wait: bool = True
    """Whether a human can be asked; otherwise calls that need one are denied."""
    remembers: bool = False
    """Whether it is a user who asks, of whom something may be remembered."""
    notes: str = ""
    """What is remembered that fits the question: beside it for the model, and not kept with it."""
    mark: str | None = None
    """The mark of the user's memories as the run began; None if nothing is to be learned from it."""

    fresh: list[Message] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    calls: list[dict[str, Any]] = field(default_factory=list)
    spoken: list[str] = field(default_factory=list)
    """Text of the answer streamed so far, in case the run is cut off."""

    def question(self) -> User | None:
        """Return the newest message of the user."""
        own = (item for item in reversed(self.fresh) if isinstance(item, User))
        return next((item for item in own if not isinstance(item, Summary)), None)

    def noted(self, messages: list[Message]) -> list[Message]:
        """Return messages with the notes before the question, if it is one of them."""
        question = self.question() if self.notes else None
        if question is None:
            return messages
        return [self._with_notes(item) if item is question else item for item in messages]

    def has_results(self, apart_from: Collection[str] = ()) -> bool:
        """Whether tools have answered in this run, apart from some."""
        return any(
            result.name not in apart_from
            for item in self.fresh
            if isinstance(item, ToolResults)
            for result in item.results
        )

    def _with_notes(self, question: Message) -> Message:
        if not isinstance(question, User):  # pragma: no cover - only questions are passed
            return question
        content = question.content
        if isinstance(content, str):
            return replace(question, content=f"{self.notes}\n\n{content}")
        return replace(question, content=[f"{self.notes}\n", *content])


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
