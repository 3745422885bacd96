"""Every store keeps the same promises about conversations."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from fleetform_runtime.messages import (
    Assistant,
    Citation,
    ToolCall,
    ToolResult,
    ToolResults,
    User,
    dump,
    load,
)
from fleetform_runtime.store import (
    ConflictError,
    FullError,
    Run,
    UnreadableRecordError,
    read_session,
    session_json,
)
from fleetform_runtime.store.parts import Store
from runtime.tests.stores import BACKENDS, HERE, POLICY, Clock, Removed, memory, opened, rows

pytestmark = pytest.mark.anyio


@pytest.fixture(params=BACKENDS)
def section(request, tmp_path):
    return memory(request.param, request, tmp_path)


async def test_messages_are_appended_and_read_back_newest_first_cut(section):
    async with opened(section) as store:
        first = await store.conversations.append(HERE, rows("a", "b"))
        second = await store.conversations.append(first, rows("c"), first.revision)
        assert (second.revision, second.messages) == (2, 3)
        session, found = await store.conversations.load("ann", "s1", -1)
        assert session == second
        assert [load(row).content for row in found] == ["a", "b", "c"]
        _, newest = await store.conversations.load("ann", "s1", 2)
        assert [load(row).content for row in newest] == ["b", "c"]
        assert (await store.conversations.load("ann", "s1", 0))[1] == []
        assert [load(row).content for row in await store.conversations.page("ann", "s1", 1, 1)] == [
            "b"
        ]
        assert await store.conversations.page("ann", "s1", 7, 5) == []


async def test_a_session_is_its_users_alone(section):
    async with opened(section) as store:
        await store.conversations.append(HERE, rows("a"))
        assert await store.conversations.load("bob", "s1", -1) is None
        assert await store.conversations.page("bob", "s1", 0, 9) == []
        assert not await store.conversations.delete("bob", "s1")
        assert await store.conversations.recent("bob", 0, 9) == ([], 0)
        bobs = await store.conversations.append(replace(HERE, user="bob"), rows("x"))
        assert bobs.messages == 1
        assert await store.conversations.delete("ann", "s1")
        assert await store.conversations.load("ann", "s1", -1) is None
        assert await store.conversations.load("bob", "s1", -1) is not None


async def test_writers_at_once_lose_nothing(section):
    async with opened(section) as store:
        await store.conversations.create(HERE)

        async def write(index: int) -> None:
            while True:
                session, _ = await store.conversations.load("ann", "s1", 0)
                try:
                    await store.conversations.append(
                        session, rows(f"{index}a", f"{index}b"), session.revision
                    )
                except ConflictError:
                    continue
                return

        await asyncio.gather(*(write(index) for index in range(8)))
        session, found = await store.conversations.load("ann", "s1", -1)
        texts = [load(row).content for row in found]
        assert session.messages == 16
        assert sorted(texts) == sorted(f"{i}{x}" for i in range(8) for x in "ab")
        assert all(texts[i][0] == texts[i + 1][0] for i in range(0, 16, 2))


async def test_a_revision_that_is_not_the_stored_one_is_a_conflict(section):
    async with opened(section) as store:
        first = await store.conversations.append(HERE, rows("a"))
        with pytest.raises(ConflictError):
            await store.conversations.append(first, rows("b"), 7)
        with pytest.raises(ConflictError):
            await store.conversations.update(replace(first, title="new"), 7)
        with pytest.raises(ConflictError):
            await store.conversations.update(replace(first, id="other"))
        with pytest.raises(ConflictError):
            await store.conversations.create(HERE)
        with pytest.raises(ConflictError):
            await store.conversations.append(replace(HERE, id="other"), rows("b"), 1)
        assert (await store.conversations.load("ann", "s1", -1))[0] == first


async def test_of_writers_who_want_the_same_one_is_the_first(section):
    clock = Clock()  # not even the time tells them apart
    async with opened(section, clock) as store:
        made = await store.conversations.append(HERE, rows("a"))

        async def change() -> bool:
            try:
                await store.conversations.update(replace(made, title="same"), made.revision)
            except ConflictError:
                return False
            return True

        async def add() -> bool:
            try:
                await store.conversations.append(again, rows("b"), again.revision)
            except ConflictError:
                return False
            return True

        assert sorted(await asyncio.gather(*(change() for _ in range(6)))) == [False] * 5 + [True]
        again, _ = await store.conversations.load("ann", "s1", 0)
        assert sorted(await asyncio.gather(*(add() for _ in range(6)))) == [False] * 5 + [True]
        assert len((await store.conversations.load("ann", "s1", -1))[1]) == 2


async def test_what_waits_for_a_person_is_kept_and_dropped(section):
    pending = [PENDING | {"run_id": name, "rows": ["{}"]} for name in ("r1", "r2")]
    async with opened(section) as store:
        waiting = await store.conversations.append(replace(HERE, pending=pending), rows("a"))
        assert (await store.conversations.load("ann", "s1", 0))[0].pending == pending
        claimed = await store.conversations.update(
            replace(waiting, pending=pending[1:], title="x"), waiting.revision
        )
        assert claimed.pending == pending[1:]
        assert (await store.conversations.load("ann", "s1", 0))[0] == claimed


async def test_turns_that_are_not_over_are_kept_beside_the_conversation(section):
    turns = [{"run_id": "r1", "rows": ['{"a"']}, {"run_id": "r2", "rows": [], "ended": True}]
    async with opened(section) as store:
        begun = await store.conversations.append(replace(HERE, turns=turns), [])
        assert (begun.messages, begun.parked) == (0, [b'{"a"'])
        assert (await store.conversations.load("ann", "s1", -1))[0] == begun
        renamed = await store.conversations.update(replace(begun, title="x"), begun.revision)
        assert renamed.turns == turns
        ended = await store.conversations.append(replace(renamed, turns=turns[1:]), rows("a"))
        assert (await store.conversations.load("ann", "s1", 0))[0] == ended
        assert (ended.messages, ended.turns) == (1, turns[1:])


def test_a_session_of_an_earlier_version_has_no_turns():
    row = orjson.loads(session_json(HERE))
    del row["turns"]
    assert read_session(orjson.dumps(row)) == HERE


@pytest.mark.parametrize("poison", [1, "x", {"a": 1}, [1], [{}], [{"run_id": "r", "rows": [1]}]])
def test_forged_turns_are_told_from_good_ones(poison):
    row = orjson.loads(session_json(HERE)) | {"turns": poison}
    with pytest.raises(UnreadableRecordError):
        read_session(orjson.dumps(row))


PENDING = {
    "run_id": "r",
    "expires": 5.5,
    "order": ["c"],
    "done": [],
    "calls": [{"id": "c", "name": "t", "arguments": '{"a":[]}', "type": "approval"}],
}


@pytest.mark.parametrize("pending", [None, PENDING, PENDING | {"order": ["c", "d"], "done": [
    {"id": "d", "name": "t", "content": "", "outcome": "ok", "images": [{"type": "image", "url": "https://x"}]},
]}])  # fmt: skip
def test_what_waited_for_a_person_in_an_earlier_version_still_does(pending):
    row = orjson.loads(session_json(HERE))
    assert row["pending"] is None
    session = read_session(orjson.dumps(row | {"pending": pending}))
    assert session.waiting == ([pending] if pending else [])
    assert session.parked == []


@pytest.mark.parametrize(
    "poison", [1, "x", [1], [[PENDING]], {}, [PENDING | {"rows": [1]}], [PENDING | {"claimed": ""}]]
)
def test_forged_calls_are_told_from_good_ones(poison):
    row = orjson.loads(session_json(HERE)) | {"pending": poison}
    with pytest.raises(UnreadableRecordError):
        read_session(orjson.dumps(row))


async def test_sessions_are_listed_by_last_use_and_the_oldest_makes_room(section):
    clock = Clock()
    async with opened(section, clock) as store:
        for name in ("one", "two", "three"):
            clock.now += 1
            await store.conversations.append(replace(HERE, id=name), rows(name))
        clock.now += 1
        await store.conversations.append(
            (await store.conversations.load("ann", "one", 0))[0], rows("again")
        )
        found, total = await store.conversations.recent("ann", 0, 2)
        assert ([item.id for item in found], total) == (["one", "three"], 3)
        found, _ = await store.conversations.recent("ann", 2, 2)
        assert [item.id for item in found] == ["two"]
        clock.now += 1
        await store.conversations.create(replace(HERE, id="four"))
        found, total = await store.conversations.recent("ann", 0, 9)
        assert [item.id for item in found] == ["four", "one", "three"]
        assert await store.conversations.load("ann", "two", -1) is None


async def test_sessions_end_some_time_behind_their_last_message(section):
    clock = Clock()
    async with opened(section, clock) as store:
        await store.conversations.append(HERE, rows("a"))
        clock.now += 99
        if section["type"] != "redis":  # Redis counts by its own clock
            assert await store.conversations.load("ann", "s1", -1) is not None
            clock.now += 2
            assert await store.conversations.load("ann", "s1", -1) is None
        clock.now += 2
        assert await store.conversations.recent("ann", 0, 9) == ([], 0)


async def test_the_process_keeps_no_more_than_it_may():
    removed = Removed()
    limits = {"maxSessions": 5, "maxBytes": 2_000_000, "policy": {"maxSessionsPerUser": 100}}
    async with opened({"type": "in-memory"} | limits, removed=removed) as store:
        held = store.conversations
        for n in range(8):
            await held.append(replace(HERE, id=f"s{n}", user=f"u{n % 2}"), rows("x" * 100))
        assert await _names(store, "u0", "u1") == ["s6", "s4", "s7", "s5", "s3"]
        assert removed == {"sessions": 3}
        assert await held.load("u0", "s4", 1) is not None  # in use: not the next to go
        for n in range(3):
            await held.append(replace(HERE, id=f"big{n}"), rows("x" * 600_000))
        assert await _names(store, "u0", "u1", "ann") == ["s4", "s7", "big2", "big1", "big0"]
        await held.append(replace(HERE, id="big3"), rows("x" * 600_000))
        assert removed == {"sessions": 7, "bytes": 2}
        assert await _names(store, "u0", "u1", "ann") == ["big3", "big2", "big1"]


async def _names(store: Store, *users: str) -> list[str]:
    found = [await store.conversations.recent(user, 0, 99) for user in users]
    return [session.id for sessions, _ in found for session in sessions]


async def test_a_session_that_is_too_large_alone_stays_as_it_is():
    async with opened({"type": "in-memory", "maxBytes": 1_048_576}) as store:
        held = store.conversations
        other = await held.append(replace(HERE, id="other"), rows("a"))
        made = await held.append(HERE, rows("x" * 600_000))
        with pytest.raises(FullError, match=r"memory\.maxBytes"):
            await held.append(made, rows("x" * 600_000), made.revision)
        assert (await held.load("ann", "s1", 0))[0] == made
        assert (await held.load("ann", "other", 0))[0] == other
        await held.append(made, rows("x"), made.revision)
        for name in ("s1", "other"):
            assert await held.delete("ann", name)
        assert held._bytes == 0


async def test_sessions_that_nobody_touches_are_deleted_in_time(section, tmp_path):
    clock, removed = Clock(), Removed()
    if section["type"] == "redis":  # it counts by its own clock
        section["policy"] = POLICY | {"sessionTtlSeconds": 0.05}
    async with opened(section, clock, removed) as store:
        for name in ("s1", "s2"):
            await store.conversations.append(replace(HERE, id=name), rows("a"))
        clock.now += 60
        await store.conversations.append(replace(HERE, user="bob"), rows("a"))
        clock.now += 41
        if section["type"] == "redis":
            await asyncio.sleep(1.2)
        count = await store.conversations.expire()
        left = await traces(store, section)
        if section["type"] == "redis":
            assert left == 0
        else:
            assert (count, left, removed) == (2, 1, {"expired": 2})
            assert len((await store.conversations.load("bob", "s1", -1))[1]) == 1


async def traces(store: Store, section: dict[str, Any]) -> int:
    """Return how many sessions a store has, whether they can be found or not."""
    held: Any = store.conversations
    if section["type"] == "redis":
        return len(await held._client._pool.redis.keys(f"{section['keyPrefix']}*"))
    if section["type"] == "postgres":
        return int(
            await held._client.do(
                lambda c: c.fetchval(held._sql("SELECT count(*) FROM {schema}.messages"))
            )
        )
    if section["type"] == "filesystem":
        return len(list(Path(section["path"]).rglob("sessions/*/*.jsonl")))
    return len(held._sessions)


async def test_redis_forgets_by_itself(request, tmp_path):
    section = memory("redis", request, tmp_path)
    section["policy"] = {"sessionTtlSeconds": 0.2}
    async with opened(section) as store:
        await store.conversations.append(HERE, rows("a"))
        assert await store.conversations.load("ann", "s1", -1) is not None
        await asyncio.sleep(0.3)
        assert await store.conversations.load("ann", "s1", -1) is None


@pytest.mark.parametrize("backend", ["filesystem", "redis", "postgres"])
async def test_a_restart_finds_everything(backend, request, tmp_path):
    section = memory(backend, request, tmp_path)
    run = Run(id="r1", user="ann", session="s1", status="waiting", created=2.5)
    async with opened(section) as store:
        made = await store.conversations.append(HERE, rows("a", "b"))
        await store.conversations.create(replace(HERE, id="gone"))
        await store.conversations.delete("ann", "gone")
        await store.runs.put(run, [], 60)
    async with opened(section) as store:
        session, found = await store.conversations.load("ann", "s1", -1)
        assert session == made
        assert [load(row).content for row in found] == ["a", "b"]
        assert await store.conversations.load("ann", "gone", -1) is None
        assert await store.runs.get("r1") == run


async def test_odd_names_and_texts_come_back(section):
    async with opened(section) as store:
        user = "../ü\u2028 gateway/x@y"
        session = replace(HERE, user=user, id="-_A9", title="\u0000 \ufffe 👍🏽 " + "x" * 9000)
        await store.conversations.append(session, rows("\u0000\n\r\u2028 👍🏽"))
        found, read = await store.conversations.load(user, "-_A9", -1)
        assert found.title == session.title
        assert load(read[0]).content == "\u0000\n\r\u2028 👍🏽"


@pytest.mark.parametrize("backend", ["redis", "postgres"])
async def test_poisoned_rows_are_told_from_good_ones(backend, request, tmp_path):
    section = memory(backend, request, tmp_path)
    async with opened(section) as store:
        await store.conversations.append(HERE, rows("a"))
        for poison in (b"{", b"null", b"[]", b'{"id": 1}', b"\xff" if backend == "redis" else b"-"):
            if backend == "redis":
                await store.conversations._client._pool.redis.set(
                    store.conversations._keys("ann", "s1")[0], poison
                )
            else:
                sql = store.conversations._sql("UPDATE {schema}.sessions SET meta=$1")
                await store.backend.client._pool.execute(sql, poison.decode())
            with pytest.raises(UnreadableRecordError):
                await store.conversations.load("ann", "s1", -1)
        if backend == "redis":
            await store.conversations._client._pool.redis.delete(
                store.conversations._keys("ann", "s1")[0]
            )
            await store.conversations._client._pool.redis.lpush(
                store.conversations._keys("ann", "s1")[0], b"x"
            )
            with pytest.raises(UnreadableRecordError):
                await store.conversations.load("ann", "s1", -1)


def test_every_kind_of_message_comes_back():
    messages = [
        User("hello"),
        Assistant(
            "x", "thought", [ToolCall("1", "t", '{"a": 1}')], model="gpt", finish="tool_calls"
        ),
        ToolResults([ToolResult("1", "t", "done", "error")]),
        ToolResults([ToolResult("1", "t", "done", duration_ms=1.5)]),
        ToolResults([ToolResult("1", "t", "done", citations=(Citation(1, "a.md", "A", 0.5),))]),
    ]
    for message in messages:
        again = load(dump(message))
        again.at = message.at
        assert again == message
        message.at = "2026-11-29T12:00:00.000Z"
        assert dump(load(dump(message))) == dump(message)
