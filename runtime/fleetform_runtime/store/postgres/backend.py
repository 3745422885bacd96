"""PostgreSQL as a place: its tables, what a chat needs of it, and leases."""

from collections.abc import Awaitable, Callable
from typing import Any

from fleetform_runtime.sections.memory import PostgresMemory
from fleetform_runtime.store.parts import Surroundings
from fleetform_runtime.store.postgres import statements
from fleetform_runtime.store.postgres.client import PostgresClient
from fleetform_runtime.store.postgres.tables import Tables


class PostgresBackend:
    """A schema of PostgreSQL, and the name of an agent in it."""

    type = "postgres"
    shared = True

    def __init__(self, settings: PostgresMemory, around: Surroundings) -> None:
        self.agent = f"{around.namespace}/{around.agent}"
        self.clock = around.clock
        self.removed = around.removed
        self._schema = settings.schema_name
        remembers = around.memory_seconds is not None
        self._tables = Tables(
            settings.schema_name,
            statements.NAMES + (statements.MEMORY_NAMES if remembers else ()),
            statements.TABLES + (statements.MEMORY_TABLES if remembers else ""),
        )
        self.client = PostgresClient(settings, around.secrets, self._tables.make, around.renewed)
        self._is_ready = False

    def sql(self, text: str) -> str:
        """Return a statement with the schema of its tables."""
        return text.format(schema=self._schema)

    async def open(self) -> None:
        """Create missing tables."""
        await self.client.do(self._tables.make)
        self._is_ready = True

    async def close(self) -> None:
        """Close the pool."""
        await self.client.close()

    async def ping(self) -> None:
        """Check the tables and write; tables that could not be created before are created now."""
        if not self._is_ready:
            await self.open()

        async def work(connection: Any) -> None:
            await self._tables.require(connection)
            await connection.execute(self.sql(statements.READY), self.agent, self.clock())

        await self.client.do(work)

    async def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew a lease."""

        async def work(connection: Any) -> bool:
            return bool(
                await connection.fetchval(
                    self.sql(statements.HOLD), self.agent, name, holder, seconds
                )
            )

        return await self.client.do(work)

    async def is_held(self, name: str) -> bool:
        """Look for a lease."""

        async def work(connection: Any) -> bool:
            return bool(await connection.fetchval(self.sql(statements.IS_HELD), self.agent, name))

        return await self.client.do(work)


async def in_portions(delete: Callable[[], Awaitable[int]]) -> int:
    """Delete portions until one is not full; return how much was deleted."""
    total = 0
    while True:
        done = await delete()
        total += done
        if done < statements.PORTION:
            return total
