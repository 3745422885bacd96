"""The store of an agent that keeps nothing: it finds nothing, and the API refuses what would need more."""

from collections.abc import Sequence

from fleetform_runtime.sections.memory import NoMemory
from fleetform_runtime.store import ConflictError, Event, Run, Session
from fleetform_runtime.store.local import LocalBackend, LocalMemories, LocalPauses
from fleetform_runtime.store.parts import Store, Surroundings


def build(settings: NoMemory, around: Surroundings) -> Store:
    """Return the store that keeps nothing."""
    return Store(Nowhere(), NoConversations(), NoRuns(), LocalPauses(), LocalMemories(around))


class Nowhere(LocalBackend):
    """No place at all."""

    type = "none"


class NoConversations:
    """Keeps no conversations."""

    async def load(self, user: str, session: str, limit: int) -> tuple[Session, list[bytes]] | None:
        """Find nothing."""
        return None

    async def page(self, user: str, session: str, start: int, count: int) -> list[bytes]:
        """Find nothing."""
        return []

    async def create(self, session: Session) -> Session:
        """Refuse."""
        raise ConflictError(session.id)

    async def append(
        self, session: Session, rows: Sequence[bytes], expected: int | None = None
    ) -> Session:
        """Refuse."""
        raise ConflictError(session.id)

    async def recent(self, user: str, start: int, count: int) -> tuple[list[Session], int]:
        """Find nothing."""
        return [], 0

    async def update(self, session: Session, expected: int | None = None) -> Session:
        """Refuse."""
        raise ConflictError(session.id)

    async def delete(self, user: str, session: str) -> bool:
        """Find nothing."""
        return False

    async def clear(self, user: str) -> int:
        """Have nothing to delete."""
        return 0

    async def expire(self) -> int:
        """Have nothing to delete."""
        return 0


class NoRuns:
    """Keeps no runs."""

    async def put(self, run: Run, events: Sequence[Event], seconds: float) -> None:
        """Forget it."""

    async def claim(self, run: Run, seconds: float) -> bool:
        """Know of no other."""
        return True

    async def get(self, run: str) -> Run | None:
        """Find nothing."""
        return None

    async def events(self, run: str, after: int) -> list[Event]:
        """Find nothing."""
        return []

    async def ask_cancel(self, run: str, seconds: float) -> None:
        """Forget it."""

    async def is_cancel_asked(self, run: str) -> bool:
        """Find nothing."""
        return False

    async def of(self, user: str) -> list[Run]:
        """Find nothing."""
        return []

    async def tasks(self, user: str) -> list[Run]:
        """Find nothing."""
        return []

    async def remove(self, run: str) -> None:
        """Have nothing to delete."""

    async def expire(self) -> int:
        """Have nothing to delete."""
        return 0
