"""Conversations in Redis.

<prefix>{<session>}:meta     the session, JSON; every change compares it with what was read
    <prefix>{<session>}:rows     its messages, one list entry each
    <prefix>user:<user>          the user's sessions by their last use

Keys of one session share a hash tag. Redis deletes what has expired by itself.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from fleetform_runtime.sections.memory import MemoryPolicy
from fleetform_runtime.store import (
    ConflictError,
    Session,
    UnreadableRecordError,
    read_session,
    rewritten,
    session_json,
    stepped,
)
from fleetform_runtime.store.redis.backend import WRITE, RedisBackend

TRIES = 5


class RedisConversations:
    """Keeps conversations in Redis."""

    def __init__(self, backend: RedisBackend, policy: MemoryPolicy) -> None:
        self._client = backend.client
        self._prefix = backend.prefix
        self._removed = backend.removed
        self._policy = policy
        self._clock = backend.clock

    async def load(self, user: str, session: str, limit: int) -> tuple[Session, list[bytes]] | None:
        """Return a session and its newest rows in one round trip."""
        meta, rows = self._keys(user, session)

        async def work(redis: Any) -> tuple[bytes | None, int, list[bytes]]:
            async with redis.pipeline(transaction=False) as pipe:
                pipe.get(meta)
                pipe.llen(rows)
                if limit:
                    pipe.lrange(rows, 0 if limit < 0 else -limit, -1)
                found = await pipe.execute()
            return found[0], found[1], found[2] if limit else []

        raw, total, held = await self._client.do(work)
        if raw is None:
            return None
        stored = read_session(raw)
        if total < stored.messages:
            raise UnreadableRecordError(
                "messages are missing: Redis has evicted them; give it more memory, and noeviction"
                " as its maxmemory-policy"
            )
        return stored, held

    async def page(self, user: str, session: str, start: int, count: int) -> list[bytes]:
        """Return rows from a position on."""
        _, rows = self._keys(user, session)
        if count <= 0:
            return []

        async def work(redis: Any) -> list[bytes]:
            found: list[bytes] = await redis.lrange(rows, start, start + count - 1)
            return found

        return await self._client.do(work)

    async def create(self, session: Session) -> Session:
        """Store a new session."""
        made = stepped(session, None, 0, self._clock())
        if not await self._replace(b"", made, ()):
            raise ConflictError
        await self._note(made, is_new=True)
        return made

    async def append(
        self, session: Session, rows: Sequence[bytes], expected: int | None = None
    ) -> Session:
        """Add rows, after those that others have added meanwhile."""
        for _ in range(TRIES):
            raw, stored = await self._current(session)
            if expected is not None and (stored is None or stored.revision != expected):
                raise ConflictError
            made = stepped(session, stored, len(rows), self._clock())
            if await self._replace(raw, made, rows):
                await self._note(made, is_new=stored is None)
                return made
        raise ConflictError

    async def recent(self, user: str, start: int, count: int) -> tuple[list[Session], int]:
        """Return the user's sessions, most recently used first."""
        index = self._index(user)

        async def work(redis: Any) -> tuple[list[bytes], int]:
            async with redis.pipeline(transaction=False) as pipe:
                pipe.zremrangebyscore(index, "-inf", self._oldest())
                pipe.zcard(index)
                if count:
                    pipe.zrevrange(index, start, start + count - 1)
                found = await pipe.execute()
            names = found[2] if count else []
            async with redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.get(self._keys(user, name.decode())[0])
                metas = await pipe.execute() if names else []
            return metas, found[1]

        metas, total = await self._client.do(work)
        return [read_session(raw) for raw in metas if raw is not None], total

    async def update(self, session: Session, expected: int | None = None) -> Session:
        """Rewrite what is no row."""
        for _ in range(TRIES):
            raw, stored = await self._current(session)
            if stored is None or (expected is not None and stored.revision != expected):
                raise ConflictError
            made = rewritten(session, stored)
            if await self._replace(raw, made, ()):
                return made
        raise ConflictError

    async def delete(self, user: str, session: str) -> bool:
        """Delete a session."""
        keys = self._keys(user, session)

        async def work(redis: Any) -> int:
            async with redis.pipeline(transaction=False) as pipe:
                pipe.delete(*keys)
                pipe.zrem(self._index(user), session)
                found = await pipe.execute()
            return int(found[0])

        return await self._client.do(work) > 0

    async def clear(self, user: str) -> int:
        """Delete all sessions of a user."""
        index = self._index(user)

        async def work(redis: Any) -> int:
            count = 0
            for name in await redis.zrange(index, 0, -1):
                count += bool(await redis.delete(*self._keys(user, name.decode())))
            await redis.delete(index)
            return count

        return await self._client.do(work)

    async def expire(self) -> int:
        """Nothing is left to do."""
        return 0

    async def _current(self, session: Session) -> tuple[bytes, Session | None]:
        meta, _ = self._keys(session.user, session.id)

        async def work(redis: Any) -> bytes | None:
            found: bytes | None = await redis.get(meta)
            return found

        raw = await self._client.do(work)
        return (b"", None) if raw is None else (raw, read_session(raw))

    async def _replace(self, old: bytes, made: Session, rows: Sequence[bytes]) -> bool:
        left = made.updated + self._policy.session_ttl_seconds - self._clock()
        life = max(1, int(left * 1000))
        keys = list(self._keys(made.user, made.id))

        async def work(redis: Any) -> bool:
            arguments = [old, session_json(made), life, *rows]
            return bool(await WRITE(redis, keys, arguments))

        return await self._client.do(work)

    async def _note(self, session: Session, *, is_new: bool) -> None:
        """Add a session to its user's index, and remove the oldest from it."""
        index = self._index(session.user)
        life = max(1, int(self._policy.session_ttl_seconds * 1000))

        async def work(redis: Any) -> None:
            async with redis.pipeline(transaction=False) as pipe:
                pipe.zadd(index, {session.id: session.updated})
                pipe.pexpire(index, life)
                if is_new:
                    pipe.zremrangebyscore(index, "-inf", self._oldest())
                    pipe.zcard(index)
                found = await pipe.execute()
            excess = found[3] - self._policy.max_sessions_per_user if is_new else 0
            if excess > 0:
                for name, _ in await redis.zpopmin(index, excess):
                    await redis.delete(*self._keys(session.user, name.decode()))
                self._removed("user", excess)

        await self._client.do(work)

    def _oldest(self) -> float:
        """Return when a session that expires now was used last."""
        return self._clock() - self._policy.session_ttl_seconds

    def _keys(self, user: str, session: str) -> tuple[str, str]:
        return keys_of(self._prefix, user, session)

    def _index(self, user: str) -> str:
        return f"{self._prefix}user:{hashlib.sha256(user.encode()).hexdigest()[:32]}"


def keys_of(prefix: str, user: str, session: str) -> tuple[str, str]:
    """Return the keys of a session and its rows. A session's identifier has no line breaks, so no two share them."""
    tag = hashlib.sha256(f"{user}\n{session}".encode()).hexdigest()[:32]
    return f"{prefix}{{{tag}}}:meta", f"{prefix}{{{tag}}}:rows"
