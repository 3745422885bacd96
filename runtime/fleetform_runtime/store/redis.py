"""Own sessions in Redis, and the quotas that all replicas share.

    <prefix>{<session>}:meta     the session, JSON; every change compares it with what was read
    <prefix>{<session>}:rows     its messages, one list entry each
    <prefix>user:<user>          the user's sessions by their last use
    <prefix>{<run>}:run, :events, :stop

Keys of one session share a hash tag, so scripts touch one slot of a cluster.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import orjson
import redis.asyncio as client
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider

from fleetform_runtime.secrets import SecretMissingError, Secrets
from fleetform_runtime.sections.memory import RedisMemory
from fleetform_runtime.store import (
    ConflictError,
    Event,
    Run,
    Session,
    StoreError,
    UnreadableRecordError,
    read_run,
    read_session,
    run_json,
    session_json,
    stepped,
)

T = TypeVar("T")
TRIES = 5

_WRITE = """
local old = redis.call('GET', KEYS[1]) or ''
if old == ARGV[2] then return 1 end
if old ~= ARGV[1] then return 0 end
if old == '' then redis.call('DEL', KEYS[2]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
for i = 4, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
"""
"""Repeating a write whose answer was lost finds its own result, and adds nothing."""


class _Credentials(CredentialProvider):
    """Read user and password again for every connection, so that a rotation needs no restart."""

    def __init__(self, settings: RedisMemory, secrets: Secrets) -> None:
        self._settings = settings
        self._secrets = secrets

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        settings = self._settings
        if settings.password is None:
            raise SecretMissingError("no password is configured")
        password = self._secrets.value(settings.password)
        if settings.username is None:
            return (password,)
        return (self._secrets.value(settings.username), password)


def connect(settings: RedisMemory, secrets: Secrets) -> Any:
    """Return a client with a bounded pool; nothing is opened yet.

    The library's own annotations leave open whether answers are text or bytes; here they are bytes.
    """
    options: dict[str, Any] = {}
    if settings.tls is not None:
        tls = settings.tls
        options = {
            "connection_class": client.SSLConnection,
            "ssl_ca_certs": tls.ca_file,
            "ssl_certfile": tls.cert_file,
            "ssl_keyfile": tls.key_file,
            "ssl_cert_reqs": "none" if tls.insecure_skip_verify else "required",
            "ssl_check_hostname": not tls.insecure_skip_verify,
        }
    if settings.password is not None:
        options["credential_provider"] = _Credentials(settings, secrets)
    elif settings.username is not None:
        options["username"] = secrets.value(settings.username)
    pool = client.BlockingConnectionPool(
        host=settings.host,
        port=settings.port,
        db=settings.database,
        max_connections=settings.pool_size,
        timeout=settings.timeouts.request_seconds,
        socket_timeout=settings.timeouts.request_seconds,
        socket_connect_timeout=settings.timeouts.connect_seconds,
        retry=Retry(NoBackoff(), 1),
        health_check_interval=0,
        **options,
    )
    return client.Redis.from_pool(pool)


def prefix(settings: RedisMemory, namespace: str, agent: str) -> str:
    """Return what every key of an agent begins with."""
    return settings.key_prefix or f"fleetform:{namespace}:{agent}:"


async def guarded(seconds: float, work: Callable[[], Awaitable[T]]) -> T:
    """Bound an operation in time and speak of its failure in our words."""
    try:
        async with asyncio.timeout(2 * seconds):
            return await work()
    except exceptions.ResponseError as error:
        if "WRONGTYPE" in str(error):
            raise UnreadableRecordError("a key holds something of another type") from None
        raise StoreError(f"{type(error).__name__}: {error}") from None
    except (exceptions.RedisError, OSError, TimeoutError, SecretMissingError) as error:
        raise StoreError(f"{type(error).__name__}: {error}") from None


class RedisStore:
    """Keep sessions in Redis."""

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
        self._seconds = settings.timeouts.request_seconds
        self._prefix = prefix(settings, namespace, agent)
        self._redis = connect(settings, secrets)
        self._write = self._redis.register_script(_WRITE)
        self._clock = clock

    async def open(self) -> None:
        """Find the server answering."""
        await self.ping()

    async def close(self) -> None:
        """Close the pool."""
        await self._redis.aclose()

    async def ping(self) -> None:
        """Ask for a sign of life."""

        async def work() -> None:
            await self._redis.execute_command("PING")

        await guarded(self._seconds, work)

    async def load(self, user: str, session: str, limit: int) -> tuple[Session, list[bytes]] | None:
        """Return a session and its newest rows in one round trip."""
        meta, rows = self._keys(user, session)

        async def work() -> tuple[bytes | None, list[bytes]]:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.get(meta)
                if limit:
                    pipe.lrange(rows, 0 if limit < 0 else -limit, -1)
                found = await pipe.execute()
            return found[0], found[1] if limit else []

        raw, held = await guarded(self._seconds, work)
        return None if raw is None else (read_session(raw), held)

    async def page(self, user: str, session: str, start: int, count: int) -> list[bytes]:
        """Return rows from a position on."""
        _, rows = self._keys(user, session)
        if count <= 0:
            return []

        async def work() -> list[bytes]:
            found: list[bytes] = await self._redis.lrange(rows, start, start + count - 1)
            return found

        return await guarded(self._seconds, work)

    async def create(self, session: Session) -> Session:
        """Keep a new session."""
        made = stepped(session, None, 0, self._clock())
        if not await self._replace(b"", made, ()):
            raise ConflictError
        await self._note(made, is_new=True)
        return made

    async def append(
        self, session: Session, rows: Sequence[bytes], expected: int | None = None
    ) -> Session:
        """Add rows, behind whatever others have added meanwhile."""
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
        """Return the user's sessions, the last used first."""
        index = self._index(user)
        oldest = self._clock() - self._policy.session_ttl_seconds

        async def work() -> tuple[list[bytes], int]:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.zremrangebyscore(index, "-inf", oldest)
                pipe.zcard(index)
                if count:
                    pipe.zrevrange(index, start, start + count - 1)
                found = await pipe.execute()
            names = found[2] if count else []
            async with self._redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.get(self._keys(user, name.decode())[0])
                metas = await pipe.execute() if names else []
            return metas, found[1]

        metas, total = await guarded(self._seconds, work)
        return [read_session(raw) for raw in metas if raw is not None], total

    async def update(self, session: Session, expected: int | None = None) -> Session:
        """Rewrite what may be rewritten."""
        for _ in range(TRIES):
            raw, stored = await self._current(session)
            if stored is None or (expected is not None and stored.revision != expected):
                raise ConflictError
            made = replace(
                stored,
                title=session.title,
                model=session.model,
                pending=session.pending,
                revision=stored.revision + 1,
            )
            if await self._replace(raw, made, ()):
                return made
        raise ConflictError

    async def delete(self, user: str, session: str) -> bool:
        """Forget a session."""
        keys = self._keys(user, session)

        async def work() -> int:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.delete(*keys)
                pipe.zrem(self._index(user), session)
                found = await pipe.execute()
            return int(found[0])

        return await guarded(self._seconds, work) > 0

    async def put_run(self, run: Run, events: Sequence[Event], seconds: float) -> None:
        """Keep the state of a run and its new events."""
        state, log, _ = self._run_keys(run.id)
        lines = [orjson.dumps([item.id, item.type, item.data.decode()]) for item in events]
        life = max(1, int(seconds * 1000))

        async def work() -> None:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.set(state, run_json(run), px=life)
                if lines:
                    pipe.rpush(log, *lines)
                    pipe.pexpire(log, life)
                await pipe.execute()

        await guarded(self._seconds, work)

    async def get_run(self, run: str) -> Run | None:
        """Return the state of a run."""
        state, _, _ = self._run_keys(run)

        async def work() -> bytes | None:
            found: bytes | None = await self._redis.get(state)
            return found

        raw = await guarded(self._seconds, work)
        return None if raw is None else read_run(raw)

    async def get_events(self, run: str, after: int) -> list[Event]:
        """Return the events of a run behind one; a repeated write may have left some twice."""
        _, log, _ = self._run_keys(run)

        async def work() -> list[bytes]:
            found: list[bytes] = await self._redis.lrange(log, 0, -1)
            return found

        found: dict[int, Event] = {}
        for line in await guarded(self._seconds, work):
            event = _read_event(line)
            if event.id > after:
                found[event.id] = event
        return [found[number] for number in sorted(found)]

    async def ask_cancel(self, run: str, seconds: float) -> None:
        """Leave a note for the replica that carries the run out."""
        _, _, stop = self._run_keys(run)

        async def work() -> None:
            await self._redis.set(stop, b"1", px=max(1, int(seconds * 1000)))

        await guarded(self._seconds, work)

    async def is_cancel_asked(self, run: str) -> bool:
        """Look for such a note."""
        _, _, stop = self._run_keys(run)

        async def work() -> bool:
            return bool(await self._redis.exists(stop))

        return await guarded(self._seconds, work)

    async def _current(self, session: Session) -> tuple[bytes, Session | None]:
        meta, _ = self._keys(session.user, session.id)

        async def work() -> bytes | None:
            found: bytes | None = await self._redis.get(meta)
            return found

        raw = await guarded(self._seconds, work)
        return (b"", None) if raw is None else (raw, read_session(raw))

    async def _replace(self, old: bytes, made: Session, rows: Sequence[bytes]) -> bool:
        life = max(1, int(self._policy.session_ttl_seconds * 1000))
        keys = list(self._keys(made.user, made.id))

        async def work() -> bool:
            return bool(await self._write(keys=keys, args=[old, session_json(made), life, *rows]))

        return await guarded(self._seconds, work)

    async def _note(self, session: Session, *, is_new: bool) -> None:
        """Put a session into its user's index, and the oldest out of it."""
        index = self._index(session.user)
        life = max(1, int(self._policy.session_ttl_seconds * 1000))

        async def work() -> None:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.zadd(index, {session.id: session.updated})
                pipe.pexpire(index, life)
                if is_new:
                    pipe.zcard(index)
                found = await pipe.execute()
            excess = found[2] - self._policy.max_sessions_per_user if is_new else 0
            if excess > 0:
                for name, _ in await self._redis.zpopmin(index, excess):
                    await self._redis.delete(*self._keys(session.user, name.decode()))

        await guarded(self._seconds, work)

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


class RedisCounters:
    """Count for all replicas."""

    def __init__(self, settings: RedisMemory, secrets: Secrets, namespace: str, agent: str) -> None:
        self._redis = connect(settings, secrets)
        self._seconds = settings.timeouts.request_seconds
        self._prefix = prefix(settings, namespace, agent) + "quota:"

    async def read(self, names: Sequence[str]) -> list[float]:
        """Return the numbers."""

        async def work() -> list[bytes | None]:
            async with self._redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.get(self._prefix + name)
                found: list[bytes | None] = await pipe.execute()
            return found

        return [float(raw or 0) for raw in await guarded(self._seconds, work)]

    async def add(self, amounts: Sequence[tuple[str, float, int]]) -> list[float]:
        """Add and return the sums."""

        async def work() -> list[Any]:
            async with self._redis.pipeline(transaction=False) as pipe:
                for name, amount, seconds in amounts:
                    pipe.incrbyfloat(self._prefix + name, amount)
                    pipe.expire(self._prefix + name, seconds)
                found: list[Any] = await pipe.execute()
            return found

        return [float(raw) for raw in (await guarded(self._seconds, work))[::2]]

    async def close(self) -> None:
        """Close the pool."""
        await self._redis.aclose()
