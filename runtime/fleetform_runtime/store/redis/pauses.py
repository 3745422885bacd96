"""Runs that wait for people, in Redis: <prefix>{waiting}:since orders what <prefix>{waiting}:runs has of each."""

from typing import Any

from fleetform_runtime.store import Pause, pause_json, read_pause
from fleetform_runtime.store.redis.backend import RedisBackend


class RedisPauses:
    """Keeps them in a sorted set and a hash, which change together."""

    def __init__(self, backend: RedisBackend) -> None:
        self._client = backend.client
        self._since = f"{backend.prefix}{{waiting}}:since"
        self._runs = f"{backend.prefix}{{waiting}}:runs"

    async def put(self, pause: Pause) -> None:
        """Add a run."""

        async def work(redis: Any) -> None:
            async with redis.pipeline(transaction=True) as pipe:
                pipe.zadd(self._since, {pause.run: pause.since})
                pipe.hset(self._runs, pause.run, pause_json(pause))
                await pipe.execute()

        await self._client.do(work)

    async def remove(self, run: str) -> None:
        """Remove a run."""

        async def work(redis: Any) -> None:
            async with redis.pipeline(transaction=True) as pipe:
                pipe.zrem(self._since, run)
                pipe.hdel(self._runs, run)
                await pipe.execute()

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
