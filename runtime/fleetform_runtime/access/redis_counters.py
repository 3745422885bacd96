"""Counters shared by all replicas."""

import re
from collections.abc import Sequence
from typing import Any

from fleetform_runtime.access.quotas import Claim, Refused, prefix_of
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.memory import RedisMemory
from fleetform_runtime.store.redis.client import RedisClient, Script, prefix

# One script, so that replicas that ask at the same time are counted one after the other. KEYS are pairs of
# counters, ARGV weight, amount, limit and seconds of each pair; the answer is empty, or number, current, previous.
_TAKE = Script("""
local held = redis.call('MGET', unpack(KEYS))
for i = 1, #KEYS / 2 do
  local current, previous = tonumber(held[2 * i - 1] or 0), tonumber(held[2 * i] or 0)
  local weight, amount, limit = tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1])
  local used = current + previous * weight
  if used + amount > limit or (amount == 0 and used >= limit) then
    return {tostring(i - 1), tostring(current), tostring(previous)}
  end
end
for i = 1, #KEYS / 2 do
  if tonumber(ARGV[4 * i - 2]) > 0 then
    redis.call('INCRBYFLOAT', KEYS[2 * i - 1], ARGV[4 * i - 2])
    redis.call('EXPIRE', KEYS[2 * i - 1], ARGV[4 * i])
  end
end
return {}
""")


_SPECIAL = re.compile(r"[\\*?\[\]^-]")
"""What means something in a pattern of Redis."""


class RedisCounters:
    """Counts for all replicas."""

    def __init__(self, settings: RedisMemory, secrets: Secrets, namespace: str, agent: str) -> None:
        self._client = RedisClient(settings, secrets)
        self._prefix = prefix(settings, namespace, agent) + "quota:"

    async def take(self, claims: Sequence[Claim]) -> Refused | None:
        """Add all amounts, or none."""
        keys = [self._prefix + name for claim in claims for name in claim[:2]]
        given = [value for claim in claims for value in claim[2:]]

        async def work(redis: Any) -> list[bytes]:
            found: list[bytes] = await _TAKE(redis, keys, given)
            return found

        found = await self._client.do(work)
        return Refused(int(found[0]), float(found[1]), float(found[2])) if found else None

    async def add(self, amounts: Sequence[tuple[str, float, int]]) -> list[float]:
        """Add and return the sums."""

        async def work(redis: Any) -> list[Any]:
            async with redis.pipeline(transaction=False) as pipe:
                for name, amount, seconds in amounts:
                    pipe.incrbyfloat(self._prefix + name, amount)
                    pipe.expire(self._prefix + name, seconds)
                found: list[Any] = await pipe.execute()
            return found

        return [float(raw) for raw in (await self._client.do(work))[::2]]

    async def read(self, names: Sequence[str]) -> list[float]:
        """Return what counters say."""

        async def work(redis: Any) -> list[bytes | None]:
            found: list[bytes | None] = await redis.mget([self._prefix + name for name in names])
            return found

        return [float(raw or 0) for raw in await self._client.do(work)]

    async def forget(self, user: str) -> None:
        """Delete the counters of a user."""
        names = self._prefix + prefix_of(user)

        async def work(redis: Any) -> None:
            async for name in redis.scan_iter(
                match=_SPECIAL.sub(r"\\\g<0>", names) + "*", count=1_000
            ):
                await redis.delete(name)

        await self._client.do(work)

    async def close(self) -> None:
        """Close the pool."""
        await self._client.close()
