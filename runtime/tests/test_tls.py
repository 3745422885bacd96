"""Certificates are verified against the authority that a specification names, and only a field turns that off."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fleetform_runtime.models.build import build
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.store import Session, StoreError
from fleetform_runtime.store.build import build as build_store
from fleetform_runtime.store.parts import Surroundings
from runtime.tests.certificates import issue
from runtime.tests.harness import serving, settings
from runtime.tests.proxy import pump
from runtime.tests.servers import PostgresServer, RedisServer
from runtime.tests.test_tools import result, tool
from runtime.tests.upstreams import completion

pytestmark = pytest.mark.anyio
CASES = [
    ({"caFile": "{folder}/ca.crt"}, True),
    ({"insecureSkipVerify": True}, True),
    ({}, False),
    (None, False),
    ({"caFile": "{folder}/other.crt"}, False),
]


def around(secrets: Secrets) -> Surroundings:
    return Surroundings(secrets=secrets, namespace="demo", agent="greeter")


def filled(tls: Any, folder: Path) -> Any:
    if not tls:
        return tls
    return {
        key: value.format(folder=folder) if isinstance(value, str) else value
        for key, value in tls.items()
    }


@asynccontextmanager
async def https(context: ssl.SSLContext, body: Any) -> AsyncIterator[str]:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield f"https://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()


def authorities(folder: Path) -> ssl.SSLContext:
    other = folder / "other"
    other.mkdir()
    issue(other)
    (folder / "other.crt").write_bytes((other / "ca.crt").read_bytes())
    return issue(folder)


@pytest.mark.parametrize(("tls", "fine"), CASES)
async def test_models_and_tools(tls, fine, tmp_path):
    context = authorities(tmp_path)
    section = {"tls": filled(tls, tmp_path)} if tls is not None else {}
    async with https(context, completion("Hello")) as url:
        model = {"provider": "openai-compatible", "name": "m", "endpoint": url, "retries": 0}
        async with serving(make=build, model=model | section) as client:
            reply = await client.post("/chat", {"message": "x"})
            assert reply.status == (200 if fine else 502)
        async with serving(tools=[tool(url, **section)]) as client:
            assert (await result(client, {}))["ok"] is fine


ACL = ["--user", "agent", "on", ">pass-of-the-agent", "~*", "+@all", "--user", "default", "off"]


@pytest.mark.parametrize(("tls", "fine"), [case for case in CASES if case[0] is not None])
async def test_redis_with_an_acl_user(tls, fine, tmp_path):
    context = authorities(tmp_path)
    (tmp_path / "password").write_text("pass-of-the-agent\n")
    with RedisServer(*ACL) as redis:

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", redis.port)
            ways = [pump(reader, other_writer), pump(other_reader, writer)]
            await asyncio.gather(*ways)

        front = await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context)
        memory = {
            "type": "redis",
            "host": "127.0.0.1",
            "port": front.sockets[0].getsockname()[1],
            "username": "agent",
            "password": {"file": str(tmp_path / "password")},
            "tls": filled(tls, tmp_path),
        }
        store = build_store(settings(memory=memory), around(Secrets({})))
        try:
            if fine:
                assert (
                    await store.conversations.append(Session(id="s", user="u"), [b"{}"])
                ).messages == 1
            else:
                with pytest.raises(StoreError):
                    await store.backend.ping()
        finally:
            await store.backend.close()
            front.close()
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("password", ["wrong-password", None])
async def test_redis_lets_nobody_in_without_the_password(password, tmp_path):
    with RedisServer("--requirepass", "the-right-password") as redis:
        memory: dict[str, Any] = {"type": "redis", "host": "127.0.0.1", "port": redis.port}
        if password:
            memory["password"] = {"env": "PASSWORD"}
        store = build_store(settings(memory=memory), around(Secrets({"PASSWORD": password or ""})))
        with pytest.raises(StoreError):
            await store.backend.ping()
        await store.backend.close()


async def test_postgres_with_a_password_that_changes(tmp_path, monkeypatch):
    monkeypatch.setattr("fleetform_runtime.secrets.RECHECK_SECONDS", 0)
    file = tmp_path / "password"
    file.write_text("first-password")
    with PostgresServer("first-password") as server:
        memory = {
            "type": "postgres",
            "host": "127.0.0.1",
            "port": server.port,
            "database": "postgres",
        }
        memory |= {"username": "agent", "password": {"file": str(file)}}
        store = build_store(settings(memory=memory), around(Secrets({})))
        await store.backend.open()
        await store.backend.client._pool.execute("ALTER ROLE agent PASSWORD 'second-password'")
        await store.backend.client._pool.expire_connections()
        with pytest.raises(StoreError):
            await store.backend.ping()
        file.write_text("second-password")
        await store.backend.ping()
        await store.backend.close()


async def test_a_password_that_changes_is_used_for_new_connections(tmp_path, monkeypatch):
    monkeypatch.setattr("fleetform_runtime.secrets.RECHECK_SECONDS", 0)
    file = tmp_path / "password"
    file.write_text("first-password")
    with RedisServer("--requirepass", "first-password") as redis:
        memory = {
            "type": "redis",
            "host": "127.0.0.1",
            "port": redis.port,
            "password": {"file": str(file)},
        }
        store = build_store(settings(memory=memory), around(Secrets({})))
        await store.backend.ping()
        await store.backend.client._pool.redis.execute_command(
            "CONFIG", "SET", "requirepass", "second-password"
        )
        file.write_text("second-password")
        await store.backend.client._pool.redis.connection_pool.disconnect()
        await store.backend.ping()
        await store.backend.close()
