"""Workflows in Redis: one script for each operation, by the server's clock.

Below the prefix of a workflow: `run:<name>`, a hash with the run and its steps; `events:<name>`, a list; and sets by
time: `all`, `ended`, of those that are open `pending` (nobody has begun), `leases` (held or silent), `going` (nobody has
asked to end them), `stopping` (pending, to be ended) and `aside` (nobody could read them, and nobody looks at them again
until then).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.memory import RedisMemory
from fleetform_runtime.store import UnreadableRecordError
from fleetform_runtime.store.redis.client import RedisClient, Script
from fleetform_runtime.workflows.records import (
    Event,
    StepState,
    WorkflowRun,
    listed_run,
    read_run,
    read_step,
    run_json,
    step_json,
)
from fleetform_runtime.workflows.store import (
    ASIDE_SECONDS,
    MOST_OPEN,
    PORTION,
    AsideError,
    Claim,
    Counts,
    Found,
    LostError,
    Policy,
    RejectedError,
    StoppedError,
)

_STEP = b"step:"
_HEAD = """
local p = KEYS[1]
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local function text(seconds) return string.format('%.6f', seconds) end
local function held(name, epoch)
  local run = redis.call('HMGET', p..'run:'..name, 'epoch', 'ended')
  return run[1] == epoch and not run[2]
end
local function put(name, lines)
  local list = p..'events:'..name
  local seen = tonumber(string.match(redis.call('LINDEX', list, -1) or '', '^%[(%d+)') or 0)
  for _, line in ipairs(lines) do
    if tonumber(string.match(line, '^%[(%d+)')) > seen then redis.call('RPUSH', list, line) end
  end
end
local function rest(from) local t = {}; for i = from, #ARGV do t[#t + 1] = ARGV[i] end; return t end
"""
_SUBMIT = Script(
    _HEAD
    + """
local name, body, most, policy, limit = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local key = p..'run:'..name
if redis.call('EXISTS', key) == 0 then
  local number = redis.call('ZCARD', p..'going')
  if number >= limit or (policy == 'reject' and number >= most) then return false end
  if policy == 'replace' and number >= most then
    for _, other in ipairs(redis.call('ZRANGE', p..'going', 0, number - most)) do
      redis.call('HSET', p..'run:'..other, 'stop', 'Replaced')
      redis.call('ZREM', p..'going', other)
      if redis.call('ZSCORE', p..'pending', other) then redis.call('ZADD', p..'stopping', now, other) end
    end
  end
  redis.call('HSET', key, 'created', text(now), 'body', body, 'phase', 'Pending', 'epoch', '0', 'owner', '', 'stop', '')
  for _, set in ipairs({'all', 'going', 'pending'}) do redis.call('ZADD', p..set, text(now), name) end
end
return redis.call('HGETALL', key)
"""
)
_CLAIM = Script(
    _HEAD
    + """
local owner, seconds, most, wanted = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local before = redis.call('GET', p..'owner:'..owner)
if before then
  local run = redis.call('HMGET', p..'run:'..before, 'owner', 'ended')
  if run[1] == owner and not run[2] then return {text(now), before, redis.call('HGETALL', p..'run:'..before)} end
end
local name
if wanted == '' then
  name = redis.call('ZRANGEBYSCORE', p..'leases', '-inf', text(now), 'LIMIT', 0, 1)[1]
    or redis.call('ZRANGE', p..'stopping', 0, 0)[1]
  if not name and redis.call('ZCARD', p..'leases') < most then
    name = redis.call('ZRANGEBYSCORE', p..'aside', '-inf', text(now), 'LIMIT', 0, 1)[1]
      or redis.call('ZRANGE', p..'pending', 0, 0)[1]
  end
else
  local function since(set) return tonumber(redis.call('ZSCORE', p..set, wanted) or now + 1) <= now end
  if since('leases') or redis.call('ZSCORE', p..'stopping', wanted)
    or redis.call('ZCARD', p..'leases') < most and (redis.call('ZSCORE', p..'pending', wanted) or since('aside'))
  then name = wanted end
