"""Conversations in PostgreSQL: sessions and messages.

Rows are JSON text, not jsonb: they are returned byte for byte as written.
"""

from collections.abc import Sequence
from typing import Any

from fleetform_runtime.sections.memory import MemoryPolicy
from fleetform_runtime.store import (
    ConflictError,
    Session,
    read_session,
    rewritten,
    session_json,
    stepped,
)
from fleetform_runtime.store.postgres import statements
from fleetform_runtime.store.postgres.backend import PostgresBackend, in_portions

TRIES = 5


class PostgresConversations:
    """Keeps conversations in PostgreSQL."""

    def __init__(self, backend: PostgresBackend, policy: MemoryPolicy) -> None:
        self._client = backend.client
        self._sql = backend.sql
        self._agent = backend.agent
        self._clock = backend.clock
        self._removed = backend.removed
        self._policy = policy

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

        meta, rows = await self._client.do(work)
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

        return [row[0].encode() for row in await self._client.do(work)]

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

    async def recent(self, user: str, start: int, count: int) -> tuple[list[Session], int]:
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

        rows, total = await self._client.do(work)
        return [read_session(row[0]) for row in rows], total

    async def update(self, session: Session, expected: int | None = None) -> Session:
        """Rewrite what is no row."""
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

        return await self._client.do(work) != "DELETE 0"

    async def clear(self, user: str) -> int:
        """Delete all sessions of a user."""

        async def work(connection: Any) -> str:
            done: str = await connection.execute(
                self._sql("DELETE FROM {schema}.sessions WHERE agent=$1 AND owner=$2"),
                self._agent,
                user,
            )
            return done

        return int((await self._client.do(work)).split()[1])

    async def expire(self) -> int:
        """Delete in portions, each of which is done in time."""
        oldest = self._clock() - self._policy.session_ttl_seconds

        async def work(connection: Any) -> int:
            done: int = await connection.fetchval(
                self._sql(statements.EXPIRE_SESSIONS), self._agent, oldest, statements.PORTION
            )
            return done

        count = await in_portions(lambda: self._client.do(work))
        self._removed("expired", count)
        return count

    def _key(self, user: str, session: str) -> tuple[str, str, str]:
        return self._agent, user, session

    async def _find(self, session: Session) -> Session | None:
        found = await self.load(session.user, session.id, 0)
        return found[0] if found else None

    async def _is_expired(self, session: Session) -> bool:
        if session.updated + self._policy.session_ttl_seconds > self._clock():
            return False
        if await self.delete(session.user, session.id):
            self._removed("expired", 1)
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

        if await self._client.do(work):
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

        return await self._client.do(work)

    async def _make_room(self, session: Session) -> None:
        async def work(connection: Any) -> str:
            done: str = await connection.execute(
                self._sql(
                    "DELETE FROM {schema}.sessions WHERE agent=$1 AND owner=$2 AND id IN ("
                    "SELECT id FROM {schema}.sessions WHERE agent=$1 AND owner=$2"
                    " ORDER BY updated DESC OFFSET $3)"
                ),
                self._agent,
                session.user,
                self._policy.max_sessions_per_user,
            )
            return done

        if count := int((await self._client.do(work)).split()[1]):
            self._removed("user", count)
