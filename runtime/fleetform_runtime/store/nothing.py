"""The store of an agent that keeps nothing."""

from collections.abc import Sequence

from fleetform_runtime.store import ConflictError, Event, Run, Session


class NoStore:
    """Keeps nothing and finds nothing; the API refuses what would need more."""

    backend = "none"
    shared = False

    async def open(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to close."""

    async def ping(self) -> None:
        """Always available."""

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

    async def sessions(self, user: str, start: int, count: int) -> tuple[list[Session], int]:
        """Find nothing."""
        return [], 0

    async def update(self, session: Session, expected: int | None = None) -> Session:
        """Refuse."""
        raise ConflictError(session.id)

    async def delete(self, user: str, session: str) -> bool:
        """Find nothing."""
        return False

    async def put_run(self, run: Run, events: Sequence[Event], seconds: float) -> None:
        """Forget it."""

    async def get_run(self, run: str) -> Run | None:
        """Find nothing."""
        return None

    async def get_events(self, run: str, after: int) -> list[Event]:
        """Find nothing."""
        return []

    async def ask_cancel(self, run: str, seconds: float) -> None:
        """Forget it."""

    async def is_cancel_asked(self, run: str) -> bool:
        """Find nothing."""
        return False
