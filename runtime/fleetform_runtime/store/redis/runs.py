"""Runs in Redis: <prefix>{<run>}:run, :events, :stop."""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from fleetform_runtime.store import Event, Run, UnreadableRecordError, read_run, run_json
from fleetform_runtime.store.parts import MOST_TASKS
from fleetform_runtime.store.redis.backend import RedisBackend
from fleetform_runtime.store.redis.client import Script

READ_AT_ONCE = 200
_LIST = Script("""
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[3]))
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
""")
"""Lists a task of a user, for as long as the one that is kept longest."""
_PUT = Script("""
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[1])
local seen = tonumber(string.match(redis.call('LINDEX', KEYS[2], -1) or '', '^%[(%d+)') or 0)
for i = 3, #ARGV do
  if tonumber(string.match(ARGV[i], '^%[(%d+)')) > seen then redis.call('RPUSH', KEYS[2], ARGV[i]) end
end
redis.call('PEXPIRE', KEYS[2], ARGV[1])
""")
"""Nobody sees the end of a run without its last event, and a repeated write adds no event again."""
_AFTER = Script("""
local last = tonumber(string.match(redis.call('LINDEX', KEYS[1], -1) or '', '^%[(%d+)') or 0)
if last <= tonumber(ARGV[1]) then return {} end
return redis.call('LRANGE', KEYS[1], ARGV[1] - last, -1)
""")
"""Numbers rise, so those after one are at the end: what a follower has is not read again."""


class RedisRuns:
    """Keeps runs in Redis."""

    def __init__(self, backend: RedisBackend) -> None:
        self._client = backend.client
        self._prefix = backend.prefix

    async def put(self, run: Run, events: Sequence[Event], seconds: float) -> None:
        """Store the state of a run and its new events."""
        state, log, _ = self._keys(run.id)
        lines = [orjson.dumps([item.id, item.type, item.data.decode()]) for item in events]
        life = max(1, int(seconds * 1000))

        async def work(redis: Any) -> None:
            await _PUT(redis, (state, log), (life, run_json(run), *lines))
            if run.is_task and run.status != "running":
                await self._list(redis, run, life)

        await self._client.do(work)

    async def claim(self, run: Run, seconds: float) -> bool:
        """Store the state of a run unless there is one of this name."""
        state, _, _ = self._keys(run.id)
        life = max(1, int(seconds * 1000))

        async def work(redis: Any) -> bool:
            taken = bool(await redis.set(state, run_json(run), px=life, nx=True))
            if taken and run.is_task:
                await self._list(redis, run, life)
            return taken

        return await self._client.do(work)

    async def get(self, run: str) -> Run | None:
        """Return the state of a run."""
        state, _, _ = self._keys(run)

        async def work(redis: Any) -> bytes | None:
            found: bytes | None = await redis.get(state)
            return found

        raw = await self._client.do(work)
        return None if raw is None else read_run(raw)

    async def events(self, run: str, after: int) -> list[Event]:
        """Return the events of a run after one."""
        _, log, _ = self._keys(run)

        async def work(redis: Any) -> list[bytes]:
            found: list[bytes] = await _AFTER(redis, [log], [after])
            return found

        found = [_read_event(line) for line in await self._client.do(work)]
        return [event for event in found if event.id > after]

    async def ask_cancel(self, run: str, seconds: float) -> None:
        """Leave a message for the replica that executes the run."""
        _, _, stop = self._keys(run)

        async def work(redis: Any) -> None:
            await redis.set(stop, b"1", px=max(1, int(seconds * 1000)))

        await self._client.do(work)

    async def is_cancel_asked(self, run: str) -> bool:
        """Look for such a message."""
        _, _, stop = self._keys(run)

        async def work(redis: Any) -> bool:
            return bool(await redis.exists(stop))

        return await self._client.do(work)

    async def of(self, user: str) -> list[Run]:
        """Return all runs of a user."""

        async def work(redis: Any) -> list[bytes]:
            pattern = f"{self._prefix}{{*}}:run"
            names = [name async for name in redis.scan_iter(match=pattern, count=1_000)]
            found: list[bytes] = []
            for start in range(0, len(names), READ_AT_ONCE):
                rows = await redis.mget(names[start : start + READ_AT_ONCE])
                found += [row for row in rows if row is not None and marker in row]
            return found

        marker = b'"user":' + orjson.dumps(user)
        return [run for run in _readable(await self._client.do(work)) if run.user == user]

    async def tasks(self, user: str) -> list[Run]:
        """Return the user's tasks, those that changed last first."""

        async def work(redis: Any) -> list[bytes]:
            names = await redis.zrevrange(self._listed(user), 0, MOST_TASKS - 1)
            if not names:
                return []
            rows = await redis.mget([self._keys(name.decode())[0] for name in names])
            return [row for row in rows if row is not None]

        return [run for run in _readable(await self._client.do(work)) if run.user == user]

    async def remove(self, run: str) -> None:
        """Delete a run."""

        async def work(redis: Any) -> None:
            state, log, stop = self._keys(run)
            for kept in _readable([row] if (row := await redis.get(state)) is not None else []):
                await redis.zrem(self._listed(kept.user), run)
            await redis.delete(state, log, stop)

        await self._client.do(work)

    async def expire(self) -> int:
        """Nothing is left to do: Redis deletes what has expired by itself."""
        return 0

    async def _list(self, redis: Any, run: Run, life: int) -> None:
        values = (run.touched, run.id, MOST_TASKS, life)
        await _LIST(redis, [self._listed(run.user)], values)

    def _listed(self, user: str) -> str:
        return f"{self._prefix}{{{hashlib.sha256(user.encode()).hexdigest()[:32]}}}:tasks"

    def _keys(self, run: str) -> tuple[str, str, str]:
        base = f"{self._prefix}{{{hashlib.sha256(run.encode()).hexdigest()[:32]}}}"
        return f"{base}:run", f"{base}:events", f"{base}:stop"


def _readable(rows: Sequence[bytes]) -> Iterator[Run]:
    for row in rows:
        with contextlib.suppress(UnreadableRecordError):
            yield read_run(row)


def _read_event(line: bytes) -> Event:
    try:
        number, kind, data = orjson.loads(line)
        event = Event(number, kind, data.encode())
    except (ValueError, TypeError, AttributeError):
        event = None
    if event is None or type(event.id) is not int or not isinstance(event.type, str):
        raise UnreadableRecordError("a stored event cannot be read")
    return event
