"""An MCP server in another container is used through pipes: by the very command that its container has."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from fleetform_runtime.places import BESIDE
from fleetform_runtime.tools.mcp import protocol
from fleetform_runtime.tools.mcp.duplex import DuplexTransport
from fleetform_runtime.tools.mcp.pipes import PipeChannel
from fleetform_runtime.tools.mcp.protocol import DownError
from runtime.tests.harness import serving, until
from runtime.tests.servers import PATIENCE
from runtime.tests.test_mcp import SCRIPT, use
from runtime.tests.test_tools import result

pytestmark = pytest.mark.anyio
THINGS = (sys.executable, SCRIPT, "stdio")


@contextmanager
def container(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run what the server's container runs, with a folder of this machine."""
    process = subprocess.Popen([*BESIDE, str(folder), *words], stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def section(folder: Path, **fields: Any) -> dict[str, Any]:
    return {"name": "things", "transport": "pipes", "directory": str(folder)} | fields


async def test_a_server_in_another_container_is_used_and_comes_back(tmp_path):
    with container(tmp_path, *THINGS) as shell:
        async with serving(mcpServers=[section(tmp_path)]) as client:
            await until(lambda: client.application.tools.servers.unreachable() == [])
            await use(client)
            found = subprocess.run(
                ["pgrep", "-P", str(shell.pid)], capture_output=True, text=True, check=True
            )
            os.kill(int(found.stdout.split()[0]), 9)
            await until(
                lambda: client.application.tools.servers._servers[0]._transport._channel is None
            )
            assert (await result(client, {"a": 1, "b": 1}, name="add"))["content"] == "2"


async def test_each_agent_that_connects_finds_a_server_of_its_own(tmp_path):
    with container(tmp_path, *THINGS):
        for _ in range(2):
            async with serving(mcpServers=[section(tmp_path)]) as client:
                await until(lambda: client.application.tools.servers.unreachable() == [])
                assert (await result(client, {"a": 1, "b": 1}, name="add"))["content"] == "2"


def test_it_is_used_in_the_loop_that_the_image_runs(tmp_path):
    async def asked() -> Any:
        transport = DuplexTransport(lambda: PipeChannel(str(tmp_path)))
        try:
            async with asyncio.timeout(PATIENCE):
                return await transport.request("tools/list", {})
        finally:
            await transport.close()

    with container(tmp_path, *THINGS), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert {tool["name"] for tool in runner.run(asked())["tools"]} > {"add", "wipe"}


async def test_a_server_that_does_not_start_is_down_and_ends_when_it_is_told(tmp_path):
    with container(tmp_path, "/no/such/server") as shell:
        async with serving(mcpServers=[section(tmp_path)]) as client:
            ready = await client.get("/health/ready")
            assert (ready.status, ready.json["unreachable"]) == (200, ["things"])
        assert shell.poll() is None
    assert shell.returncode == 0


@pytest.mark.parametrize("name", ["in", "out"])
async def test_what_is_no_pipe_is_neither_read_nor_written(tmp_path, name):
    kept, place = tmp_path / "kept", tmp_path / name
    kept.write_text("mine")
    channel = PipeChannel(str(tmp_path))
    place.symlink_to(kept)
    for mode in (os.O_RDONLY, os.O_WRONLY):  # as if it had come after the look for it
        with pytest.raises(OSError, match="symbolic links"):
            channel._opened(name, mode)
    place.unlink()
    place.write_text("mine")
    with pytest.raises(DownError):
        channel._opened(name, os.O_RDONLY)
    place.unlink()
    place.symlink_to(kept)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await channel.open()
    assert place.is_fifo()
    assert not place.is_symlink()
    assert kept.read_text() == "mine"


async def test_lines_that_are_too_long_end_the_connection(tmp_path):
    text = f"head -c {protocol.LARGEST_MESSAGE + 2} /dev/zero | tr '\\0' x; cat"
    with container(tmp_path, "/bin/sh", "-c", text):
        transport = DuplexTransport(lambda: PipeChannel(str(tmp_path)))
        with pytest.raises(DownError):
            await transport.request("tools/list", {})
        await transport.close()
