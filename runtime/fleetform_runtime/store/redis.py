"""Sessions in Redis.

<prefix>{<session>}:meta     the session, JSON; every change compares it with what was read
    <prefix>{<session>}:rows     its messages, one list entry each
    <prefix>user:<user>          the user's sessions by their last use
    <prefix>{<run>}:run, :events, :stop

Keys of one session share a hash tag, so that scripts touch only one slot of a cluster.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.memory import RedisMemory
from fleetform_runtime.store import (
    ConflictError,
    Event,
    Run,
    Session,
    UnreadableRecordError,
    drawn,
    read_run,
    read_session,
    rewritten,
    run_json,
    session_json,
    stepped,
)
from fleetform_runtime.store.redis_client import RedisClient, prefix

TRIES = 5

_WRITE = """
local old = redis.call('GET', KEYS[1]) or ''
if old == ARGV[2] then return 1 end
if old ~= ARGV[1] then return 0 end
if old == '' then redis.call('DEL', KEYS[2]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
for i = 4, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
redis.call('PEXPIRE', KEYS[2], ARGV[3] + 1000)
return 1
"""
"""Rows outlive their session, so that what misses some was evicted. Repeating a write whose response was lost finds its own result, and adds nothing."""


class RedisStore:
    """Stores sessions in Redis."""

    backend = "redis"
    shared = True

    def __init__(
        self,
        settings: RedisMemory,
        secrets: Secrets,
        namespace: str,
        agent: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._policy = settings.policy
        self._prefix = prefix(settings, namespace, agent)
        self._client = RedisClient(settings, secrets)
        self._clock = clock

    async def open(self) -> None:
        """Check that the server answers."""
        await self.ping()

    async def close(self) -> None:
        """Close the pool."""
        await self._client.close()

    async def ping(self) -> None:
        """Write as a chat does, under names of its own that vanish at once."""
        ready, *keys = (f"{self._prefix}{{ready}}:{name}" for name in ("key", "meta", "rows"))

        async def work(redis: Any) -> None:
            await redis.set(
                ready, b"", px=1
            )  # a script may delete, and then write, while memory is full
            await redis.register_script(_WRITE)(keys, [b"", drawn(), 1, b"row"])

        await self._client.do(work)

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

    async def sessions(self, user: str, start: int, count: int) -> tuple[list[Session], int]:
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
        """Rewrite title, model and pending."""
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

    async def put_run(self, run: Run, events: Sequence[Event], seconds: float) -> None:
        """Store the state of a run and its new events."""
        state, log, _ = self._run_keys(run.id)
        lines = [orjson.dumps([item.id, item.type, item.data.decode()]) for item in events]
        life = max(1, int(seconds * 1000))

        async def work(redis: Any) -> None:
            async with redis.pipeline(transaction=False) as pipe:
                pipe.set(state, run_json(run), px=life)
                if lines:
                    pipe.rpush(log, *lines)
                    pipe.pexpire(log, life)
                await pipe.execute()

        await self._client.do(work)

    async def get_run(self, run: str) -> Run | None:
        """Return the state of a run."""
        state, _, _ = self._run_keys(run)

        async def work(redis: Any) -> bytes | None:
            found: bytes | None = await redis.get(state)
            return found

        raw = await self._client.do(work)
        return None if raw is None else read_run(raw)

    async def get_events(self, run: str, after: int) -> list[Event]:
        """Return the events of a run after one; a retried write may have duplicated some."""
        _, log, _ = self._run_keys(run)

        async def work(redis: Any) -> list[bytes]:
            found: list[bytes] = await redis.lrange(log, 0, -1)
            return found

        found: dict[int, Event] = {}
        for line in await self._client.do(work):
            event = _read_event(line)
            if event.id > after:
                found[event.id] = event
        return [found[number] for number in sorted(found)]

    async def ask_cancel(self, run: str, seconds: float) -> None:
        """Leave a message for the replica that executes the run."""
        _, _, stop = self._run_keys(run)

        async def work(redis: Any) -> None:
            await redis.set(stop, b"1", px=max(1, int(seconds * 1000)))

        await self._client.do(work)

    async def is_cancel_asked(self, run: str) -> bool:
        """Look for such a message."""
        _, _, stop = self._run_keys(run)

        async def work(redis: Any) -> bool:
            return bool(await redis.exists(stop))

        return await self._client.do(work)

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
            return bool(await redis.register_script(_WRITE)(keys, arguments))

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

        await self._client.do(work)

    def _oldest(self) -> float:
        """Return when a session that expires now was used last."""
        return self._clock() - self._policy.session_ttl_seconds

    def _keys(self, user: str, session: str) -> tuple[str, str]:
        tag = hashlib.sha256(f"{user}\n{session}".encode()).hexdigest()[:32]
        return f"{self._prefix}{{{tag}}}:meta", f"{self._prefix}{{{tag}}}:rows"

    def _run_keys(self, run: str) -> tuple[str, str, str]:
        base = f"{self._prefix}{{{hashlib.sha256(run.encode()).hexdigest()[:32]}}}"
        return f"{base}:run", f"{base}:events", f"{base}:stop"

    def _index(self, user: str) -> str:
        return f"{self._prefix}user:{hashlib.sha256(user.encode()).hexdigest()[:32]}"


def _read_event(line: bytes) -> Event:
    try:
        number, kind, data = orjson.loads(line)
        event = Event(number, kind, data.encode())
    except (ValueError, TypeError, AttributeError):
        event = None
    if event is None or type(event.id) is not int or not isinstance(event.type, str):
        raise UnreadableRecordError("a stored event cannot be read")
    return event
