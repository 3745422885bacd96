"""A run as ordered by a caller, and as executed by this replica."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

from fleetform_runtime.messages import Message, ToolCall, User
from fleetform_runtime.models import ToolSpec
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.log import RunLog
from fleetform_runtime.runs.structured import Wanted
from fleetform_runtime.store import Run


@dataclass(slots=True)
class Order:
    """What a caller asks of the agent."""

    user: str
    message: User | None
    session: str | None = None
    model: str | None = None
    temperature: float | None = None
    """What the session keeps from now on, if it is to be another one."""
    streaming: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    traceparent: str | None = None
    callers: tuple[str, ...] = ()
    """Agents that have called each other before this one."""
    stateless: bool = False
    history: list[Message] = field(default_factory=list)
    system: str = ""
    foreign: list[ToolSpec] = field(default_factory=list)
    tool_choice: Any = None
    overrides: dict[str, Any] = field(default_factory=dict)
    wanted: Wanted | None = None
    """What the answer must be, if the caller says so."""
    decisions: dict[str, dict[str, Any]] | None = None
    paused: str | None = None
    """The run that the decisions belong to."""
    retry_of: str | None = None
    """A run of the same user that broke off: what was asked in it is asked again."""
    decided_by: str = ""
    """Who decided, where the specification says who does."""
    id: str | None = None
    """The name of the run, which has been claimed, if it has one before it starts."""
    opens: str | None = None
    """The name of the session, if it may be a new one."""
    origin: dict[str, Any] = field(default_factory=dict)
    """What an A2A client knows the run by."""


@dataclass(slots=True)
class LiveRun:
    """A run that this replica executes, or has executed."""

    id: str
    user: str
    session: str
    log: RunLog
    task: asyncio.Task[None] | None = None
    created: float = 0.0
    ended: float | None = None
    status: str = "running"
    result: dict[str, Any] = field(default_factory=dict)
    problem: HttpProblem | None = None
    foreign: list[ToolCall] = field(default_factory=list)
    cancelled: bool = False
    shared: int = 0
    replica: str = ""
    kept: bool = True
    """Whether its session is kept, so that a caller may name it again."""
    alone: bool = False
    """Whether only who started it will ever ask for it."""
    thinking: str = ""
    """The reasoning of its answer, for callers that know no events."""
    resumed: dict[str, Any] = field(default_factory=dict)
    """The run that it goes on from, and who decided that, where the specification says who does."""
    origin: dict[str, Any] = field(default_factory=dict)
    """What an A2A client knows it by."""
    variant: str = ""
    """The agent's variant that its session has."""

    @property
    def shown_session(self) -> str | None:
        """Return the session that callers see."""
        return self.session if self.kept else None

    async def finished(self) -> dict[str, Any]:
        """Wait for the end; return the result.

        Raises:
            HttpProblem: the run failed.
        """
        if self.task is not None:
            await asyncio.wait([self.task])
        if self.problem is not None:
            raise replace(self.problem)
        return self.result

    def state(self) -> Run:
        """Return the state that is stored and shown."""
        return Run(
            id=self.id,
            user=self.user,
            session=self.session,
            status=self.status,
            created=self.created,
            ended=self.ended,
            result=self.result | self.resumed,
            replica=self.replica,
            origin=self.origin,
        )

    def stop(self) -> None:
        """Cancel it, once, at someone's request; one that has ended is stored in peace."""
        if self.task is not None and self.status == "running" and not self.cancelled:
            self.cancelled = True
            self.task.cancel()

    def desert(self) -> None:
        """Stop it if its reader was the only one: what is not kept, nobody can ask for again."""
        if self.alone and self.status == "running":
            self.stop()
