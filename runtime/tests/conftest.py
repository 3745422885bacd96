"""What every test of the runtime shares."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def _engine(name: str) -> Iterator[int]:
    """Start a server of our own, before an engine in a locked Python of its own, and yield its port."""
    script = Path(__file__).with_name(f"{name}_server.py")
    with subprocess.Popen(
        [tool(name), script, KEY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        yield int(process.stdout.readline())
        process.stdin.close()


@pytest.fixture(scope="session")
def qdrant() -> Iterator[int]:
    """Yield the port of Qdrant's engine behind its models, which take no unknown member."""
    with _engine("qdrant") as port:
        yield port


@pytest.fixture(scope="session")
def milvus() -> Iterator[int]:
    """Yield the port of Milvus Lite's engine behind the REST API of Milvus, which takes no unknown member here."""
    with _engine("milvus") as port:
        yield port
