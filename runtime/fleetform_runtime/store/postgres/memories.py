"""What is remembered of users, in PostgreSQL, without any extension.

Changes of one user's memories wait for each other: what is deleted is not written again by whoever has read it before.
A mark has the user's hash in place of a name, since it outlives the memories.
"""

import hashlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeVar

from fleetform_runtime.store import Memory, Remembered, drawn, memory_json, read_memory
from fleetform_runtime.store.parts import Surroundings
from fleetform_runtime.store.postgres import statements
from fleetform_runtime.store.postgres.backend import PostgresBackend, in_portions

T = TypeVar("T")
MARKED_SECONDS = 86_400
"""How long a deletion is remembered: much longer than anything is in a queue."""


class PostgresMemories:
    """Keeps memories in tables."""

    def __init__(self, backend: PostgresBackend, around: Surroundings) -> None:
        self._client = backend.client
        self._sql = backend.sql
        self._agent = backend.agent
        self._clock = backend.clock
        self._seconds = around.memory_seconds
        self._missing = backend.sql("{schema}.memories")

    async def load(self, owner: str) -> Remembered:
        """Return all that is remembered of a user."""

        async def work(connection: Any) -> tuple[str, list[Any]]:
            mark = await self._mark(connection, owner)
            oldest = self._clock() - (self._seconds or 0.0)
            rows = await connection.fetch(
                self._sql(statements.MEMORIES), self._agent, owner, oldest
            )
            return mark, rows

        # The mark is read first: what is deleted between the two makes it stale.
        mark, rows = await self._client.do(work)
        found = [
            memory
            for body, used, hits in rows
            if (memory := read_memory(body, used, hits)) is not None
        ]
        return Remembered(mark, found)

    async def write(
        self, owner: str, mark: str, changed: Sequence[Memory], removed: Collection[str] = ()
    ) -> bool:
        """Add, replace and remove memories, unless some were deleted since."""

        async def work(connection: Any) -> bool:
            if mark != await self._mark(connection, owner):
                return False
            await connection.execute(
                self._sql(statements.PUT_MEMORIES),
                self._agent,
                owner,
                [memory.id for memory in changed],
                [float(memory.used) for memory in changed],
                [memory.hits for memory in changed],
                [memory_json(memory).decode() for memory in changed],
            )
            if removed:
                await connection.fetchval(
                    self._sql(statements.REMOVE_MEMORIES), self._agent, owner, list(removed)
                )
            return True

        return await self._alone(owner, work)

    async def touch(self, owner: str, ids: Collection[str]) -> None:
        """Note that memories were used."""

        async def work(connection: Any) -> None:
            await connection.execute(
                self._sql(statements.TOUCH_MEMORIES), self._agent, owner, self._clock(), list(ids)
            )

        await self._client.do(work)

    async def remove(self, owner: str, ids: Collection[str] | None = None) -> int:
        """Delete memories; an agent that remembers nothing may have no tables of them."""

        async def work(connection: Any) -> int:
            if self._seconds is None and await connection.fetchval(
                "SELECT to_regclass($1) IS NULL", self._missing
            ):
                return 0
            until = self._clock() + MARKED_SECONDS
            await connection.execute(
                self._sql(statements.SET_MARK), self._agent, _hash(owner), drawn(), until
            )
            count: int = await connection.fetchval(
                self._sql(statements.REMOVE_MEMORIES),
                self._agent,
                owner,
                None if ids is None else list(ids),
            )
            return count

        return await self._alone(owner, work)

    async def expire(self) -> int:
        """Delete in portions, each of which is done in time."""
        if self._seconds is None:
            return 0
        now = self._clock()
        oldest = now - self._seconds

        async def work(connection: Any) -> int:
            done: int = await connection.fetchval(
                self._sql(statements.EXPIRE_MEMORIES),
                self._agent,
                oldest,
                statements.PORTION,
                now,
            )
            return done

        return await in_portions(lambda: self._client.do(work))

    async def _alone(self, owner: str, work: Callable[[Any], Awaitable[T]]) -> T:
        """Change a user's memories in one transaction, while nobody else does."""

        async def within(connection: Any) -> T:
            async with connection.transaction():
                await connection.execute(statements.OWNER_ALONE, f"{self._agent}/{_hash(owner)}")
                return await work(connection)

        return await self._client.do(within)

    async def _mark(self, connection: Any, owner: str) -> str:
        found = await connection.fetchval(
            self._sql(statements.MARK), self._agent, _hash(owner), self._clock()
        )
        return found or ""


def _hash(owner: str) -> str:
    return hashlib.sha256(owner.encode()).hexdigest()
