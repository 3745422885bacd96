"""Every store keeps the same promises about runs."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from fleetform_runtime.store import (
    Event,
    Pause,
    Run,
    UnreadableRecordError,
    read_pause,
    read_run,
    run_json,
)
from fleetform_runtime.store.filesystem import runs
from runtime.tests.harness import until
from runtime.tests.stores import BACKENDS, SHARED, Clock, memory, opened

pytestmark = pytest.mark.anyio
RUN = Run(id="r1", user="ann", session="s1", status="running", created=2.5, replica="x")


@pytest.fixture(params=BACKENDS)
def section(request, tmp_path):
    return memory(request.param, request, tmp_path)


async def test_runs_are_kept(section):
    run = Run(id="r1", user="ann", session="s1", status="waiting", created=2.5, result={"a": 1})
    async with opened(section) as store:
        assert await store.runs.get("r1") is None
        events = [Event(1, "run_start", b'{"a":1}'), Event(2, "token", b'{"content":"\xc3\xa4"}')]
        await store.runs.put(run, events, 60)
        assert await store.runs.get("r1") == run
        await store.runs.put(replace(run, status="succeeded"), [Event(3, "done", b"{}")], 60)
        assert (await store.runs.get("r1")).status == "succeeded"
        if store.backend.shared:
            assert await store.runs.events("r1", 0) == [*events, Event(3, "done", b"{}")]
            assert await store.runs.events("r1", 2) == [Event(3, "done", b"{}")]
            assert not await store.runs.is_cancel_asked("r1")
            await store.runs.ask_cancel("r1", 60)
            assert await store.runs.is_cancel_asked("r1")


@pytest.mark.parametrize("backend", SHARED)
async def test_events_are_read_once_and_in_order(backend, request, tmp_path):
    """Some may have been dropped before they were shared, and a write may be repeated."""
    events = [Event(n, "token", b'{"n":%d}' % n) for n in (*range(1, 6), *range(9, 13))]
    async with opened(memory(backend, request, tmp_path)) as store:
        for first, last in ((0, 3), (3, 5), (3, 5), (0, 5), (5, 9), (8, 9)):
            await store.runs.put(RUN, events[first:last], 60)
        for after in range(14):
            wanted = [event for event in events if event.id > after]
            assert await store.runs.events("r1", after) == wanted
        assert await store.runs.events("other", 0) == []


async def test_a_poisoned_event_is_told(redis, request, tmp_path):
    section = memory("redis", request, tmp_path)
    async with opened(section) as store:
        await store.runs.put(RUN, [Event(1, "token", b"{}")], 60)
        key = store.runs._keys("r1")[1]
        await store.backend.client._pool.redis.rpush(key, b'[2,"token"]')
        with pytest.raises(UnreadableRecordError):
            await store.runs.events("r1", 0)
        await store.backend.client._pool.redis.rpush(key, b"nonsense")
        assert await store.runs.events("r1", 0) == []
        await store.runs.put(RUN, [Event(3, "done", b"{}")], 60)
        with pytest.raises(UnreadableRecordError):
            await store.runs.events("r1", 0)


async def test_runs_are_forgotten_in_time(section):
    clock = Clock()
    async with opened(section, clock) as store:
        life = 0.05 if section["type"] == "redis" else 60  # Redis counts by its own clock
        await store.runs.put(replace(RUN, status="waiting"), [Event(1, "done", b"{}")], life)
        await store.runs.put(replace(RUN, id="r2", status="waiting"), [], 600)
        clock.now += 61
        await asyncio.sleep(0.1 if section["type"] == "redis" else 0)
        assert await store.runs.get("r1") is None
        await store.runs.expire()
        assert await store.runs.events("r1", 0) == []
        assert (await store.runs.get("r2")).status == "waiting"
        if section["type"] == "filesystem":
            assert [file.name for file in Path(section["path"], "runs").iterdir()] == ["r2.json"]


def test_a_run_of_an_earlier_version_can_be_read():
    row = b'{"id":"r","user":"u","session":"s","status":"running","created":1.0,"ended":null,"result":{}}'
    assert read_run(row).replica == ""


async def test_a_run_that_takes_a_while_is_found_after_a_restart(request, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "WHILE_SECONDS", 0.01)
    section = memory("filesystem", request, tmp_path)
    file = Path(section["path"], "runs", "r1.json")
    async with opened(section) as store:
        await store.runs.put(RUN, [], 60)
        await until(file.exists)
    file.with_suffix(".new").write_bytes(b"half")
    async with opened(section) as store:
        assert [found.name for found in file.parent.iterdir()] == [file.name]
        assert await store.runs.get("r1") == RUN


ENDED = {
    "of a while": (0.01, replace(RUN, status="succeeded"), True),
    "at once": (60, replace(RUN, status="succeeded"), False),
    "a task": (60, replace(RUN, status="succeeded", origin={"task": "r1"}), True),
    "failed": (60, replace(RUN, status="failed"), True),
    "cancelled": (60, replace(RUN, status="cancelled"), True),
}


@pytest.mark.parametrize(("after", "ended", "is_kept"), ENDED.values(), ids=ENDED)
async def test_a_run_that_ended_is_found_after_a_restart_until_its_time_is_over(
    after, ended, is_kept, request, tmp_path, monkeypatch
):
    monkeypatch.setattr(runs, "WHILE_SECONDS", after)
    clock, section = Clock(), memory("filesystem", request, tmp_path)
    file = Path(section["path"], "runs", "r1.json")
    async with opened(section, clock) as store:
        await store.runs.put(replace(ended, status="running"), [], 60)
        await until(lambda: file.exists() or after > 1)
        await store.runs.put(ended, [], 60)
        assert await store.runs.get("r1") == ended
    async with opened(section, clock) as store:
        assert await store.runs.get("r1") == (ended if is_kept else None)
        assert await store.runs.of("ann") == [ended] * is_kept
        clock.now += 59
        assert await store.runs.expire() == 0
        clock.now += 1
        assert await store.runs.get("r1") is None
        await store.runs.expire()
        assert list(file.parent.iterdir()) == []


async def test_a_run_that_is_removed_while_it_is_written_is_not_there(request, tmp_path):
    section = memory("filesystem", request, tmp_path)
    async with opened(section) as store:
        failed = replace(RUN, status="failed")
        await asyncio.gather(store.runs.put(failed, [], 60), store.runs.remove("r1"))
        assert list(Path(section["path"], "runs").iterdir()) == []


async def test_a_run_that_an_earlier_version_wrote_still_waits(request, tmp_path):
    clock, section = Clock(), memory("filesystem", request, tmp_path)
    waiting = replace(RUN, status="waiting")
    file = Path(section["path"], "runs", "r1.json")
    file.parent.mkdir(parents=True)
    file.write_bytes(run_json(waiting))
    os.utime(file, (clock.now, clock.now))
    clock.now += 600_000
    async with opened(section, clock) as store:
        await store.runs.expire()
        assert await store.runs.get("r1") == waiting
        clock.now += 5_000
        assert await store.runs.get("r1") is None
        assert await store.runs.expire() == 1
        assert not file.exists()


async def test_runs_that_wait_are_listed_by_since_when(section):
    clock = Clock()
    pauses = [
        Pause(run=f"r{n}", user="änn\n/x", session=f"s{n}", since=clock.now + n, expires=1.5)
        for n in range(4)
    ]
    async with opened(section, clock) as store:
        await store.pauses.remove("r1")
        for pause in (pauses[2], pauses[0], pauses[3], pauses[1]):
            await store.pauses.put(pause)
        await store.pauses.put(pauses[2])
        assert await store.pauses.page(0, 9) == pauses
        assert await store.pauses.page(1, 2) == pauses[1:3]
        assert await store.pauses.page(4, 2) == []
        assert await store.pauses.page(0, 0) == []
        changed = replace(pauses[0], since=clock.now + 9)
        await store.pauses.put(changed)
        await store.pauses.remove("r1")
        await store.pauses.remove("r1")
        assert await store.pauses.page(0, 9) == [*pauses[2:], changed]
    if section["type"] != "in-memory":
        async with opened(section, clock) as store:
            assert await store.pauses.page(0, 9) == [*pauses[2:], changed]


@pytest.mark.parametrize("backend", ["in-memory", "filesystem"])
async def test_a_process_lists_a_bounded_number(backend, request, tmp_path, monkeypatch):
    monkeypatch.setattr("fleetform_runtime.store.local.MOST_PAUSES", 2)
    section = memory(backend, request, tmp_path)
    pauses = [Pause(run=f"r{n}", user="a", session="s", since=n, expires=9) for n in range(4)]
    async with opened(section) as store:
        for pause in pauses:
            await store.pauses.put(pause)
        assert await store.pauses.page(0, 9) == pauses[2:]
    if backend == "filesystem":
        async with opened(section) as store:
            assert await store.pauses.page(0, 9) == pauses[2:]


@pytest.mark.parametrize(
    "row", [b"", b"x", b"[]", b"{}", b'{"run":1,"user":"a","session":"s","since":1,"expires":2}',
            b'{"run":"r","user":"a","session":"s","since":true,"expires":2}']
)  # fmt: skip
def test_what_is_listed_and_cannot_be_read_hides_nothing_else(row):
    assert read_pause(row) is None
