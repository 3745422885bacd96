"""Counters shared by all replicas."""

from collections.abc import Sequence
from typing import Any

from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.memory import RedisMemory
from fleetform_runtime.store.redis_client import connect, guarded, prefix


class RedisCounters:
    """Counts for all replicas."""

    def __init__(self, settings: RedisMemory, secrets: Secrets, namespace: str, agent: str) -> None:
        self._redis = connect(settings, secrets)
        self._seconds = settings.timeouts.request_seconds
        self._prefix = prefix(settings, namespace, agent) + "quota:"

    async def read(self, names: Sequence[str]) -> list[float]:
        """Return the current values."""

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
