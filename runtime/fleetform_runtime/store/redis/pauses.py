"""Runs that wait for people, in Redis: <prefix>{waiting}:since orders what <prefix>{waiting}:runs has of each."""

from typing import Any

from fleetform_runtime.store import Pause, pause_json, read_pause
from fleetform_runtime.store.redis.backend import RedisBackend
from fleetform_runtime.store.redis.client import Script

# Scripts, since MULTI is a right of its own that an account need not have.
_PUT = Script("""
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
""")
_REMOVE = Script("""
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
""")


class RedisPauses:
    """Keeps them in a sorted set and a hash, which change together."""

    def __init__(self, backend: RedisBackend) -> None:
        self._client = backend.client
        self._since = f"{backend.prefix}{{waiting}}:since"
        self._runs = f"{backend.prefix}{{waiting}}:runs"

    async def put(self, pause: Pause) -> None:
        """Add a run."""

        async def work(redis: Any) -> None:
            await _PUT(
                redis, [self._since, self._runs], [pause.run, repr(pause.since), pause_json(pause)]
            )

        await self._client.do(work)

    async def remove(self, run: str) -> None:
        """Remove a run."""

        async def work(redis: Any) -> None:
            await _REMOVE(redis, [self._since, self._runs], [run])

        await self._client.do(work)

    async def page(self, start: int, count: int) -> list[Pause]:
        """Return runs, those that wait longest first."""
        if count <= 0:
            return []

        async def work(redis: Any) -> list[bytes | None]:
            names = await redis.zrange(self._since, start, start + count - 1)
            found: list[bytes | None] = await redis.hmget(self._runs, names) if names else []
            return found

        rows = [row for row in await self._client.do(work) if row is not None]
        return [pause for row in rows if (pause := read_pause(row)) is not None]
