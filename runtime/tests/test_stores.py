"""Every store keeps the same promises."""

import asyncio
import io
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from fleetform_runtime.messages import (
    Assistant,
    ToolCall,
    ToolResult,
    ToolResults,
    User,
    dump,
    load,
)
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.store import (
    ConflictError,
    Event,
    Run,
    Session,
    Store,
    StoreError,
    UnreadableRecordError,
    filesystem,
)
from fleetform_runtime.store.build import build
from runtime.tests.harness import settings
from runtime.tests.servers import PostgresServer, RedisServer

pytestmark = pytest.mark.anyio
BACKENDS = ("in-memory", "filesystem", "redis", "postgres")
POLICY = {"sessionTtlSeconds": 100, "maxSessionsPerUser": 3}


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


def memory(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    section: dict[str, Any] = {"type": backend, "policy": POLICY}
    if backend == "filesystem":
        section["path"] = str(tmp_path / "sessions")
    elif backend == "redis":
        server = request.getfixturevalue("redis")
        section |= {"host": "127.0.0.1", "port": server.port, "keyPrefix": f"t{tmp_path.name}:"}
    elif backend == "postgres":
        server = request.getfixturevalue("postgres")
        section |= {"host": "127.0.0.1", "port": server.port, "database": "postgres"}
        section |= {
            "username": "agent",
            "schema": "s" + tmp_path.name.replace("-", "_")[-40:].lower(),
        }
    return section


@asynccontextmanager
async def opened(section: dict[str, Any], clock: Clock | None = None) -> AsyncIterator[Store]:
    store = build(settings(memory=section), Secrets({}))
    if clock is not None:
        for part in (store, getattr(store, "_runs", None)):
            if part is not None:
                part._clock = clock
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(params=BACKENDS)
def section(request, tmp_path):
    return memory(request.param, request, tmp_path)


def rows(*texts: str) -> list[bytes]:
    return [dump(User(text)) for text in texts]


HERE = Session(id="s1", user="ann", title="Hello", model="gpt")


async def test_messages_are_appended_and_read_back_newest_first_cut(section):
    async with opened(section) as store:
        first = await store.append(HERE, rows("a", "b"))
        second = await store.append(first, rows("c"), first.revision)
        assert (second.revision, second.messages) == (2, 3)
        session, found = await store.load("ann", "s1", -1)
        assert session == second
        assert [load(row).content for row in found] == ["a", "b", "c"]
        _, newest = await store.load("ann", "s1", 2)
        assert [load(row).content for row in newest] == ["b", "c"]
        assert (await store.load("ann", "s1", 0))[1] == []
        assert [load(row).content for row in await store.page("ann", "s1", 1, 1)] == ["b"]
        assert await store.page("ann", "s1", 7, 5) == []


async def test_a_session_is_its_users_alone(section):
    async with opened(section) as store:
        await store.append(HERE, rows("a"))
        assert await store.load("bob", "s1", -1) is None
        assert await store.page("bob", "s1", 0, 9) == []
        assert not await store.delete("bob", "s1")
        assert await store.sessions("bob", 0, 9) == ([], 0)
        bobs = await store.append(replace(HERE, user="bob"), rows("x"))
        assert bobs.messages == 1
        assert await store.delete("ann", "s1")
        assert await store.load("ann", "s1", -1) is None
        assert await store.load("bob", "s1", -1) is not None


async def test_writers_at_once_lose_nothing(section):
    async with opened(section) as store:
        await store.create(HERE)

        async def write(index: int) -> None:
            while True:
                session, _ = await store.load("ann", "s1", 0)
                try:
                    await store.append(session, rows(f"{index}a", f"{index}b"), session.revision)
                except ConflictError:
                    continue
                return

        await asyncio.gather(*(write(index) for index in range(8)))
        session, found = await store.load("ann", "s1", -1)
        texts = [load(row).content for row in found]
        assert session.messages == 16
        assert sorted(texts) == sorted(f"{i}{x}" for i in range(8) for x in "ab")
        assert all(texts[i][0] == texts[i + 1][0] for i in range(0, 16, 2))


async def test_a_revision_that_is_not_the_stored_one_is_a_conflict(section):
    async with opened(section) as store:
        first = await store.append(HERE, rows("a"))
        with pytest.raises(ConflictError):
            await store.append(first, rows("b"), 7)
        with pytest.raises(ConflictError):
            await store.update(replace(first, title="new"), 7)
        with pytest.raises(ConflictError):
            await store.update(replace(first, id="other"))
        with pytest.raises(ConflictError):
            await store.create(HERE)
        with pytest.raises(ConflictError):
            await store.append(replace(HERE, id="other"), rows("b"), 1)
        assert (await store.load("ann", "s1", -1))[0] == first


async def test_of_writers_who_want_the_same_one_is_the_first(section):
    clock = Clock()  # not even the time tells them apart
    async with opened(section, clock) as store:
        made = await store.append(HERE, rows("a"))

        async def change() -> bool:
            try:
                await store.update(replace(made, title="same"), made.revision)
            except ConflictError:
                return False
            return True

        async def add() -> bool:
            try:
                await store.append(again, rows("b"), again.revision)
            except ConflictError:
                return False
            return True

        assert sorted(await asyncio.gather(*(change() for _ in range(6)))) == [False] * 5 + [True]
        again, _ = await store.load("ann", "s1", 0)
        assert sorted(await asyncio.gather(*(add() for _ in range(6)))) == [False] * 5 + [True]
        assert len((await store.load("ann", "s1", -1))[1]) == 2


async def test_what_waits_for_a_person_is_kept_and_dropped(section):
    pending = {
        "run_id": "r",
        "expires": 5.5,
        "order": ["c"],
        "done": [],
        "calls": [{"id": "c", "name": "t", "arguments": '{"a":[]}', "type": "approval"}],
    }
    async with opened(section) as store:
        waiting = await store.append(replace(HERE, pending=pending), rows("a"))
        assert (await store.load("ann", "s1", 0))[0].pending == pending
        claimed = await store.update(replace(waiting, pending=None, title="x"), waiting.revision)
        assert claimed.pending is None
        assert (await store.load("ann", "s1", 0))[0] == claimed


async def test_sessions_are_listed_by_last_use_and_the_oldest_makes_room(section):
    clock = Clock()
    async with opened(section, clock) as store:
        for name in ("one", "two", "three"):
            clock.now += 1
            await store.append(replace(HERE, id=name), rows(name))
        clock.now += 1
        await store.append((await store.load("ann", "one", 0))[0], rows("again"))
        found, total = await store.sessions("ann", 0, 2)
        assert ([item.id for item in found], total) == (["one", "three"], 3)
        found, _ = await store.sessions("ann", 2, 2)
        assert [item.id for item in found] == ["two"]
        clock.now += 1
        await store.create(replace(HERE, id="four"))
        found, total = await store.sessions("ann", 0, 9)
        assert [item.id for item in found] == ["four", "one", "three"]
        assert await store.load("ann", "two", -1) is None


async def test_sessions_end_some_time_behind_their_last_message(section):
    clock = Clock()
    async with opened(section, clock) as store:
        await store.append(HERE, rows("a"))
        clock.now += 99
        if section["type"] != "redis":  # Redis counts by its own clock
            assert await store.load("ann", "s1", -1) is not None
            clock.now += 2
            assert await store.load("ann", "s1", -1) is None
        clock.now += 2
        assert await store.sessions("ann", 0, 9) == ([], 0)


async def test_the_process_keeps_no_more_than_it_may(monkeypatch):
    monkeypatch.setattr("fleetform_runtime.store.memory.MOST_BYTES", 10_000)
    section = {"type": "in-memory", "maxSessions": 5, "policy": {"maxSessionsPerUser": 100}}
    async with opened(section) as store:
        for n in range(8):
            await store.append(replace(HERE, id=f"s{n}", user=f"u{n % 2}"), rows("x" * 100))
        assert len(store._sessions) == 5
        for n in range(8, 12):
            await store.append(replace(HERE, id=f"s{n}"), rows("x" * 4_000))
        assert list(store._sessions) == [("ann", "s10"), ("ann", "s11")]
        await store.delete("ann", "s10")
        await store.delete("ann", "s11")
        assert (store._bytes, store._users) == (0, {})


async def test_redis_forgets_by_itself(request, tmp_path):
    section = memory("redis", request, tmp_path)
    section["policy"] = {"sessionTtlSeconds": 0.2}
    async with opened(section) as store:
        await store.append(HERE, rows("a"))
        assert await store.load("ann", "s1", -1) is not None
        await asyncio.sleep(0.3)
        assert await store.load("ann", "s1", -1) is None


async def test_runs_are_kept(section):
    run = Run(id="r1", user="ann", session="s1", status="waiting", created=2.5, result={"a": 1})
    async with opened(section) as store:
        assert await store.get_run("r1") is None
        events = [Event(1, "run_start", b'{"a":1}'), Event(2, "token", b'{"content":"\xc3\xa4"}')]
        await store.put_run(run, events, 60)
        assert await store.get_run("r1") == run
        await store.put_run(replace(run, status="succeeded"), [Event(3, "done", b"{}")], 60)
        assert (await store.get_run("r1")).status == "succeeded"
        if store.shared:
            assert await store.get_events("r1", 0) == [*events, Event(3, "done", b"{}")]
            assert await store.get_events("r1", 2) == [Event(3, "done", b"{}")]
            assert not await store.is_cancel_asked("r1")
            await store.ask_cancel("r1", 60)
            assert await store.is_cancel_asked("r1")


@pytest.mark.parametrize("backend", ["filesystem", "redis", "postgres"])
async def test_a_restart_finds_everything(backend, request, tmp_path):
    section = memory(backend, request, tmp_path)
    run = Run(id="r1", user="ann", session="s1", status="waiting", created=2.5)
    async with opened(section) as store:
        made = await store.append(HERE, rows("a", "b"))
        await store.create(replace(HERE, id="gone"))
        await store.delete("ann", "gone")
        await store.put_run(run, [], 60)
    async with opened(section) as store:
        session, found = await store.load("ann", "s1", -1)
        assert session == made
        assert [load(row).content for row in found] == ["a", "b"]
        assert await store.load("ann", "gone", -1) is None
        assert await store.get_run("r1") == run


async def test_odd_names_and_texts_come_back(section):
    async with opened(section) as store:
        user = "../ü\u2028 gateway/x@y"
        session = replace(HERE, user=user, id="-_A9", title="\u0000 \ufffe 👍🏽 " + "x" * 9000)
        await store.append(session, rows("\u0000\n\r\u2028 👍🏽"))
        found, read = await store.load(user, "-_A9", -1)
        assert found.title == session.title
        assert load(read[0]).content == "\u0000\n\r\u2028 👍🏽"


@pytest.mark.parametrize("backend", ["redis", "postgres"])
async def test_poisoned_rows_are_told_from_good_ones(backend, request, tmp_path):
    section = memory(backend, request, tmp_path)
    async with opened(section) as store:
        await store.append(HERE, rows("a"))
        for poison in (b"{", b"null", b"[]", b'{"id": 1}', b"\xff" if backend == "redis" else b"-"):
            if backend == "redis":
                await store._client._redis.set(store._keys("ann", "s1")[0], poison)
            else:
                sql = store._sql("UPDATE {schema}.sessions SET meta=$1")
                await store._client._pool.execute(sql, poison.decode())
            with pytest.raises(UnreadableRecordError):
                await store.load("ann", "s1", -1)
        if backend == "redis":
            await store._client._redis.delete(store._keys("ann", "s1")[0])
            await store._client._redis.lpush(store._keys("ann", "s1")[0], b"x")
            with pytest.raises(UnreadableRecordError):
                await store.load("ann", "s1", -1)


@pytest.mark.parametrize("backend", ["redis", "postgres"])
async def test_a_server_that_is_killed_and_comes_back_is_used_again(backend, request, tmp_path):
    server = RedisServer() if backend == "redis" else PostgresServer()
    with server:
        section: dict[str, Any] = {"type": backend, "host": "127.0.0.1", "port": server.port}
        if backend == "postgres":
            section |= {"database": "postgres", "username": "agent"}
        async with opened(section) as store:
            made = await store.append(HERE, rows("a"))
            server.stop()
            for _ in range(2):
                with pytest.raises(StoreError):
                    await store.load("ann", "s1", -1)
                with pytest.raises(StoreError):
                    await store.ping()
            server.start()
            session, _ = await store.load("ann", "s1", -1)
            assert session == made
            await store.append(made, rows("b"), made.revision)


async def test_a_database_without_its_tables_is_not_ready(postgres):
    """Restored into, or dropped by mistake: nothing could be answered, and nothing is created in its way."""
    section = {"type": "postgres", "host": "127.0.0.1", "port": postgres.port}
    section |= {"database": "postgres", "username": "agent", "schema": "restored"}
    connection = await asyncpg.connect(
        host="127.0.0.1", port=postgres.port, user="agent", database="postgres"
    )
    async with opened(section) as store:
        await store.ping()
        await connection.execute(
            "DROP TABLE restored.events; ALTER TABLE restored.runs RENAME TO x"
        )
        with pytest.raises(StoreError, match=r"missing: restored\.runs, restored\.events; restore"):
            await store.ping()
        await connection.execute("DROP SCHEMA restored CASCADE")
        with pytest.raises(StoreError, match=r"restored\.sessions"):
            await store.ping()
    await connection.close()
    async with opened(section) as store:
        await store.ping()


class Counted(io.BytesIO):
    """A file that counts the bytes that are read of it."""

    total = 0

    def open(self, mode: str) -> "Counted":
        assert mode == "rb"
        return self

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.total += len(found)
        return found

    def close(self) -> None:
        """Stay open for the next reader."""


@pytest.mark.parametrize("limit", [-1, 0, 1, 2, 3, 4, 5, 6])
def test_the_end_of_a_file_is_read_once(limit):
    """Long messages span many blocks: what was read before is not read again."""
    lines = [bytes([65 + n]) * size for n, size in enumerate((10, 300_000, 1_000_000, 65_535, 1))]
    file = Counted(b"".join(line + b"\n" for line in lines))
    wanted = lines if limit < 0 else lines[-limit:] if limit else []
    assert filesystem._tail(file, limit) == wanted
    assert file.total <= sum(map(len, wanted)) + len(wanted) + 2 * 65_536


def test_no_name_has_the_file_of_another():
    """A user may be called what the hash of another one's name is."""
    hashed = filesystem._safe("a/b")
    names = ["a/b", hashed, "a", "A", "_", "_a", "a/b ", hashed.upper(), hashed[1:]]
    assert len({filesystem._safe(name) for name in names}) == len(names)


async def test_a_line_that_was_cut_off_never_counted(tmp_path, request):
    section = memory("filesystem", request, tmp_path)
    async with opened(section) as store:
        made = await store.append(HERE, rows("a"))
        file = store._file("ann", "s1")
        with file.open("ab") as stream:
            stream.write(dump(User("half"))[:-5])
        assert len((await store.load("ann", "s1", -1))[1]) == 1
        await store.append(made, rows("b"), made.revision)
        found = (await store.load("ann", "s1", -1))[1]
        assert [load(row).content for row in found] == ["a", "b"]


async def test_a_full_disk_refuses_and_keeps_what_was_there(tmp_path, request, monkeypatch):
    section = memory("filesystem", request, tmp_path)
    async with opened(section) as store:
        made = await store.append(HERE, rows("a"))
        real = os.pwrite

        def full(descriptor: int, data: bytes, offset: int) -> int:
            if len(data) > 3:
                return real(descriptor, data[:3], offset)
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(StoreError):
            await store.append(made, rows("b"), made.revision)
        monkeypatch.undo()
        session, found = await store.load("ann", "s1", -1)
        assert session == made
        assert [load(row).content for row in found] == ["a"]
        await store.append(made, rows("c"), made.revision)


def test_every_kind_of_message_comes_back():
    messages = [
        User("hello"),
        Assistant(
            "x", "thought", [ToolCall("1", "t", '{"a": 1}')], model="gpt", finish="tool_calls"
        ),
        ToolResults([ToolResult("1", "t", "done", "error")]),
    ]
    for message in messages:
        again = load(dump(message))
        again.at = message.at
        assert again == message
