"""A folder as a store: whole lines, names of their own, and one user who does not hold up another."""

import asyncio
import io
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fleetform_runtime.messages import User, dump, load
from fleetform_runtime.store import StoreError
from fleetform_runtime.store.filesystem import conversations, files
from runtime.tests.stores import HERE, memory, opened, rows

pytestmark = pytest.mark.anyio


@pytest.fixture
def section(request, tmp_path):
    return memory("filesystem", request, tmp_path)


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
    assert files.tail(file, limit) == wanted
    assert file.total <= sum(map(len, wanted)) + len(wanted) + 2 * 65_536


@pytest.mark.parametrize("start", [0, 1, 4, 5, 6])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_page_is_read_without_what_is_behind_it(start, count, tmp_path):
    lines = [b"%d" % n for n in range(5)]
    file = tmp_path / "f"
    file.write_bytes(b"".join(line + b"\n" for line in lines) + b"half")
    assert files.page(file, start, count) == lines[start : start + count]


def test_no_name_has_the_file_of_another():
    """Not even where case does not count; a user may be called what the hash of another one's name is."""
    hashed = files.safe("a/b")
    names = ["a/b", hashed, "a", "A", "_", "_a", "a/b ", hashed.upper(), hashed[1:], "", ".", ".."]
    made = {files.safe(name).lower() for name in names}
    assert len(made) == len(names)
    assert not made & {"", ".", ".."}


async def test_files_of_earlier_versions_get_their_names(section):
    async with opened(section) as store:
        await store.conversations.append(replace(HERE, user="Ann", id="S-1"), rows("a"))
        root, file = Path(section["path"]) / "sessions", store.conversations._file("Ann", "S-1")
    (root / "Ann").mkdir()
    file.rename(root / "Ann" / "S-1.jsonl")
    async with opened(section) as store:
        assert len((await store.conversations.load("Ann", "S-1", -1))[1]) == 1
        assert file.exists()


async def test_the_work_of_one_user_does_not_hold_up_another(section):
    held, begun = threading.Event(), threading.Event()

    def long_work() -> None:
        begun.set()
        held.wait()

    async with opened(section) as store:
        await store.conversations.append(replace(HERE, user="bob"), rows("a"))
        try:
            slow = asyncio.create_task(store.backend.do("ann", long_work))
            behind = [
                asyncio.create_task(store.conversations.recent("ann", 0, 9)) for _ in range(20)
            ]
            await asyncio.to_thread(begun.wait)
            assert (await store.conversations.recent("bob", 0, 9))[1] == 1
            await store.backend.ping()
            assert not any(task.done() for task in behind)
        finally:
            held.set()
        await slow
        assert [await task for task in behind] == [([], 0)] * 20


async def test_work_that_takes_too_long_is_ended_before_the_next(section, monkeypatch):
    """Nobody waits for it any more, but two threads never write to the files of one user."""
    monkeypatch.setattr("fleetform_runtime.store.filesystem.backend.OPERATION_SECONDS", 0.05)
    held, order = threading.Event(), []

    def long_work() -> None:
        held.wait()
        order.append("first")

    async with opened(section) as store:
        with pytest.raises(StoreError):
            await store.backend.do("ann", long_work)
        with pytest.raises(StoreError):
            await store.backend.do("ann", lambda: order.append("never"))
        held.set()
        monkeypatch.setattr("fleetform_runtime.store.filesystem.backend.OPERATION_SECONDS", 120)
        await store.backend.do("ann", lambda: order.append("second"))
        assert order == ["first", "second"]


async def test_the_index_does_not_grow_with_what_is_said(section, monkeypatch):
    monkeypatch.setattr(conversations, "SPARE_LINES", 5)
    index = Path(section["path"]) / "sessions.jsonl"
    async with opened(section) as store:
        for n in range(10):
            made = await store.conversations.append(HERE, rows(str(n)))
        assert len(index.read_bytes().splitlines()) == 10
        await store.conversations.expire()
        assert len(index.read_bytes().splitlines()) == 1
    async with opened(section) as store:
        assert (await store.conversations.load("ann", "s1", 0))[0] == made


async def test_the_index_is_written_anew_when_its_lines_are_long(section, monkeypatch):
    monkeypatch.setattr(conversations, "SPARE_BYTES", 10_000)
    index = Path(section["path"]) / "sessions.jsonl"
    asked = replace(HERE, turns=[{"run_id": "r", "rows": ["x" * 6_000]}])
    async with opened(section) as store:
        for session in (asked, HERE, asked, HERE):
            await store.conversations.append(session, [])
        assert index.stat().st_size > 12_000
        await store.conversations.expire()
        assert index.stat().st_size < 1_000


async def test_nothing_that_was_asked_outlives_its_session(section):
    index = Path(section["path"]) / "sessions.jsonl"
    async with opened(section) as store:
        turns = [{"run_id": "r", "rows": ["secret"]}]
        await store.conversations.append(replace(HERE, turns=turns), [])
        await store.conversations.append(replace(HERE, id="s2"), [])
        assert b"secret" in index.read_bytes()
        await store.conversations.delete("ann", "s1")
        await store.conversations.expire()
        assert b"secret" not in index.read_bytes()
        assert (await store.conversations.recent("ann", 0, 9))[1] == 1


async def test_a_line_that_was_cut_off_never_counted(tmp_path, request):
    section = memory("filesystem", request, tmp_path)
    async with opened(section) as store:
        made = await store.conversations.append(HERE, rows("a"))
        file = store.conversations._file("ann", "s1")
        with file.open("ab") as stream:
            stream.write(dump(User("half"))[:-5])
        assert len((await store.conversations.load("ann", "s1", -1))[1]) == 1
        await store.conversations.append(made, rows("b"), made.revision)
        found = (await store.conversations.load("ann", "s1", -1))[1]
        assert [load(row).content for row in found] == ["a", "b"]


async def test_a_full_disk_refuses_and_keeps_what_was_there(tmp_path, request, monkeypatch):
    section = memory("filesystem", request, tmp_path)
    async with opened(section) as store:
        made = await store.conversations.append(HERE, rows("a"))
        real = os.pwrite

        def full(descriptor: int, data: bytes, offset: int) -> int:
            if len(data) > 3:
                return real(descriptor, data[:3], offset)
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(StoreError):
            await store.conversations.append(made, rows("b"), made.revision)
        monkeypatch.undo()
        session, found = await store.conversations.load("ann", "s1", -1)
        assert session == made
        assert [load(row).content for row in found] == ["a"]
        await store.conversations.append(made, rows("c"), made.revision)
