"""A run's input and output while it is executed, and how it ended."""

from dataclasses import dataclass, field
from typing import Any

from fleetform_runtime.messages import Message, ToolCall, ToolResult, Usage
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
    hops: int = 0
    """Agents that have called each other before this one."""
    stored: Session | None = None
    """The session as the history was read from it; None if nothing is stored."""
    view: View = field(default_factory=View)
    """What of history and fresh messages the model reads, once that is not all."""
    pace: Pace = field(default_factory=Pace)
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
