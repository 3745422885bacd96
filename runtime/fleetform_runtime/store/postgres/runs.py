"""Runs in PostgreSQL, with their events."""

import contextlib
from collections.abc import Sequence
from typing import Any

import orjson

from fleetform_runtime.store import Event, Run, UnreadableRecordError, read_run, run_json
from fleetform_runtime.store.parts import MOST_TASKS
from fleetform_runtime.store.postgres import statements
from fleetform_runtime.store.postgres.backend import PostgresBackend, in_portions


class PostgresRuns:
    """Keeps runs in PostgreSQL."""

    def __init__(self, backend: PostgresBackend) -> None:
        self._client = backend.client
        self._sql = backend.sql
        self._agent = backend.agent
        self._clock = backend.clock

    async def put(self, run: Run, events: Sequence[Event], seconds: float) -> None:
        """Store the state of a run and its new events."""
        expires = self._clock() + seconds

        numbers = [item.id for item in events]
        kinds = [item.type for item in events]
        bodies = [item.data.decode() for item in events]

        async def work(connection: Any) -> None:
            await connection.execute(
                self._sql(statements.PUT_RUN),
                self._agent,
                run.id,
                expires,
                run_json(run).decode(),
                numbers,
                kinds,
                bodies,
            )
            if run.is_task and run.status != "running":
                await self._list(connection, run)

        await self._client.do(work)

    async def claim(self, run: Run, seconds: float) -> bool:
        """Store the state of a run unless there is one of this name; what has expired makes room, with its events."""
        now = self._clock()

        async def work(connection: Any) -> bool:
            values = (self._agent, run.id, now + seconds, run_json(run).decode())
            claim, room = self._sql(statements.CLAIM_RUN), self._sql(statements.REMOVE_EXPIRED_RUN)
            taken = bool(
                await connection.fetchval(claim, *values)
                or (
                    await connection.fetchval(room, self._agent, run.id, now)
                    and await connection.fetchval(claim, *values)
                )
            )
            if taken and run.is_task:
                await self._list(connection, run)
            return taken

        return await self._client.do(work)

    async def _list(self, connection: Any, run: Run) -> None:
        values = (self._agent, run.user, run.id, run.touched)
        await connection.execute(self._sql(statements.LIST_TASK), *values)

    async def get(self, run: str) -> Run | None:
        """Return the state of a run."""

        async def work(connection: Any) -> str | None:
            found: str | None = await connection.fetchval(
                self._sql("SELECT body FROM {schema}.runs WHERE agent=$1 AND id=$2 AND expires>$3"),
                self._agent,
                run,
                self._clock(),
            )
            return found

        body = await self._client.do(work)
        return None if body is None else read_run(body)

    async def events(self, run: str, after: int) -> list[Event]:
        """Return the events of a run after one."""

        async def work(connection: Any) -> list[Any]:
            found: list[Any] = await connection.fetch(
                self._sql(
                    "SELECT number, kind, data FROM {schema}.events"
                    " WHERE agent=$1 AND run=$2 AND number>$3 ORDER BY number"
                ),
                self._agent,
                run,
                after,
            )
            return found

        return [Event(row[0], row[1], row[2].encode()) for row in await self._client.do(work)]

    async def ask_cancel(self, run: str, seconds: float) -> None:
        """Leave a message for the replica that executes the run."""

        async def work(connection: Any) -> None:
            await connection.execute(
                self._sql("UPDATE {schema}.runs SET is_cancelled=true WHERE agent=$1 AND id=$2"),
                self._agent,
                run,
            )

        await self._client.do(work)

    async def is_cancel_asked(self, run: str) -> bool:
        """Look for such a message."""

        async def work(connection: Any) -> bool:
            return bool(
                await connection.fetchval(
                    self._sql("SELECT is_cancelled FROM {schema}.runs WHERE agent=$1 AND id=$2"),
                    self._agent,
                    run,
                )
            )

        return await self._client.do(work)

    async def of(self, user: str) -> list[Run]:
        """Return all runs of a user."""
        marker = f'"user":{orjson.dumps(user).decode()}'

        async def work(connection: Any) -> list[Any]:
            found: list[Any] = await connection.fetch(
                self._sql("SELECT body FROM {schema}.runs WHERE agent=$1 AND strpos(body, $2) > 0"),
                self._agent,
                marker,
            )
            return found

        runs = []
        for row in await self._client.do(work):
            with contextlib.suppress(UnreadableRecordError):
                runs.append(read_run(row[0]))
        return [run for run in runs if run.user == user]

    async def tasks(self, user: str) -> list[Run]:
        """Return the user's tasks, those that changed last first."""

        async def work(connection: Any) -> list[Any]:
            found: list[Any] = await connection.fetch(
                self._sql(statements.TASKS), self._agent, user, self._clock(), MOST_TASKS
            )
            return found

        runs = []
        for row in await self._client.do(work):
            with contextlib.suppress(UnreadableRecordError):
                runs.append(read_run(row[0]))
        return runs

    async def remove(self, run: str) -> None:
        """Delete a run and its events."""

        async def work(connection: Any) -> None:
            await connection.execute(
                self._sql("DELETE FROM {schema}.runs WHERE agent=$1 AND id=$2"), self._agent, run
            )

        await self._client.do(work)

    async def expire(self) -> int:
        """Delete in portions, each of which is done in time."""

        async def work(connection: Any) -> int:
            done: int = await connection.fetchval(
                self._sql(statements.EXPIRE_RUNS), self._agent, self._clock(), statements.PORTION
            )
            return done

        return await in_portions(lambda: self._client.do(work))
