"""Tables of PostgreSQL: made when the first one is missing, by one process at a time."""

from collections.abc import Sequence
from typing import Any

from fleetform_runtime.store import StoreError

LOCK = 0x666C6565  # one process creates the tables; the others wait
_MISSING = "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL"


class Tables:
    """Tables in a schema: their names, and the statements that make them, with `{schema}` for its name."""

    def __init__(self, schema: str, names: Sequence[str], text: str) -> None:
        self._schema = schema
        self._names = [f"{schema}.{name}" for name in names]
        self._text = text

    async def missing(self, connection: Any) -> list[str]:
        """Return the tables that are not there."""
        return [row[0] for row in await connection.fetch(_MISSING, self._names)]

    async def make(self, connection: Any) -> None:
        """Create tables if one is missing; else an account need not be allowed to."""
        if not await self.missing(connection):
            return
        async with connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
            if await connection.fetchval("SELECT to_regnamespace($1)", self._schema) is None:
                await connection.execute(f"CREATE SCHEMA {self._schema}")
            await connection.execute(self._text.format(schema=self._schema))

    async def require(self, connection: Any) -> None:
        """Check that all are there; those that went are not created again: they would stand in the way of a restore.

        Raises:
            StoreError: some are not.
        """
        if missing := await self.missing(connection):
            raise StoreError(
                f"tables are missing: {', '.join(missing)}; restore them, or restart to create them"
            )