end
if not name then return false end
local key = p..'run:'..name
redis.call('HINCRBY', key, 'epoch', 1)
redis.call('HSET', key, 'owner', owner)
redis.call('ZADD', p..'leases', text(now + seconds), name)
for _, set in ipairs({'pending', 'stopping', 'aside'}) do redis.call('ZREM', p..set, name) end
local run = redis.call('HMGET', key, 'created', 'stop')
if run[2] == '' then redis.call('ZADD', p..'going', run[1], name) end
redis.call('SET', p..'owner:'..owner, name, 'EX', 60)
return {text(now), name, redis.call('HGETALL', key)}
"""
)
_SET_ASIDE = Script(
    _HEAD
    + """
local name, epoch, seconds = ARGV[1], ARGV[2], tonumber(ARGV[3])
if held(name, epoch) then
  redis.call('HSET', p..'run:'..name, 'owner', '')
  for _, set in ipairs({'going', 'leases'}) do redis.call('ZREM', p..set, name) end
  redis.call('ZADD', p..'aside', text(now + seconds), name)
end
"""
)
_RENEW = Script(
    _HEAD
    + """
local name, epoch, seconds = ARGV[1], ARGV[2], tonumber(ARGV[3])
if not held(name, epoch) then return false end
redis.call('ZADD', p..'leases', text(now + seconds), name)
return redis.call('HGET', p..'run:'..name, 'stop')
"""
)
_WRITE = Script(
    _HEAD
    + """
local name, epoch, body, phase, ends, goes_on, count = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local key = p..'run:'..name
local run = redis.call('HMGET', key, 'epoch', 'body', 'stop')
if not held(name, epoch) then
  return (ends == '1' and run[1] == epoch and run[2] == body) and '' or false
end
if goes_on == '1' and run[3] ~= '' and run[2] ~= body then return run[3] end
redis.call('HSET', key, 'body', body, 'phase', phase)
for i = 8, 7 + 2 * count, 2 do redis.call('HSET', key, ARGV[i], ARGV[i + 1]) end
put(name, rest(8 + 2 * count))
if ends == '1' then
  redis.call('HSET', key, 'ended', text(now))
  for _, set in ipairs({'going', 'pending', 'leases', 'stopping'}) do redis.call('ZREM', p..set, name) end
  redis.call('ZADD', p..'ended', text(now), name)
end
return ''
"""
)
_RELEASE = Script(
    _HEAD
    + """
local name, epoch = ARGV[1], ARGV[2]
if held(name, epoch) then
  redis.call('HSET', p..'run:'..name, 'owner', '')
  redis.call('ZADD', p..'leases', 0, name)
end
"""
)
_STOP = Script(
    _HEAD
    + """
local name, reason = ARGV[1], ARGV[2]
local key = p..'run:'..name
local run = redis.call('HMGET', key, 'stop', 'ended')
if not run[1] or run[2] then return 0 end
if run[1] == '' then redis.call('HSET', key, 'stop', reason) end
redis.call('ZREM', p..'going', name)
if redis.call('ZSCORE', p..'pending', name) then redis.call('ZADD', p..'stopping', text(now), name) end
return 1
"""
)
_REOPEN = Script(
    _HEAD
    + """
local name, before, body, count = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local key = p..'run:'..name
local run = redis.call('HMGET', key, 'body', 'ended', 'created')
if run[1] ~= before or not run[2] then return 0 end
redis.call('HDEL', key, 'ended')
redis.call('HINCRBY', key, 'epoch', 1)
redis.call('HSET', key, 'body', body, 'phase', 'Pending', 'owner', '', 'stop', '')
for i = 5, 4 + 2 * count, 2 do redis.call('HSET', key, ARGV[i], ARGV[i + 1]) end
put(name, rest(5 + 2 * count))
redis.call('ZREM', p..'ended', name)
for _, set in ipairs({'going', 'pending'}) do redis.call('ZADD', p..set, run[3], name) end
return 1
"""
)
_PAGE = Script(
    _HEAD
    + """
