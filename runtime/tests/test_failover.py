"""Stores behind a Service whose primary moves, whose connections fall silent, or that are not what they should be."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from fleetform_runtime.http.health import Health
from fleetform_runtime.runs.erasing import erased
from fleetform_runtime.store import StoreError, UnreadableRecordError, UnsuitableStoreError
from fleetform_runtime.store.local import LocalBackend
from runtime.tests.harness import serving, until
from runtime.tests.pooler import Pooler
from runtime.tests.process import COMMAND, Runtime
from runtime.tests.servers import PATIENCE, PostgresServer, RedisServer, Server, redis_binary
from runtime.tests.service import Service
from runtime.tests.stores import HERE, made, memory, opened, rows

pytestmark = pytest.mark.anyio
SERVERS = ("redis", "postgres")


def section(backend: str, port: int, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"type": backend, "host": "127.0.0.1", "port": port} | fields
    if backend == "postgres":
        made |= {"database": "postgres", "username": "agent"}
    return made


async def ask(server: Server, *command: str) -> None:
    """Send a command to a Redis, as its operator."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    parts = [f"${len(part)}\r\n{part}\r\n" for part in command]
    writer.write(f"*{len(parts)}\r\n{''.join(parts)}".encode())
    answer = await reader.readline()
    writer.close()
    assert not answer.startswith(b"-"), answer


async def demote(server: Server, primary: Server) -> None:
    """Make a primary what a failover makes of it: it answers, and refuses to write."""
    if isinstance(server, RedisServer):
        await ask(server, "REPLICAOF", "127.0.0.1", str(primary.port))
        return
    connection = await asyncpg.connect(
        host="127.0.0.1", port=server.port, user="agent", database="postgres"
    )
    await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    await connection.execute("SELECT pg_reload_conf()")
    await until(lambda: _is_read_only(connection))
    await connection.close()


async def _is_read_only(connection: Any) -> bool:
    return bool(await connection.fetchval("SHOW default_transaction_read_only") == "on")


@asynccontextmanager
async def pair(backend: str) -> AsyncIterator[tuple[Server, Server, Service]]:
    """Two servers, and a Service that leads to the first."""
    make = RedisServer if backend == "redis" else PostgresServer
    with make() as one, make() as two:
        async with Service(one.port) as service:
            yield one, two, service


@pytest.mark.parametrize("backend", SERVERS)
async def test_chats_follow_the_primary(backend):
    async with (
        pair(backend) as (old, new, service),
        serving(memory=section(backend, service.port)) as client,
    ):
        session = (await client.chat("hello"))["session_id"]
        await asyncio.gather(*(client.chat(f"m{n}") for n in range(6)))  # several connections
        await demote(old, new)
        assert (await client.get("/health/ready")).json == {
            "status": "unready",
            "memory": "unreachable",
        }
        assert (await client.post("/chat", {"message": "x"})).json["code"] == "memory_unavailable"
        service.target = new.port
        replies = await asyncio.gather(*(client.post("/chat", {"message": "x"}) for _ in range(6)))
        assert [reply.status for reply in replies] == [200] * 6
        await until(lambda: _is_ready(client))
        assert await client.metric("agent_memory_reconnects_total") > 0
        if backend == "redis":  # what was there has gone with the old primary
            assert (await client.get(f"/sessions/{session}")).status == 404


async def _is_ready(client: Any) -> bool:
    return bool((await client.get("/health/ready")).status == 200)


@pytest.mark.parametrize("backend", SERVERS)
async def test_silent_connections_are_given_up_together(backend):
    fields = {"timeouts": {"requestSeconds": 0.5, "connectSeconds": 0.5}}
    async with pair(backend) as (_, _, service):
        async with opened(section(backend, service.port, **fields)) as store:
            await asyncio.gather(
                *(store.conversations.append(HERE, rows(str(n))) for n in range(5))
            )
            before = service.opened
            assert before > 1
            service.hush()
            session, _ = await store.conversations.load("ann", "s1", 0)
            assert session.messages == 5
            for _ in range(5):  # at once, and not one deadline for each of those that were open
                async with asyncio.timeout(PATIENCE):
                    await store.conversations.load("ann", "s1", -1)
            # PostgreSQL is also told, by a connection of its own, to cancel what does not answer.
            assert service.opened <= before + 2


