"""What every test of the runtime shares."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.tests.collections_of import KEY
from runtime.tests.servers import PostgresServer, RedisServer
from tests.tools import tool


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def qdrant() -> Iterator[int]:
    """Yield the port of Qdrant's engine behind its models, which take no unknown member."""
    script = Path(__file__).with_name("qdrant_server.py")
    with subprocess.Popen(
        [tool("qdrant"), script, KEY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        yield int(process.stdout.readline())
        process.stdin.close()
