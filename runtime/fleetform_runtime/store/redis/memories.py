"""What is remembered of users, in Redis.

    <prefix>{<user>}:memories    a hash of memories, JSON
    <prefix>{<user>}:uses        when each was last used, and how often
    <prefix>{<user>}:mark        another text after each deletion, for as long as anything older may be in a queue

No module of Redis is needed. Redis deletes all of a user by itself once nothing was used for long.
"""

import hashlib
from collections.abc import Collection, Sequence
from typing import Any

from fleetform_runtime.store import Memory, Remembered, drawn, memory_json, read_memory
from fleetform_runtime.store.local import current
from fleetform_runtime.store.parts import Surroundings
from fleetform_runtime.store.redis.backend import RedisBackend
from fleetform_runtime.store.redis.client import Script

MARKED_SECONDS = 86_400
"""How long a deletion is remembered: much longer than anything is in a queue."""

_WRITE = Script("""
if (redis.call('GET', KEYS[3]) or '') ~= ARGV[1] then return 0 end
local last = 3 + 3 * tonumber(ARGV[3])
for i = 4, last, 3 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2])
end
for i = last + 1, #ARGV do
  redis.call('HDEL', KEYS[1], ARGV[i])
  redis.call('HDEL', KEYS[2], ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
""")
_TOUCH = Script("""
for i = 3, #ARGV do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
    local hits = tonumber(string.match(redis.call('HGET', KEYS[2], ARGV[i]) or '', '(%d+)$') or '0')
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[1] .. ' ' .. string.format('%d', hits + 1))
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
""")
_REMOVE = Script("""
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
if ARGV[3] == 'all' then
  local count = redis.call('HLEN', KEYS[1])
  redis.call('DEL', KEYS[1], KEYS[2])
  return count
end
local count = 0
for i = 4, #ARGV do
  count = count + redis.call('HDEL', KEYS[1], ARGV[i])
  redis.call('HDEL', KEYS[2], ARGV[i])
end
return count
""")


class RedisMemories:
    """Keeps memories in Redis."""

    def __init__(self, backend: RedisBackend, around: Surroundings) -> None:
        self._client = backend.client
        self._prefix = backend.prefix
        self._clock = backend.clock
        self._seconds = around.memory_seconds or 0.0
        self._life = max(1, int(self._seconds * 1000))

    async def load(self, owner: str) -> Remembered:
        """Return all that is remembered of a user, in one round trip, and delete what has expired."""
        keys = self._keys(owner)

        async def work(redis: Any) -> list[Any]:
            # The mark is read first: what is deleted between the two makes it stale.
            async with redis.pipeline(transaction=False) as pipe:
                pipe.get(keys[2])
                pipe.hgetall(keys[0])
                pipe.hgetall(keys[1])
                found: list[Any] = await pipe.execute()
            return found

        mark, rows, uses = await self._client.do(work)
        stored = [_read(row, uses.get(name, b"")) for name, row in rows.items()]
        readable = [memory for memory in stored if memory is not None]
        held = current(readable, self._clock() - self._seconds)
        if gone := [memory.id for memory in readable if memory.id not in held]:
            await self._client.do(lambda redis: redis.hdel(keys[0], *gone))
            await self._client.do(lambda redis: redis.hdel(keys[1], *gone))
        return Remembered((mark or b"").decode(), list(held.values()))

    async def write(
        self, owner: str, mark: str, changed: Sequence[Memory], removed: Collection[str] = ()
    ) -> bool:
        """Add, replace and remove memories, unless some were deleted since."""
        keys = self._keys(owner)
        given: list[Any] = [mark, self._life, len(changed)]
        for memory in changed:
            given += [memory.id, memory_json(memory), _use(memory.used, memory.hits)]

        async def work(redis: Any) -> bool:
            return bool(await _WRITE(redis, keys, [*given, *removed]))

        return await self._client.do(work)

    async def touch(self, owner: str, ids: Collection[str]) -> None:
        """Note that memories were used."""
        given = [repr(float(self._clock())), self._life, *ids]

        async def work(redis: Any) -> None:
            await _TOUCH(redis, self._keys(owner), given)

        await self._client.do(work)

    async def remove(self, owner: str, ids: Collection[str] | None = None) -> int:
        """Delete memories."""
        what = ["all"] if ids is None else ["some", *ids]
        given = [drawn(), MARKED_SECONDS * 1000, *what]

        async def work(redis: Any) -> int:
            return int(await _REMOVE(redis, self._keys(owner), given))

        return await self._client.do(work)

    async def expire(self) -> int:
        """Nothing is left to do."""
        return 0

    def _keys(self, owner: str) -> list[str]:
        tag = hashlib.sha256(owner.encode()).hexdigest()[:32]
        return [f"{self._prefix}{{{tag}}}:{name}" for name in ("memories", "uses", "mark")]


def _use(used: float, hits: int) -> str:
    return f"{float(used)!r} {hits:d}"


def _read(row: bytes, use: bytes) -> Memory | None:
    try:
        used, hits = use.split()
        return read_memory(row, float(used), int(hits))
    except ValueError:
        return read_memory(row)
