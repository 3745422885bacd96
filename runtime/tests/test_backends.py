"""Every place where a store is keeps the same promises: it comes back, it tells what it lacks, and it knows who lives."""

import asyncio
import time
from typing import Any

import asyncpg
import pytest

from fleetform_runtime.store import Memory, StoreError
from fleetform_runtime.store.measured import CONVERSATIONS, MEMORIES, PAUSES, RUNS, measured
from fleetform_runtime.store.parts import Conversations, Memories, Pauses, Runs
from fleetform_runtime.store.upkeep import Removals, sweep
from fleetform_runtime.telemetry.metrics import Metrics
from runtime.tests.harness import serving, until
from runtime.tests.servers import PostgresServer, RedisServer
from runtime.tests.stores import BACKENDS, HERE, SHARED, memory, opened, rows

pytestmark = pytest.mark.anyio


@pytest.fixture(params=BACKENDS)
def section(request, tmp_path):
    return memory(request.param, request, tmp_path)


@pytest.mark.parametrize("backend", ["redis", "postgres"])
async def test_a_server_that_is_killed_and_comes_back_is_used_again(backend, request, tmp_path):
    server = RedisServer() if backend == "redis" else PostgresServer()
    with server:
        section: dict[str, Any] = {"type": backend, "host": "127.0.0.1", "port": server.port}
        if backend == "postgres":
            section |= {"database": "postgres", "username": "agent"}
        async with opened(section) as store:
            made = await store.conversations.append(HERE, rows("a"))
            server.stop()
            for _ in range(2):
                with pytest.raises(StoreError):
                    await store.conversations.load("ann", "s1", -1)
                with pytest.raises(StoreError):
                    await store.backend.ping()
            server.start()
            session, _ = await store.conversations.load("ann", "s1", -1)
            assert session == made
            await store.conversations.append(made, rows("b"), made.revision)


async def test_a_database_without_its_tables_is_not_ready(postgres):
    """Restored into, or dropped by mistake: nothing could be answered, and nothing is created in its way."""
    section = {"type": "postgres", "host": "127.0.0.1", "port": postgres.port}
    section |= {"database": "postgres", "username": "agent", "schema": "restored"}
    connection = await asyncpg.connect(
        host="127.0.0.1", port=postgres.port, user="agent", database="postgres"
    )
    async with opened(section) as store:
        await store.backend.ping()
        await connection.execute(
            "DROP TABLE restored.events; ALTER TABLE restored.runs RENAME TO x"
        )
        with pytest.raises(StoreError, match=r"missing: restored\.runs, restored\.events; restore"):
            await store.backend.ping()
        await connection.execute("DROP SCHEMA restored CASCADE")
        with pytest.raises(StoreError, match=r"restored\.sessions"):
            await store.backend.ping()
    await connection.close()
    async with opened(section) as store:
        await store.backend.ping()


async def test_an_account_that_may_not_create_uses_tables_that_are_there(postgres):
    fields = {"type": "postgres", "host": "127.0.0.1", "port": postgres.port}
    fields |= {"database": "postgres", "schema": "granted"}
    async with opened(fields | {"username": "agent"}, memory_seconds=60) as store:
        grants = """CREATE ROLE guest LOGIN; GRANT USAGE ON SCHEMA granted TO guest;
            GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA granted TO guest"""
        await store.backend.client.do(lambda connection: connection.execute(grants))
    async with opened(fields | {"username": "guest"}, memory_seconds=60) as store:
        assert await store.memories.write("ann", "", [Memory(id="a", text="x", used=time.time())])
        assert await store.memories.remove("ann") == 1
        await store.memories.expire()
        await store.backend.ping()
        assert (await store.conversations.append(HERE, rows("a"))).messages == 1
        assert await store.backend.hold("x", "h", 1)
        await store.conversations.expire()
        await store.runs.expire()


async def test_it_writes_to_show_that_it_is_ready(section):
    async with opened(section) as store:
        await asyncio.gather(*(store.backend.ping() for _ in range(5)))
        assert await store.conversations.recent("ann", 0, 9) == ([], 0)