local phase, highest, last, count = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local found, offset = {}, 0
while #found < count do
  local names = redis.call('ZREVRANGEBYSCORE', p..'all', highest, '-inf', 'WITHSCORES', 'LIMIT', offset, 100)
  if #names == 0 then break end
  offset = offset + 100
  for i = 1, #names, 2 do
    local name = names[i]
    local run = redis.call('HMGET', p..'run:'..name, 'created', 'body', 'stop', 'phase')
    local is_before = last == '' or tonumber(run[1]) < tonumber(highest) or name < last
    if is_before and (phase == '' or run[4] == phase) and #found < count then
      found[#found + 1] = {run[1], run[2], run[3], run[4], name}
    end
  end
end
return found
"""
)
_COUNTS = Script(
    _HEAD
    + """
local oldest = redis.call('ZRANGE', p..'pending', 0, 0, 'WITHSCORES')[2]
local aside = redis.call('ZRANGE', p..'aside', 0, -1)
for _, name in ipairs(aside) do
  local created = redis.call('HGET', p..'run:'..name, 'created')
  if not oldest or tonumber(created) < tonumber(oldest) then oldest = created end
end
return {text(now), redis.call('ZCARD', p..'pending') + #aside, redis.call('ZCARD', p..'leases'),
  oldest or '', redis.call('ZRANGE', p..'leases', 0, 0, 'WITHSCORES')}
"""
)
_EXPIRE = Script(
    _HEAD
    + """
local names = redis.call('ZRANGEBYSCORE', p..'ended', '-inf', text(now - tonumber(ARGV[1])), 'LIMIT', 0, tonumber(ARGV[2]))
for _, name in ipairs(names) do
  redis.call('DEL', p..'run:'..name, p..'events:'..name)
  redis.call('ZREM', p..'ended', name)
  redis.call('ZREM', p..'all', name)
end
return #names
"""
)


class RedisStore:
    """A Redis, and the prefix of a workflow's keys in it."""

    type = "redis"
    shared = True

    def __init__(
        self, settings: RedisMemory, secrets: Secrets, namespace: str, workflow: str
    ) -> None:
        self._client = RedisClient(settings, secrets)
        start = settings.key_prefix or f"fleetform:{namespace}:"
        self._prefix = f"{start}workflow:{workflow}:"

    async def open(self) -> None:
        """Check that the server answers."""
        await self.ping()

    async def close(self) -> None:
        """Close the pool."""
        await self._client.close()

    async def ping(self) -> None:
        """Write what vanishes at once."""

        async def work(redis: Any) -> None:
            await redis.set(f"{self._prefix}ready", b"", px=1)

        await self._client.do(work)

    async def submit(self, run: WorkflowRun, most: int, policy: Policy) -> Found:
        """Keep a new run."""
        row = await self._run(_SUBMIT, run.name, run_json(run), most, policy, MOST_OPEN)
        if row is None:
            raise RejectedError
        return _found(row)

    async def claim(self, owner: str, seconds: float, most: int, name: str = "") -> Claim | None:
        """Take a run."""
        row = await self._run(_CLAIM, owner, seconds, most, name)
        if row is None:
            return None
        now, taken, run = row
        epoch = int(_fields(run)[b"epoch"])
        try:
            return Claim(_found(run), epoch, float(now))
        except UnreadableRecordError as error:
            await self._run(_SET_ASIDE, taken, epoch, ASIDE_SECONDS)
            raise AsideError(taken.decode(), error) from None

    async def renew(self, claim: Claim, seconds: float) -> str:
        """Hold a run for longer."""
        stop = await self._run(_RENEW, claim.name, claim.epoch, seconds)
        if stop is None:
            raise LostError
        return str(stop.decode())

    async def write(
        self,
        claim: Claim,
        run: WorkflowRun,
        steps: Mapping[str, StepState],
        events: Sequence[Event],
        *,
        ends: bool = False,
        goes_on: bool = False,
    ) -> None:
        """Keep a run that is held."""
        stop = await self._run(
            _WRITE, run.name, claim.epoch, run_json(run), run.phase, int(ends), int(goes_on), len(steps),
            *_steps(steps), *map(_line, events),
        )  # fmt: skip
        if stop is None:
            raise LostError
        if stop:
            raise StoppedError(stop.decode())

    async def release(self, claim: Claim) -> None:
        """Let others take a run."""
        await self._run(_RELEASE, claim.name, claim.epoch)

    async def get(self, name: str) -> Found | None:
        """Return a run."""

        async def work(redis: Any) -> dict[bytes, bytes]:
            found: dict[bytes, bytes] = await redis.hgetall(f"{self._prefix}run:{name}")
            return found

        fields = await self._client.do(work)
        return _found([item for pair in fields.items() for item in pair]) if fields else None

    async def page(self, phase: str, before: tuple[float, str] | None, count: int) -> list[Found]:
        """Return runs, newest first."""
        highest, last = (f"{before[0]:.6f}", before[1]) if before else ("+inf", "")
        rows = await self._run(_PAGE, phase, highest, last, count)
        return [
            Found(
                listed_run(body, float(created), name.decode(), phase.decode()), {}, stop.decode()
            )
            for created, body, stop, phase, name in rows
        ]

    async def events(self, name: str, after: int) -> list[Event]:
        """Return the events of a run."""

        async def work(redis: Any) -> list[bytes]:
            found: list[bytes] = await redis.lrange(f"{self._prefix}events:{name}", 0, -1)
            return found

        found = [_read_line(line) for line in await self._client.do(work)]
        return [event for event in found if event.number > after]

    async def stop(self, name: str, reason: str) -> bool:
        """Ask that a run ends."""
        return bool(await self._run(_STOP, name, reason))

    async def reopen(
        self, found: Found, run: WorkflowRun, steps: Mapping[str, StepState], event: Event
    ) -> bool:
        """Let a run begin again."""
        return bool(
            await self._run(
                _REOPEN, run.name, run_json(found.run), run_json(run), len(steps),
                *_steps(steps), _line(event),
            )
        )  # fmt: skip

    async def counts(self) -> Counts:
        """Count what is open."""
        now, pending, running, oldest, lease = await self._run(_COUNTS)
        return Counts(
            pending=pending,
            running=running,
            oldest_pending=max(0.0, float(now) - float(oldest)) if oldest else 0.0,
            longest_silent=max(0.0, float(now) - float(lease[1])) if lease else 0.0,
        )

    async def expire(self, seconds: float) -> int:
        """Delete a portion of what is no longer kept."""
        return int(await self._run(_EXPIRE, seconds, PORTION))

    async def _run(self, script: Script, *given: Any) -> Any:
        return await self._client.do(lambda redis: script(redis, [self._prefix], given))


def _fields(row: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(row[::2], row[1::2], strict=True))


def _found(row: Sequence[bytes]) -> Found:
    fields = _fields(row)
    steps = {
        key.removeprefix(_STEP).decode(): read_step(value)
        for key, value in fields.items()
        if key.startswith(_STEP)
    }
    return Found(
        read_run(fields[b"body"], float(fields[b"created"])), steps, fields[b"stop"].decode()
    )


def _steps(steps: Mapping[str, StepState]) -> list[bytes]:
    pairs = [(_STEP + name.encode(), step_json(step)) for name, step in steps.items()]
    return [item for pair in pairs for item in pair]


def _line(event: Event) -> bytes:
    return orjson.dumps([event.number, event.kind, event.data.decode()])


def _read_line(line: bytes) -> Event:
    try:
        number, kind, data = orjson.loads(line)
        return Event(number=number, kind=kind, data=data.encode())
    except (ValueError, TypeError, AttributeError):
        raise UnreadableRecordError("a stored event of a workflow cannot be read") from None
