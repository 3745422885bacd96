"""Every store keeps the same promises about what is remembered of users."""

import asyncio
import itertools
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis as redis_client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetform_runtime.store import Event, Memory, Run, StoreError, memory_json, read_memory
from fleetform_runtime.store.parts import Store
from runtime.tests.stores import BACKENDS, Clock, memory, opened

pytestmark = pytest.mark.anyio
SECONDS = 1_000.0


@pytest.fixture(params=BACKENDS)
def section(request, tmp_path):
    return memory(request.param, request, tmp_path)


def noted(name: str, text: str = "likes tea", **more: Any) -> Memory:
    return Memory(id=name, text=text, used=1_000_000.0, **more)


async def _ids(store: Store, owner: str) -> list[str]:
    return sorted(one.id for one in (await store.memories.load(owner)).memories)


async def test_what_is_written_is_read_back_as_it_was(section):
    whole = noted(
        "a", '한국어 \u2028 "x"', kind="instruction", vector=bytes(range(256)), model="openai m"
    )
    whole = replace(whole, created=5.5, hits=3, session="s", run="r")
    async with opened(section, Clock(), memory_seconds=SECONDS) as store:
        assert (await store.memories.load("ann")).memories == []
        assert await store.memories.write("ann", "", [whole, noted("b")])
        found = {one.id: one for one in (await store.memories.load("ann")).memories}
        assert found == {"a": whole, "b": noted("b")}
        assert await store.memories.write("ann", "", [replace(whole, text="other")], ["b", "c"])
        assert (await store.memories.load("ann")).memories == [replace(whole, text="other")]
    if section["type"] != "in-memory":
        async with opened(section, Clock(), memory_seconds=SECONDS) as store:
            assert (await store.memories.load("ann")).memories == [replace(whole, text="other")]


async def test_what_is_deleted_is_not_written_again_by_who_read_it_before(section):
    async with opened(section, Clock(), memory_seconds=SECONDS) as store:
        held = store.memories
        await held.write("ann", "", [noted("a"), noted("b")])
        before = (await held.load("ann")).mark
        assert await held.remove("ann", ["a", "x"]) == 1
        assert not await held.write("ann", before, [noted("a")])
        after = (await held.load("ann")).mark
        assert after != before
        assert await held.write("ann", after, [noted("c")])
        assert await held.remove("ann") == 2
        assert not await held.write("ann", after, [noted("c")])
        assert await held.remove("ann") == 0
        await held.touch("ann", ["a", "b", "c"])
        assert await _ids(store, "ann") == []
        assert (await held.load("bob")).mark == ""


async def test_of_a_deletion_and_writes_at_once_none_is_left(section):
    async with opened(section, Clock(), memory_seconds=SECONDS) as store:
        for _ in range(5):
            mark = (await store.memories.load("ann")).mark
            writes: list[Awaitable[Any]] = [
                store.memories.write("ann", mark, [noted(f"m{n}")]) for n in range(6)
            ]
            writes.insert(3, store.memories.remove("ann"))
            await asyncio.gather(*writes)
            assert await store.memories.write("ann", mark, [noted("late")]) is False
            left = (await store.memories.load("ann")).memories
            assert left == []


async def test_what_is_not_used_is_gone_after_its_time(section):
    clock = Clock()
    async with opened(section, clock, memory_seconds=SECONDS) as store:
        await store.memories.write("ann", "", [noted("a"), noted("b")])
        clock.now += 900
        await store.memories.touch("ann", ["b", "x"])
        (b,) = [one for one in (await store.memories.load("ann")).memories if one.id == "b"]
        assert (b.used, b.hits) == (clock.now, 1)
        clock.now += 200
        assert await _ids(store, "ann") == ["b"]
        if section["type"] != "redis":  # which has deleted it as it was read
            assert await store.memories.expire() == 1
        clock.now += 1_000
        await store.memories.expire()
        assert await _ids(store, "ann") == []


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob"]),
        st.sampled_from(["add", "stale", "touch", "some", "all", "expire", "later"]),
        st.sets(st.sampled_from("abcd"), max_size=3),
    ),
    max_size=14,
)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nobody_gets_or_changes_what_is_remembered_of_another(backend, request, tmp_path):
    """A model of two users beside the store: after each step both find what is theirs, and nothing else."""
    clock = Clock()
    numbers = itertools.count()
    with asyncio.Runner() as runner:
        context = opened(memory(backend, request, tmp_path), clock, memory_seconds=SECONDS)
        store = runner.run(context.__aenter__())

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(ACTIONS)
        def check(actions: list[tuple[str, str, set[str]]]) -> None:
            runner.run(_played(store, clock, actions, next(numbers)))

        check()
        runner.run(context.__aexit__(None, None, None))


