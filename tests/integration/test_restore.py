"""A provisioned Redis starts from the dump in its volume, from its own files, or empty."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetform.plan.stores import restoring
from runtime.tests.servers import redis_binary
from tests.ports import free_port


@pytest.fixture
def tools(tmp_path):
    """A folder for PATH with the server and its client, wherever they are."""
    server = Path(redis_binary())
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("redis-server", "redis-cli"):
        (folder / name).symlink_to(server.with_name(name))
    return folder


class Redis:
    def __init__(self, tools: Path, port: int) -> None:
        self.tools, self.port = tools, port

    def __call__(self, *words: str) -> str:
        command = [self.tools / "redis-cli", "-p", str(self.port), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


@contextmanager
def started(tools: Path, data: Path, mode: str = "yes") -> Iterator[Redis]:
    """Run the script of the pod on a folder, until its server answers."""
    redis = Redis(tools, free_port())
    words = ["redis-server", "--dir", str(data), "--appendonly", mode, "--port", str(redis.port)]
    script = restoring(str(data)).replace("/tmp/restoring.sock", f"{tools.parent}/sock")
    environment = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(
        ["sh", "-c", script, *words], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 300
        while redis("ping") != "PONG":
            assert process.poll() is None, "it ended"
            assert time.monotonic() < until
            time.sleep(0.05)
        yield redis
    finally:
        process.terminate()
        process.wait(300)


def dumped(tools: Path, folder: Path) -> bytes:
    """Return a dump of 1,000 keys."""
    folder.mkdir()
    with started(tools, folder, "no") as redis:
        redis("debug", "populate", "1000")
        redis("set", "session", "kept")
        redis("save")
    return (folder / "dump.rdb").read_bytes()


def test_a_dump_in_an_empty_volume_is_loaded_and_stays(tools, tmp_path):
    data = tmp_path / "data"
    dump = dumped(tools, tmp_path / "source")
    data.mkdir()
    (data / "dump.rdb").write_bytes(dump)
    with started(tools, data) as redis:
        assert redis("dbsize") == "1001"
        redis("set", "later", "too")
    with started(tools, data) as redis:  # from its own files now, which know more
        assert (redis("dbsize"), redis("get", "later")) == ("1002", "too")
    assert not (data / "restoring").exists()


def test_what_an_interrupted_restore_left_is_no_excuse(tools, tmp_path):
    data = tmp_path / "data"
    dump = dumped(tools, tmp_path / "source")
    (data / "restoring").mkdir(parents=True)
    (data / "restoring/appendonly.aof").write_text("half")
    (data / "dump.rdb").write_bytes(dump)
    with started(tools, data) as redis:
        assert redis("get", "session") == "kept"


def test_own_files_win_over_a_dump(tools, tmp_path):
    dump = dumped(tools, tmp_path / "source")
    data = tmp_path / "data"
    data.mkdir()
    with started(tools, data) as redis:
        redis("set", "newer", "yes")
    (data / "dump.rdb").write_bytes(dump)
    with started(tools, data) as redis:
        assert redis("dbsize") == "1"


def test_a_broken_dump_starts_nothing_and_stays(tools, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "dump.rdb").write_bytes(b"REDIS0009 broken")
    with pytest.raises(AssertionError, match="it ended"), started(tools, data):
        pass
    assert (data / "dump.rdb").read_bytes() == b"REDIS0009 broken"
    assert not [*data.glob("appendonly*")]
