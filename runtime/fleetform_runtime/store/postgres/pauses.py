"""Runs that wait for people, in PostgreSQL."""

from typing import Any

from fleetform_runtime.store import Pause, pause_json, read_pause
from fleetform_runtime.store.postgres.backend import PostgresBackend


class PostgresPauses:
    """Keeps them in a table of their own."""

    def __init__(self, backend: PostgresBackend) -> None:
        self._client = backend.client
        self._sql = backend.sql
        self._agent = backend.agent

    async def put(self, pause: Pause) -> None:
        """Add a run."""

        async def work(connection: Any) -> None:
            await connection.execute(
                self._sql(
                    "INSERT INTO {schema}.pauses VALUES ($1, $2, $3, $4)"
                    " ON CONFLICT (agent, run) DO UPDATE SET since = $3, body = $4"
                ),
                self._agent,
                pause.run,
                pause.since,
                pause_json(pause).decode(),
            )

        await self._client.do(work)

    async def remove(self, run: str) -> None:
        """Remove a run."""

        async def work(connection: Any) -> None:
            await connection.execute(
                self._sql("DELETE FROM {schema}.pauses WHERE agent=$1 AND run=$2"),
                self._agent,
                run,
            )

        await self._client.do(work)

    async def page(self, start: int, count: int) -> list[Pause]:
        """Return runs, those that wait longest first."""

        async def work(connection: Any) -> list[Any]:
            found: list[Any] = await connection.fetch(
                self._sql(
                    "SELECT body FROM {schema}.pauses WHERE agent=$1"
                    " ORDER BY since, run OFFSET $2 LIMIT $3"
                ),
                self._agent,
                start,
                count,
            )
            return found

        rows = await self._client.do(work)
        return [pause for row in rows if (pause := read_pause(row[0])) is not None]