async def _played(
    store: Store, clock: Clock, actions: list[tuple[str, str, set[str]]], number: int
) -> None:
    # Names that differ by case, or by what stands in paths and patterns, are different users.
    names = {"ann": f"gate/{number}*", "bob": f"Gate/{number}*"}
    model: dict[str, dict[str, Memory]] = {"ann": {}, "bob": {}}
    marks = dict.fromkeys(names, "")
    for who, action, ids in actions:
        owner, held = names[who], model[who]
        if action in ("add", "stale"):
            fresh = [noted(f"{name}", f"{who} {name}") for name in sorted(ids)]
            fresh = [replace(one, used=clock.now) for one in fresh]
            mark = marks[who] if action == "add" else "another"
            assert await store.memories.write(owner, mark, fresh) == (action == "add")
            held |= {one.id: one for one in fresh} if action == "add" else {}
        elif action == "touch":
            await store.memories.touch(owner, ids)
            for name in ids & held.keys():
                held[name] = replace(held[name], used=clock.now, hits=held[name].hits + 1)
        elif action == "some":
            assert await store.memories.remove(owner, ids) == len(ids & held.keys())
            model[who] = {name: one for name, one in held.items() if name not in ids}
        elif action == "all":
            assert await store.memories.remove(owner) == len(held)
            model[who] = {}
        elif action == "expire":
            await store.memories.expire()
        else:
            clock.now += 400
        for other, owner in names.items():
            model[other] = {
                name: one for name, one in model[other].items() if one.used > clock.now - SECONDS
            }
            found = await store.memories.load(owner)
            assert {one.id: one for one in found.memories} == model[other]
            changed = found.mark != marks[other]
            assert changed == (other == who and action in ("some", "all"))
            marks[other] = found.mark
    for owner in names.values():
        await store.memories.remove(owner)


async def test_no_byte_of_what_was_deleted_is_left(section, request, tmp_path):
    async with opened(section, Clock(), memory_seconds=SECONDS) as store:
        for owner in ("u-ann", "u-bob"):
            await store.memories.write(owner, "", [noted("m", f"secret of {owner}")])
        await store.memories.remove("u-ann")
        left = await dump(section, request, tmp_path, store)
        assert b"u-ann" not in left
        assert b"secret of u-bob" in left


async def dump(section: Any, request: Any, tmp_path: Path, store: Store) -> bytes:
    """Return all bytes that a store has of an agent."""
    kind = section["type"]
    if kind == "in-memory":
        return repr(vars(store.memories) | {"_marks": None}).encode()
    if kind == "filesystem":
        files = [file for file in Path(section["path"]).rglob("*") if file.is_file()]
        return b"".join(file.name.encode() + file.read_bytes() for file in files)
    if kind == "redis":
        client = redis_client.Redis(port=section["port"])
        keys = list(client.scan_iter(match=f"{section['keyPrefix']}*"))
        return b"".join(key + (client.dump(key) or b"") for key in keys)
    connection = await asyncpg.connect(
        host="127.0.0.1", port=section["port"], user="agent", database="postgres"
    )
    found = b""
    for name in ("sessions", "messages", "runs", "events", "pauses", "memories", "memory_marks"):
        rows = await connection.fetch(f"SELECT t::text FROM {section['schema']}.{name} t")
        found += b"".join(row[0].encode() for row in rows)
    await connection.close()
    return found


async def test_runs_of_a_user_are_found_and_deleted(section):
    async with opened(section) as store:
        for n, user in enumerate(["ann", "ann", "bob", 'an"n']):
            run = Run(id=f"r{n}", user=user, session="s", status="waiting", result={"x": "ann"})
            await store.runs.put(run, [Event(1, "token", b"{}")], 60)
        assert sorted(run.id for run in await store.runs.of("ann")) == ["r0", "r1"]
        assert [run.id for run in await store.runs.of('an"n')] == ["r3"]
        await store.runs.remove("r0")
        await store.runs.remove("r0")
        assert await store.runs.get("r0") is None
        assert await store.runs.events("r0", 0) == []
        assert [run.id for run in await store.runs.of("ann")] == ["r1"]
        assert await store.runs.get("r2") is not None


async def test_a_database_needs_the_tables_of_memories_only_where_something_is_remembered(postgres):
    section = {"type": "postgres", "host": "127.0.0.1", "port": postgres.port}
    section |= {"database": "postgres", "username": "agent", "schema": "forgetful"}
    async with opened(section) as store:
        await store.backend.ping()
        assert await store.memories.remove("ann") == 0
        assert await store.memories.expire() == 0
        names = "SELECT to_regclass('forgetful.memories')"
        assert await store.backend.client.do(lambda connection: connection.fetchval(names)) is None
    async with opened(section, memory_seconds=SECONDS) as store:
        await store.backend.ping()
        await store.memories.write("ann", "", [noted("a")])
        drop = "DROP TABLE forgetful.memory_marks"
        await store.backend.client.do(lambda connection: connection.execute(drop))
        with pytest.raises(StoreError, match=r"missing: forgetful\.memory_marks; restore"):
            await store.backend.ping()


@pytest.mark.parametrize(
    "row", [b"", b"[]", b"{}", memory_json(noted("a")).replace(b'"hits":0', b'"hits":"0"')]
)
def test_what_cannot_be_read_is_passed_over(row):
    assert read_memory(row) is None
