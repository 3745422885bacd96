"""PostgreSQL as a place: its tables, what a chat needs of it, and leases."""

from collections.abc import Awaitable, Callable
from typing import Any

from fleetform_runtime.sections.memory import PostgresMemory
from fleetform_runtime.store import StoreError
from fleetform_runtime.store.parts import Surroundings
from fleetform_runtime.store.postgres import statements
from fleetform_runtime.store.postgres.client import PostgresClient

LOCK = 0x666C6565  # one replica creates the tables; the others wait


class PostgresBackend:
    """A schema of PostgreSQL, and the name of an agent in it."""

    type = "postgres"
    shared = True

    def __init__(self, settings: PostgresMemory, around: Surroundings) -> None:
        self.client = PostgresClient(settings, around.secrets, self._make_tables, around.renewed)
        self.agent = f"{around.namespace}/{around.agent}"
        self.clock = around.clock
        self.removed = around.removed
        self._schema = settings.schema_name
        self._names: tuple[str, ...] = statements.NAMES
        self._tables = statements.TABLES
        if around.memory_seconds is not None:
            self._names += statements.MEMORY_NAMES
            self._tables += statements.MEMORY_TABLES
        self._is_ready = False

    def sql(self, text: str) -> str:
        """Return a statement with the schema of its tables."""
        return text.format(schema=self._schema)

    async def open(self) -> None:
        """Create missing tables."""
        await self.client.do(self._make_tables)
        self._is_ready = True

    async def close(self) -> None:
        """Close the pool."""
        await self.client.close()

    async def ping(self) -> None:
        """Check the tables and write; tables that could not be created before are created now.

        Tables that went afterwards are not created again: they would stand in the way of a restore.
        """
        if not self._is_ready:
            await self.open()

        async def work(connection: Any) -> list[str]:
            missing = await self._missing(connection)
            if not missing:
                await connection.execute(self.sql(statements.READY), self.agent, self.clock())
            return missing

        if missing := await self.client.do(work):
            raise StoreError(
                f"tables are missing: {', '.join(missing)}; restore them, or restart to create them"
            )

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

    async def _missing(self, connection: Any) -> list[str]:
        names = [f"{self._schema}.{name}" for name in self._names]
        return [row[0] for row in await connection.fetch(statements.MISSING, names)]

    async def _make_tables(self, connection: Any) -> None:
        """Create tables if one is missing; else an account need not be allowed to."""
        if not await self._missing(connection):
            return
        schema = self._schema
        async with connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
            if await connection.fetchval("SELECT to_regnamespace($1)", schema) is None:
                await connection.execute(f"CREATE SCHEMA {schema}")
            await connection.execute(self.sql(self._tables))


async def in_portions(delete: Callable[[], Awaitable[int]]) -> int:
    """Delete portions until one is not full; return how much was deleted."""
    total = 0
    while True:
        done = await delete()
        total += done
        if done < statements.PORTION:
            return total