@pytest.mark.parametrize("backend", SERVERS)
async def test_those_that_wait_for_a_silent_connection_get_a_new_one(backend):
    """More operations than connections: none of them fails for what the connections before it were like."""
    fields = {"poolSize": 3, "timeouts": {"requestSeconds": 1, "connectSeconds": 1}}
    async with pair(backend) as (_, _, service):
        async with opened(section(backend, service.port, **fields)) as store:
            await asyncio.gather(
                *(store.conversations.append(HERE, rows(str(n))) for n in range(3))
            )
            service.hush()
            found = await asyncio.gather(
                *(store.conversations.load("ann", "s1", 0) for _ in range(20))
            )
            assert {session.messages for session, _ in found} == {3}


@pytest.mark.parametrize("backend", SERVERS)
async def test_an_outage_is_told_once_and_ends_by_itself(backend, caplog):
    make = RedisServer if backend == "redis" else PostgresServer
    with make() as server:
        async with opened(section(backend, server.port)) as store:
            kept = await store.conversations.append(HERE, rows("a"))
            server.stop()
            caplog.clear()
            for _ in range(5):
                with pytest.raises(StoreError):
                    await store.conversations.load("ann", "s1", 0)
            assert len([line for line in caplog.messages if "opened anew" in line]) <= 1
            server.start()
            assert (await store.conversations.load("ann", "s1", 0))[0] == kept


async def test_a_start_at_a_server_that_only_reads_is_no_lasting_fault():
    async with pair("postgres") as (old, new, service):
        await demote(old, new)
        store = made(section("postgres", service.port))
        for _ in range(2):
            with pytest.raises(StoreError, match="read-only"):
                await store.backend.open()
        service.target = new.port
        await store.backend.open()
        await store.backend.ping()
        await store.backend.close()


@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
async def test_redis_of_another_kind_is_refused_with_the_reason(kind, tmp_path):
    with OtherRedis(kind) as server:
        with pytest.raises(UnsuitableStoreError, match=kind.title()):
            async with opened(section("redis", server.port)):
                """It is asked at once."""
        runtime = Runtime(tmp_path, memory=section("redis", server.port))
        command = [*COMMAND, "serve", "--config", str(runtime.config), "--model", "scripted"]
        ended = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, timeout=PATIENCE, check=False
        )
        assert ended.returncode == 1
        last = ended.stderr.decode().splitlines()[-1]
        assert last.startswith(f"error: {runtime.config}: memory: the server is a ")


async def test_a_server_that_becomes_unsuitable_is_told_by_readiness():
    with RedisServer() as server, OtherRedis("cluster") as other:
        async with Service(server.port) as service:
            async with serving(memory=section("redis", service.port)) as client:
                await client.chat("hello")
                service.target = other.port
                server.kill()
                await until(lambda: _says_unsuitable(client))
                answer = (await client.get("/health/ready")).json
                assert answer["reason"].startswith("the server is a node of a Redis Cluster")
                failed = await client.post("/chat", {"message": "x"})
                assert (failed.status, failed.json["code"]) == (503, "memory_unavailable")


async def _says_unsuitable(client: Any) -> bool:
    return bool((await client.get("/health/ready")).json.get("memory") == "unsuitable")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class OtherRedis(RedisServer):
    """A node of a cluster, or a sentinel."""

    def __init__(self, kind: str) -> None:
        options = ("--cluster-enabled", "yes") if kind == "cluster" else ()
        super().__init__(*options)
        while not _is_free(self.port + 10_000):  # where nodes of a cluster talk
            super().__init__(*options)
        if kind == "sentinel":
            file = Path(self.folder, "sentinel.conf")
            file.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n")
            self.command = [redis_binary(), str(file), "--sentinel"]


ASK = {"type": "human", "name": "ask", "description": "Asks.", "parameters": []}


