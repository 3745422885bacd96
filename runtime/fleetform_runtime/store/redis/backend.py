"""Redis as a place: its connection, what a chat needs of it, and leases."""

from typing import Any

from fleetform_runtime.sections.memory import RedisMemory
from fleetform_runtime.store import drawn
from fleetform_runtime.store.parts import Surroundings
from fleetform_runtime.store.redis.client import RedisClient, Script, prefix

WRITE = Script("""
local old = redis.call('GET', KEYS[1]) or ''
if old == ARGV[2] then return 1 end
if old ~= ARGV[1] then return 0 end
if old == '' then redis.call('DEL', KEYS[2]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
for i = 4, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
redis.call('PEXPIRE', KEYS[2], ARGV[3] + 1000)
return 1
""")
"""Rows outlive their session, so that what misses some was evicted. Repeating a write whose response was lost finds its own result, and adds nothing."""

_HOLD = Script("""
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""")


class RedisBackend:
    """A Redis, and the prefix of an agent's keys in it."""

    type = "redis"
    shared = True

    def __init__(self, settings: RedisMemory, around: Surroundings) -> None:
        self.client = RedisClient(settings, around.secrets, around.renewed)
        self.prefix = prefix(settings, around.namespace, around.agent)
        self.clock = around.clock
        self.removed = around.removed

    async def open(self) -> None:
        """Check that the server answers."""
        await self.ping()

    async def close(self) -> None:
        """Close the pool."""
        await self.client.close()

    async def ping(self) -> None:
        """Write as a chat does, under names of its own that vanish at once."""
        ready, *keys = (f"{self.prefix}{{ready}}:{name}" for name in ("key", "meta", "rows"))

        async def work(redis: Any) -> None:
            await redis.set(
                ready, b"", px=1
            )  # a script may delete, and then write, while memory is full
            await WRITE(redis, keys, [b"", drawn(), 1, b"row"])

        await self.client.do(work)

    async def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew a lease."""

        async def work(redis: Any) -> bool:
            life = max(1, int(seconds * 1000))
            return bool(await _HOLD(redis, [self._lease(name)], [holder, life]))

        return await self.client.do(work)

    async def is_held(self, name: str) -> bool:
        """Look for a lease."""

        async def work(redis: Any) -> bool:
            return bool(await redis.exists(self._lease(name)))

        return await self.client.do(work)

    def _lease(self, name: str) -> str:
        return f"{self.prefix}lease:{name}"
