"""A store in parts: what each kind of data asks of it, and what all of them ask of the place where they are kept."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from fleetform_runtime.secrets import Secrets
from fleetform_runtime.store import Event, Memory, Pause, Remembered, Run, Session

MOST_TASKS = 200
"""Tasks of a user that are listed; older ones are found by their names."""


def _untold(reason: str, count: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What any store needs besides its own settings."""

    secrets: Secrets
    namespace: str
    agent: str
    clock: Callable[[], float] = time.time
    removed: Callable[[str, int], None] = _untold
    """Is told why sessions were deleted that nobody asked to delete, and how many."""
    renewed: Callable[[], None] = lambda: None
    """Is told that all connections to a server were given up for new ones."""
    memory_seconds: float | None = None
    """How long something is remembered of a user after its last use; None if nothing is."""


class Backend(Protocol):
    """The place where everything is kept: connection, health, leases.

    Every method limits its own time and raises StoreError if the store does not answer.
    """

    type: str
    shared: bool
    """Whether it is shared with other replicas."""

    async def open(self) -> None:
        """Prepare; a store that does not answer yet must not make this fail for ever."""

    async def close(self) -> None:
        """Close connections and files."""

    async def ping(self) -> None:
        """Try what a chat needs, a write; raise StoreError if it fails."""

    async def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew a lease; return whether it is the holder's, by the clock of the store."""

    async def is_held(self, name: str) -> bool:
        """Whether anybody holds a lease."""


class Conversations(Protocol):
    """Sessions and their messages. An expired session does not exist."""

    async def load(self, user: str, session: str, limit: int) -> tuple[Session, list[bytes]] | None:
        """Return a session and its newest rows, oldest first; -1 means all rows."""

    async def page(self, user: str, session: str, start: int, count: int) -> list[bytes]:
        """Return rows from a position on."""

    async def create(self, session: Session) -> Session:
        """Store a new session, and delete the user's oldest beyond the limit.

        Raises:
            ConflictError: it exists already.
        """

    async def append(
        self, session: Session, rows: Sequence[bytes], expected: int | None = None
    ) -> Session:
        """Add rows and what the session says besides; create the session if needed.

        Raises:
            ConflictError: the stored revision is not the expected one.
            FullError: there is no room for them.
        """

    async def recent(self, user: str, start: int, count: int) -> tuple[list[Session], int]:
        """Return the user's sessions, most recently used first, and their total number."""

    async def update(self, session: Session, expected: int | None = None) -> Session:
        """Rewrite what the session says besides its rows.

        Raises:
            ConflictError: it is gone, or the stored revision is not the expected one.
        """

    async def delete(self, user: str, session: str) -> bool:
        """Delete a session and its rows; return whether it existed."""

    async def clear(self, user: str) -> int:
        """Delete all sessions of a user, readable or not, and all traces of them; return how many."""

    async def expire(self) -> int:
        """Delete expired sessions that nobody touches; return how many."""


class Runs(Protocol):
    """States and events of runs, for other replicas and for later."""

    async def put(self, run: Run, events: Sequence[Event], seconds: float) -> None:
        """Store the state of a run, and add events for the other replicas."""

    async def claim(self, run: Run, seconds: float) -> bool:
        """Store the state of a run unless there is one of this name, as one step; return whether there was none."""

    async def get(self, run: str) -> Run | None:
        """Return the state of a run."""

    async def events(self, run: str, after: int) -> list[Event]:
        """Return the events of a run after one."""

    async def ask_cancel(self, run: str, seconds: float) -> None:
        """Ask the replica that executes a run to stop it."""

    async def is_cancel_asked(self, run: str) -> bool:
        """Whether someone asked for that."""

    async def of(self, user: str) -> list[Run]:
        """Return all runs of a user. All runs of the agent are looked through: for administrators."""

    async def tasks(self, user: str) -> list[Run]:
        """Return the user's runs that are tasks, those that changed last first, MOST_TASKS at most."""

    async def remove(self, run: str) -> None:
        """Delete a run and its events, if it is there."""

    async def expire(self) -> int:
        """Delete what is no longer kept; return how much."""


class Memories(Protocol):
    """What an agent remembers of each user. What has not been used for long does not exist."""

    async def load(self, owner: str) -> Remembered:
        """Return all that is remembered of a user."""

    async def write(
        self, owner: str, mark: str, changed: Sequence[Memory], removed: Collection[str] = ()
    ) -> bool:
        """Add or replace memories and remove others, as one step, unless some were deleted since the mark was read."""

    async def touch(self, owner: str, ids: Collection[str]) -> None:
        """Note that memories were used, as far as they are still there."""

    async def remove(self, owner: str, ids: Collection[str] | None = None) -> int:
        """Delete memories, by default all of a user, and change the mark; return how many were deleted."""

    async def expire(self) -> int:
        """Delete what was not used for long; return how much."""


class Pauses(Protocol):
    """All runs of an agent that wait for people, whoever asked: an index, for sessions are found by their user."""

    async def put(self, pause: Pause) -> None:
        """Add a run, or replace what is known of it."""

    async def remove(self, run: str) -> None:
        """Remove a run, if it is there."""

    async def page(self, start: int, count: int) -> list[Pause]:
        """Return runs from a position on, those that wait longest first; nothing expires by itself."""


@dataclass(frozen=True, slots=True)
class Store:
    """A backend and its parts."""

    backend: Backend
    conversations: Conversations
    runs: Runs
    pauses: Pauses
    memories: Memories
