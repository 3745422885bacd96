"""Sessions in PostgreSQL: two tables for conversations, three for runs.

Rows are JSON text, not jsonb: they are returned byte for byte as written.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.memory import PostgresMemory
from fleetform_runtime.store import (
    ConflictError,
    Event,
    Run,
    Session,
    StoreError,
    read_run,
    read_session,
    rewritten,
    run_json,
    session_json,
    stepped,
)
from fleetform_runtime.store import postgres_statements as statements
from fleetform_runtime.store.postgres_client import PostgresClient

T = TypeVar("T")
TRIES = 5
SWEEP_SECONDS = 600
LOCK = 0x666C6565  # one replica creates the tables; the others wait


class PostgresStore:
    """Stores sessions in PostgreSQL."""

    backend = "postgres"
    shared = True

    def __init__(
        self,
        settings: PostgresMemory,
        secrets: Secrets,
        namespace: str,
        agent: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._policy = settings.policy
        self._agent = f"{namespace}/{agent}"
        self._clock = clock
        self._client = PostgresClient(settings, secrets, self._make_tables)
        self._is_ready = False
        self._swept = clock()

    async def open(self) -> None:
        """Create missing tables."""
        await self._do(self._make_tables)
        self._is_ready = True

    async def close(self) -> None:
        """Close the pool."""
        await self._client.close()

    async def ping(self) -> None:
        """Check the tables and write; tables that could not be created before are created now.

        Tables that went afterwards are not created again: they would stand in the way of a restore.
        """
        if not self._is_ready:
            await self.open()

        async def work(connection: Any) -> list[str]:
            names = [f"{self._settings.schema_name}.{name}" for name in statements.NAMES]
            missing = [row[0] for row in await connection.fetch(statements.MISSING, names)]
            if not missing:
                await connection.execute(self._sql(statements.READY), self._agent, self._clock())
            return missing

        if missing := await self._do(work):
            raise StoreError(
                f"tables are missing: {', '.join(missing)}; restore them, or restart to create them"
            )

    async def load(self, user: str, session: str, limit: int) -> tuple[Session, list[bytes]] | None:
        """Return a session and its newest rows."""

        async def work(connection: Any) -> tuple[str | None, list[str]]:
            meta = await connection.fetchval(
                self._sql(
                    "SELECT meta FROM {schema}.sessions WHERE agent=$1 AND owner=$2 AND id=$3"
                ),
                *self._key(user, session),
            )
            if meta is None or limit == 0:
                return meta, []
            rows = await connection.fetch(
                self._sql(
                    "SELECT body FROM {schema}.messages WHERE agent=$1 AND owner=$2 AND session=$3"
                    " ORDER BY number DESC LIMIT $4"
                ),
                *self._key(user, session),
                None if limit < 0 else limit,
            )
            return meta, [row[0] for row in reversed(rows)]

        meta, rows = await self._do(work)
        held = None if meta is None else read_session(meta)
        if held is None or await self._is_expired(held):
            return None
        return held, [row.encode() for row in rows]

    async def page(self, user: str, session: str, start: int, count: int) -> list[bytes]:
        """Return rows from a position on."""

        async def work(connection: Any) -> list[Any]:
            found: list[Any] = await connection.fetch(
                self._sql(
                    "SELECT body FROM {schema}.messages WHERE agent=$1 AND owner=$2 AND session=$3"
                    " ORDER BY number OFFSET $4 LIMIT $5"
                ),
                *self._key(user, session),
                start,
                count,
            )
            return found

        return [row[0].encode() for row in await self._do(work)]

    async def create(self, session: Session) -> Session:
        """Store a new session."""
        await self._find(session)
        made = stepped(session, None, 0, self._clock())
        if not await self._write(statements.INSERT, made, 0, ()):
            raise ConflictError
        await self._make_room(made)
        return made

    async def append(
        self, session: Session, rows: Sequence[bytes], expected: int | None = None
    ) -> Session:
        """Add rows, after those that others have added meanwhile."""
        for _ in range(TRIES):
            stored = await self._find(session)
            if expected is not None and (stored is None or stored.revision != expected):
                raise ConflictError
            made = stepped(session, stored, len(rows), self._clock())
            if stored is not None:
                if await self._write(statements.UPDATE, made, stored.revision, rows):
                    return made
            elif await self._write(statements.INSERT, made, 0, rows):
                await self._make_room(made)
                return made
        raise ConflictError

    async def sessions(self, user: str, start: int, count: int) -> tuple[list[Session], int]:
        """Return the user's sessions, most recently used first."""
        oldest = self._clock() - self._policy.session_ttl_seconds

        async def work(connection: Any) -> tuple[list[Any], int]:
            where = "FROM {schema}.sessions WHERE agent=$1 AND owner=$2 AND updated>$3"
            rows = await connection.fetch(
                self._sql(f"SELECT meta {where} ORDER BY updated DESC OFFSET $4 LIMIT $5"),
                self._agent,
                user,
                oldest,
                start,
                count,
            )
            total = await connection.fetchval(
                self._sql(f"SELECT count(*) {where}"), self._agent, user, oldest
            )
            return rows, total

        rows, total = await self._do(work)
        return [read_session(row[0]) for row in rows], total

    async def update(self, session: Session, expected: int | None = None) -> Session:
        """Rewrite title, model and pending."""
        for _ in range(TRIES):
            stored = await self._find(session)
            if stored is None or (expected is not None and stored.revision != expected):
                raise ConflictError
            made = rewritten(session, stored)
            if await self._write(statements.UPDATE, made, stored.revision, ()):
                return made
        raise ConflictError

    async def delete(self, user: str, session: str) -> bool:
        """Delete a session and its rows."""

        async def work(connection: Any) -> str:
            done: str = await connection.execute(
                self._sql("DELETE FROM {schema}.sessions WHERE agent=$1 AND owner=$2 AND id=$3"),
                *self._key(user, session),
            )
            return done

        return await self._do(work) != "DELETE 0"

    async def put_run(self, run: Run, events: Sequence[Event], seconds: float) -> None:
        """Store the state of a run and its new events."""
        expires = self._clock() + seconds

        async def work(connection: Any) -> None:
            async with connection.transaction():
                await connection.execute(
                    self._sql(
                        "INSERT INTO {schema}.runs (agent, id, expires, body) VALUES ($1,$2,$3,$4)"
                        " ON CONFLICT (agent, id) DO UPDATE SET expires=$3, body=$4"
                    ),
                    self._agent,
                    run.id,
                    expires,
                    run_json(run).decode(),
                )
                await connection.executemany(
                    self._sql(
                        "INSERT INTO {schema}.events VALUES ($1,$2,$3,$4,$5) ON CONFLICT DO NOTHING"
                    ),
                    [
                        (self._agent, run.id, item.id, item.type, item.data.decode())
                        for item in events
                    ],
                )

        await self._do(work)
        await self._sweep()

    async def get_run(self, run: str) -> Run | None:
        """Return the state of a run."""

        async def work(connection: Any) -> str | None:
            found: str | None = await connection.fetchval(
                self._sql("SELECT body FROM {schema}.runs WHERE agent=$1 AND id=$2 AND expires>$3"),
                self._agent,
                run,
                self._clock(),
            )
            return found

        body = await self._do(work)
        return None if body is None else read_run(body)

    async def get_events(self, run: str, after: int) -> list[Event]:
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

        return [Event(row[0], row[1], row[2].encode()) for row in await self._do(work)]

    async def ask_cancel(self, run: str, seconds: float) -> None:
        """Leave a message for the replica that executes the run."""

        async def work(connection: Any) -> None:
            await connection.execute(
                self._sql("UPDATE {schema}.runs SET is_cancelled=true WHERE agent=$1 AND id=$2"),
                self._agent,
                run,
            )

        await self._do(work)

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

        return await self._do(work)

    # -- inside ----------------------------------------------------------------------------------

    def _sql(self, text: str) -> str:
        return text.format(schema=self._settings.schema_name)

    def _key(self, user: str, session: str) -> tuple[str, str, str]:
        return self._agent, user, session

    async def _find(self, session: Session) -> Session | None:
        found = await self.load(session.user, session.id, 0)
        return found[0] if found else None

    async def _is_expired(self, session: Session) -> bool:
        if session.updated + self._policy.session_ttl_seconds > self._clock():
            return False
        await self.delete(session.user, session.id)
        return True

    async def _write(self, sql: str, made: Session, expected: int, rows: Sequence[bytes]) -> bool:
        meta = session_json(made).decode()

        async def work(connection: Any) -> int:
            count: int = await connection.fetchval(
                self._sql(sql),
                *self._key(made.user, made.id),
                expected,
                made.revision,
                made.updated,
                meta,
                made.messages - len(rows),
                [row.decode() for row in rows],
            )
            return count

        if await self._do(work):
            return True
        # The response was lost: the write has happened already, and must not be repeated.
        return await self._holds(made, meta)

    async def _holds(self, made: Session, meta: str) -> bool:
        async def work(connection: Any) -> bool:
            return bool(
                await connection.fetchval(
                    self._sql(
                        "SELECT meta = $4 FROM {schema}.sessions"
                        " WHERE agent=$1 AND owner=$2 AND id=$3"
                    ),
                    *self._key(made.user, made.id),
                    meta,
                )
            )

        return await self._do(work)

    async def _make_room(self, session: Session) -> None:
        async def work(connection: Any) -> None:
            await connection.execute(
                self._sql(
                    "DELETE FROM {schema}.sessions WHERE agent=$1 AND owner=$2 AND id IN ("
                    "SELECT id FROM {schema}.sessions WHERE agent=$1 AND owner=$2"
                    " ORDER BY updated DESC OFFSET $3)"
                ),
                self._agent,
                session.user,
                self._policy.max_sessions_per_user,
            )

        await self._do(work)

    async def _sweep(self) -> None:
        now = self._clock()
        if now - self._swept < SWEEP_SECONDS:
            return
        self._swept = now

        async def work(connection: Any) -> None:
            await connection.execute(
                self._sql("DELETE FROM {schema}.sessions WHERE agent=$1 AND updated<=$2"),
                self._agent,
                now - self._policy.session_ttl_seconds,
            )
            await connection.execute(
                self._sql("DELETE FROM {schema}.runs WHERE agent=$1 AND expires<=$2"),
                self._agent,
                now,
            )

        await self._do(work)

    async def _make_tables(self, connection: Any) -> None:
        schema = self._settings.schema_name
        async with connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
            if await connection.fetchval("SELECT to_regnamespace($1)", schema) is None:
                await connection.execute(f"CREATE SCHEMA {schema}")
            await connection.execute(self._sql(statements.TABLES))

    async def _do(self, work: Callable[[Any], Awaitable[T]]) -> T:
        return await self._client.do(work)
