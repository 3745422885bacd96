"""The interface of tools."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from fleetform_runtime.messages import Citation, Image, Outcome

Kind = str
"""A type of tools of agent.json, or `mcp`."""


class ToolError(Exception):
    """A call failed; the message is what the model reads."""

    def __init__(self, message: str, outcome: Outcome = "error") -> None:
        super().__init__(message)
        self.outcome: Outcome = outcome


HOPS = "Fleetform-Hops"
"""Header that counts the agents that called each other on the way to a run."""
PATH = "Fleetform-Path"
"""Header that names them, first to last, with commas between."""
UNNAMED = "?"
"""Stands for an agent that did not say its name."""
MOST_IMAGES = 4
"""Images of one result that a model gets to see; others are told of."""
LARGEST_IMAGE = 5 * 1024 * 1024
"""Bytes of one of them."""
IMAGES = ("image/png", "image/jpeg", "image/webp", "image/gif")


@dataclass(frozen=True, slots=True)
class Output:
    """What a tool returns: text, images for models that can see, and what the text quotes."""

    text: str
    images: tuple[Image, ...] = ()
    citations: tuple[Citation, ...] = ()


class InputNeededError(Exception):
    """A call goes on once a person has answered what its server asks."""

    def __init__(self, key: str, message: str, schema: dict[str, Any], state: str | None) -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.schema = schema
        self.state = state
        """What the server wants back with the answer; nobody else reads it."""

    def body(self) -> dict[str, Any]:
        """Return what is kept while the person thinks."""
        found = {"key": self.key, "message": self.message, "schema": self.schema}
        return found if self.state is None else {**found, "state": self.state}


class DecisionNeededError(Exception):
    """A call goes on once people have decided on calls of the agent that was called, which waits."""

    def __init__(self, waits: dict[str, Any]) -> None:
        super().__init__(waits["run"])
        self.waits = waits
        """{run, calls, expires?, problem?, …}: the agent's task, and its calls as it shows them."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """Who calls, and where; `key` is the same whenever the same call is repeated."""

    run: str
    session: str
    user: str
    call: str
    key: str
    callers: tuple[str, ...] = ()
    """Agents that have called each other before this run."""
    reply: dict[str, Any] | None = None
    """What people said to what the call waited for: for a server its parameters of the repeated call, for an
    agent {waits, decisions}."""
    may_wait: bool = True
    """Whether people can be asked."""
    tainted: bool = False
    """Whether other tools have answered in this run, so that what a model says may be theirs."""
    tell: Callable[[dict[str, Any]], None] | None = None
    """Tells whoever follows the run how the call goes on; None if nobody listens."""


class Tool(Protocol):
    """Something that the agent can do."""

    name: str
    server: str
    """The MCP server that lists it; empty for a tool of the specification."""
    kind: Kind
    description: str
    schema: dict[str, Any]
    """JSON Schema of the arguments, as models see it."""
    checked: dict[str, Any] | None
    """The one that arguments are checked with; None if only the other side checks them."""
    requires_approval: bool

    async def run(self, arguments: dict[str, Any], context: CallContext) -> Output | str:
        """Run the tool within its own time limit.

        Raises:
            ToolError: it failed. Any other exception is reported to the model without its text.
        """
        ...


@runtime_checkable
class Waiter(Tool, Protocol):
    """A tool whose calls may wait for what people decide elsewhere."""

    async def withdraw(self, waits: dict[str, Any]) -> None:
        """Cancel what nobody will decide on, as it was raised."""
        ...


class ToolSource(Protocol):
    """Where tools come from: the specification, or servers that list them."""

    async def tools(self) -> Sequence[Tool]:
        """Return the tools that can be called now."""
        ...