@pytest.mark.parametrize("backend", SHARED)
async def test_a_lease_has_one_holder_until_it_ends(backend, request, tmp_path):
    async with opened(memory(backend, request, tmp_path)) as store:
        place = store.backend
        assert not await place.is_held("x")
        taken = await asyncio.gather(*(place.hold("x", f"h{n}", 60) for n in range(6)))
        assert sorted(taken) == [False] * 5 + [True]
        holder = f"h{taken.index(True)}"
        assert await place.hold("x", holder, 0.1)
        assert await place.is_held("x")
        assert not await place.is_held("y")
        await asyncio.sleep(0.15)
        assert not await place.is_held("x")
        assert await place.hold("x", "other", 60)
        assert not await place.hold("x", holder, 60)


async def test_a_lease_that_nobody_else_can_want_is_had():
    async with opened({"type": "in-memory"}) as store:
        assert await store.backend.hold("x", "h", 1)
        assert not await store.backend.is_held("x")


class Counting:
    """A part whose upkeep is counted."""

    def __init__(self) -> None:
        self.count = 0

    async def expire(self) -> int:
        self.count += 1
        return 0


@pytest.mark.parametrize("backend", SHARED)
async def test_one_replica_deletes_for_all_until_it_dies(backend, request, tmp_path):
    async with opened(memory(backend, request, tmp_path)) as store:
        parts = [Counting(), Counting()]
        tasks = [
            asyncio.create_task(sweep(_with(store, part), f"r{n}", 0.1))
            for n, part in enumerate(parts)
        ]
        await until(lambda: sum(part.count for part in parts) > 4)
        first = 0 if parts[0].count else 1
        assert parts[1 - first].count == 0
        tasks[first].cancel()
        await until(lambda: parts[1 - first].count)
        tasks[1 - first].cancel()


def _with(store: Any, part: Any) -> Any:
    return type(store)(store.backend, part, part, part, part)


async def test_every_operation_of_a_part_is_measured():
    metrics = Metrics("greeter")
    parts = (Conversations, Runs, Pauses, Memories)
    for part, operations in zip(parts, (CONVERSATIONS, RUNS, PAUSES, MEMORIES), strict=True):
        assert {name for name in vars(part) if not name.startswith("_")} == set(operations)
    async with opened({"type": "in-memory"}) as store:
        measured_store = measured(store, metrics)
        await measured_store.conversations.append(HERE, rows("a"))
        assert len((await measured_store.conversations.load("ann", "s1", -1))[1]) == 1
    labels = 'agent="greeter",backend="in-memory",op="append"'
    assert f"agent_memory_operation_seconds_count{{{labels}}} 1.0" in metrics.text().decode()


def test_what_was_deleted_unasked_is_counted_and_said_once_a_minute(caplog):
    metrics, now = Metrics("greeter"), [0.0]
    removed = Removals(metrics, lambda: now[0])
    for reason, count in (("expired", 5), ("bytes", 2), ("bytes", 1), ("sessions", 1), ("user", 0)):
        removed(reason, count)
    assert [record.message for record in caplog.records] == [
        "memory.maxBytes is reached: sessions that were idle longest are deleted"
    ]
    now[0] = 61
    removed("sessions", 1)
    assert "memory.maxSessions" in caplog.records[-1].message
    text = metrics.text().decode()
    for reason, count in (("expired", 5), ("bytes", 3), ("sessions", 2), ("user", 0)):
        line = f'agent_sessions_removed_total{{agent="greeter",reason="{reason}"}} {count}.0'
        assert line in text


@pytest.mark.parametrize(("backend", "most"), [("redis", 9), ("postgres", 7)])
async def test_a_chat_does_not_ask_its_store_more_often_than_it_has_to(
    backend, most, request, tmp_path
):
    """Load the session, keep the turn with it, note the run, look again, append, for Redis its indexes, and note the end."""
    async with serving(memory=memory(backend, request, tmp_path)) as client:
        session = (await client.chat("hello"))["session_id"]
        await until(lambda: client.application.runs.registry._beating)
        used = client.application.store.backend.client
        done, count = used.do, 0

        async def counted(work: Any) -> Any:
            nonlocal count
            count += "hold" not in work.__qualname__
            return await done(work)

        used.do = counted
        await client.chat("again", session_id=session)
        assert count == most
