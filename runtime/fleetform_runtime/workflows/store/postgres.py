"""Workflows in PostgreSQL."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.memory import PostgresMemory
from fleetform_runtime.store.postgres.client import PostgresClient
from fleetform_runtime.store.postgres.tables import Tables
from fleetform_runtime.workflows.store.sql import NAMES, TABLES, SqlStore

T = TypeVar("T")
_CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8"
SILENT_MILLISECONDS = 10_000
"""How long a transaction may be silent before the server ends it: who stopped or is cut off in one would keep its locks."""
_BOUNDED = "SELECT set_config('idle_in_transaction_session_timeout', $1, true)"
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"


class _Transaction:
    def __init__(self, connection: Any, schema: str) -> None:
        self._connection = connection
        self._schema = schema

    async def now(self) -> float:
        found: float = await self._connection.fetchval(_CLOCK)
        return found

    async def rows(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        found = await self._connection.fetch(_written(text, self._schema), *values)
        return [tuple(row) for row in found]


def _written(text: str, schema: str) -> str:
    return text.replace("{schema}", f"{schema}.").replace("{real}", "double precision")


class PostgresStore(SqlStore):
    """A schema of PostgreSQL."""

    type = "postgres"
    shared = True

    def __init__(self, settings: PostgresMemory, secrets: Secrets, workflow: str) -> None:
        super().__init__(workflow)
        self._schema = settings.schema_name
        tables = TABLES.replace("{schema}", "{schema}.").replace("{real}", "double precision")
        self._tables = Tables(self._schema, NAMES, tables)
        self._client = PostgresClient(settings, secrets, self._tables.make)
        self._is_ready = False

    async def open(self) -> None:
        """Create missing tables."""
        await self._client.do(self._tables.make)
        self._is_ready = True

    async def close(self) -> None:
        """Close the pool."""
        await self._client.close()

    async def ping(self) -> None:
        """Check the tables; those that could not be created before are created now."""
        if not self._is_ready:
            await self.open()
        await self._client.do(self._tables.require)

    async def _do(self, work: Callable[[Any], Coroutine[Any, Any, T]], *, alone: bool = False) -> T:
        """Work in one transaction; `alone`: beside no other one of the workflow that asks for it."""

        async def done(connection: Any) -> T:
            async with connection.transaction():
                await connection.execute(_BOUNDED, str(SILENT_MILLISECONDS))
                if alone:
                    await connection.execute(_ALONE, self._workflow)
                return await work(_Transaction(connection, self._schema))

        return await self._client.do(done)