async def test_an_account_of_redis_that_may_do_only_what_is_needed(tmp_path):
    """Whom it reaches it may not ask; what it may not write is told by readiness."""
    rights = ("on", ">secret", "~mine:*", "+@read", "+@write", "+evalsha", "+eval")
    with RedisServer("--user", "agent", *rights) as server:
        (tmp_path / "password").write_text("secret")
        fields = {"username": "agent", "password": {"file": str(tmp_path / "password")}}
        for prefix, status in (("mine:", 200), ("other:", 503)):
            memory = section("redis", server.port, keyPrefix=prefix, **fields)
            remembers = {"longTermMemory": {"user": "me"}, "tools": [ASK]}
            async with serving(memory=memory, **remembers) as client:
                assert (await client.get("/health/ready")).status == status
                assert (await client.post("/chat", {"message": "x"})).status == status
                assert (await client.post("/chat", {"message": "call ask {}"})).status == status
                for ask in (client.post("/memories", {"text": "x"}), client.get("/memories")):
                    assert (await ask).status // 100 * 100 == status // 100 * 100
                assert (await client.ask("DELETE", "/memories")).status == status
                if status == 200:
                    store = client.application.store
                    gone = await erased(store, "me")
                    assert (gone.sessions, gone.runs) == (2, 2)


async def test_a_pooler_that_shares_connections_by_transaction_is_served(postgres):
    async with Pooler(postgres.port, "agent", "postgres") as pooler:
        async with serving(memory=section("postgres", pooler.port, schema="pooled")) as client:
            session = (await client.chat("hello"))["session_id"]

            async def talk(number: int) -> None:
                for _ in range(4):
                    await client.chat(f"m{number}")

            await asyncio.gather(
                *(talk(n) for n in range(6)),
                *(client.chat(f"more {n}", session_id=session) for n in range(4)),
            )
            assert (await client.get(f"/sessions/{session}")).json["messages"] == 10
            assert (await client.get("/health/ready")).status == 200
            assert pooler.transactions > 50


async def test_a_pooler_that_comes_later_is_noticed_by_its_answers(postgres):
    """Nothing was known of it when the first connection was opened."""
    async with (
        Service(postgres.port) as service,
        Pooler(postgres.port, "agent", "postgres", size=3) as pooler,
        opened(section("postgres", service.port, schema="later")) as store,
    ):
        await store.conversations.append(HERE, rows("a"))
        service.target = pooler.port
        await store.backend.client._pool.expire_connections()
        for n in range(12):
            session, _ = await store.conversations.load("ann", "s1", -1)
            await store.conversations.append(session, rows(str(n)), session.revision)
        assert store.backend.client._is_pooled
        assert (await store.conversations.load("ann", "s1", 0))[0].messages == 13


async def test_messages_that_redis_has_evicted_are_told_and_not_passed_over(
    redis, request, tmp_path
):
    async with opened(memory("redis", request, tmp_path)) as store:
        kept = await store.conversations.append(HERE, rows("a", "b"))
        await ask(redis, "DEL", store.conversations._keys("ann", "s1")[1])
        with pytest.raises(UnreadableRecordError, match="evicted"):
            await store.conversations.load("ann", "s1", -1)
        await store.conversations.append(kept, rows("c"), kept.revision)
        with pytest.raises(UnreadableRecordError, match="evicted"):
            await store.conversations.load("ann", "s1", -1)
        assert await store.conversations.delete("ann", "s1")


@pytest.mark.parametrize("backend", SERVERS)
async def test_a_write_is_tried_before_the_replica_is_called_ready(backend, request, tmp_path):
    """A server that only reads answers a ping as before."""
    make = RedisServer if backend == "redis" else PostgresServer
    with make() as server:
        async with serving(memory=section(backend, server.port)) as client:
            await until(lambda: _is_ready(client))
            if backend == "redis":
                await ask(server, "CONFIG", "SET", "maxmemory", "1")
            else:
                await demote(server, server)
            await until(lambda: _is_unready(client))


async def _is_unready(client: Any) -> bool:
    return bool((await client.get("/health/ready")).status == 503)


async def test_many_probes_at_once_are_one_write():
    count = 0

    class Counted(LocalBackend):
        async def ping(self) -> None:
            nonlocal count
            count += 1
            await asyncio.sleep(0.01)

    health = Health(Counted().ping, lambda: False, list)
    answers = await asyncio.gather(*(health.ready(None) for _ in range(50)))  # type: ignore[arg-type]
    assert {answer.status_code for answer in answers} == {200}
    assert count == 1
