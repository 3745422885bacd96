"""The shape of a part of the API; `surface.MOUNTED` lists the parts."""

from collections.abc import Callable
from dataclasses import dataclass

from fleetform_runtime.http.answering import EVENT_STREAM, Answering
from fleetform_runtime.http.router import Route
from fleetform_runtime.runs.service import Runs
from fleetform_runtime.settings import Settings
from fleetform_runtime.store.parts import Backend
from fleetform_runtime.tools.build import AgentTools

BOTH = f"application/json, {EVENT_STREAM}"


@dataclass(frozen=True, slots=True)
class Parts:
    """What parts of the API are made of."""

    settings: Settings
    hash: str
    """Fingerprint of the configuration."""
    runs: Runs
    tools: AgentTools
    store: Backend
    answering: Answering
    is_draining: Callable[[], bool]

    @property
    def agent(self) -> str:
        """Return the agent's name."""
        return self.settings.agent.name


@dataclass(frozen=True, slots=True)
class Mounted:
    """A part of the API."""

    routes: tuple[Route, ...]
    needs_store: bool = False
    """Whether an agent that keeps nothing refuses it."""


Mount = Callable[[Parts], Mounted]
