"""What happens when something fails: real processes on loopback, each fault in a short and a long form.

The short form runs in `make test`; `make faults` repeats each with the load of the long one.
"""

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from runtime.tests.harness import parse, until
from runtime.tests.process import Runtime
from runtime.tests.proxy import balancing
from runtime.tests.servers import PostgresServer, RedisServer, Server
from runtime.tests.test_mcp import McpProcess

pytestmark = pytest.mark.anyio
LONG = bool(os.environ.get("FLEETFORM_FAULTS"))


def size(short: int, long: int) -> int:
    return long if LONG else short


class ModelServer(Server):
    def __init__(self, **chances: float) -> None:
        super().__init__()
        script = str(Path(__file__).with_name("model_server.py"))
        options = [f"{name}={value}" for name, value in chances.items()]
        self.command = [sys.executable, script, str(self.port), *options]

    def __enter__(self) -> "ModelServer":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    def section(self, **fields: Any) -> dict[str, Any]:
        endpoint = f"http://127.0.0.1:{self.port}/v1"
        return {"provider": "openai-compatible", "name": "m", "endpoint": endpoint} | fields


async def chat(session: aiohttp.ClientSession, url: str, message: str, **fields: Any) -> Any:
    async with session.post(url + "/chat", json={"message": message, **fields}) as answer:
        return answer.status, await answer.json(content_type=None)


async def stream(session: aiohttp.ClientSession, url: str, message: str) -> list[Any]:
    body = {"message": message, "stream": True}
    async with session.post(url + "/chat", json=body) as answer:
        assert answer.status == 200, await answer.text()
        return parse((await answer.read()).decode())


async def becomes(runtime: Runtime, status: int) -> None:
    """Wait until readiness is such."""

    async def is_so() -> bool:
        return await asyncio.to_thread(runtime.status, "/health/ready") == status

    await until(is_so)


async def gather(count: int, at_once: int, work: Any) -> list[Any]:
    gate = asyncio.Semaphore(at_once)

    async def one(index: int) -> Any:
        async with gate:
            return await work(index)

    return await asyncio.gather(*(one(index) for index in range(count)))


def client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))


# -- models ----------------------------------------------------------------------------------------

CHAOS = {"rate_limited": 0.1, "server_error": 0.05, "hang": 0.02, "cut": 0.02}


@pytest.mark.timed
async def test_two_providers_in_chaos_answer_almost_always(tmp_path):
    count = size(300, 3000)
    timeouts = {"requestSeconds": 1.5, "firstTokenSeconds": 0.5, "connectSeconds": 1}
    with ModelServer(seed=1, **CHAOS) as one, ModelServer(seed=2, **CHAOS) as two:
        changes = {
            "model": one.section(id="one", timeouts=timeouts),
            "fallbacks": [two.section(id="two", timeouts=timeouts)],
        }
        with Runtime(tmp_path, **changes) as runtime:
            async with client() as session:
                answers = await gather(count, 20, lambda n: chat(session, runtime.url, f"m{n}"))
                streams = await gather(
                    count // 3, 20, lambda n: stream(session, runtime.url, "words 20")
                )
    right = sum(
        status == 200 and body["output"] == f"echo m{n}" for n, (status, body) in enumerate(answers)
    )
    assert right / count >= 0.999
    expected = " ".join(f"w{n}" for n in range(20))
    cut = 0
    for events in streams:
        text = "".join(event.data["content"] for event in events if event.type == "token")
        if events[-1].type == "done":
            assert text == expected == events[-1].data["output"]
        else:
            cut += 1
            assert events[-1].type == "error"
            assert events[-1].data["retryable"] is True
            assert expected.startswith(text)
    assert cut < len(streams) / 10


# -- stores ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["redis", "postgres"])
async def test_a_store_is_killed_and_comes_back(backend, tmp_path):
    server = RedisServer() if backend == "redis" else PostgresServer()
    with server:
        memory: dict[str, Any] = {"type": backend, "host": "127.0.0.1", "port": server.port}
        if backend == "postgres":
            memory |= {"database": "postgres", "username": "agent"}
        with Runtime(tmp_path, "--model", "scripted", memory=memory) as runtime:
            async with client() as session:
                _, first = await chat(session, runtime.url, "before")
                (server.kill if backend == "redis" else server.stop)()
                status, body = await chat(session, runtime.url, "x", session_id=first["session_id"])
                assert (status, body["code"]) == (503, "memory_unavailable")
                await becomes(runtime, 503)
                assert runtime.status("/health") == 200
                server.start()
                await becomes(runtime, 200)
                status, body = await chat(session, runtime.url, "x", session_id=first["session_id"])
                assert (status, body["output"]) == (200, "You said: x (turn 2)")
            assert "Traceback" not in runtime.log.read_text()


async def test_a_store_that_comes_later_than_the_agent(tmp_path):
    server = RedisServer()
    memory = {"type": "redis", "host": "127.0.0.1", "port": server.port}
    runtime = Runtime(tmp_path, "--model", "scripted", memory=memory)
    runtime.is_ready = lambda: runtime.status("/health/startup") == 200  # type: ignore[method-assign]
    with runtime:
        assert runtime.status("/health/ready") == 503
        with server:
            await becomes(runtime, 200)
            async with client() as session:
                assert (await chat(session, runtime.url, "x"))[0] == 200


async def running(session: aiohttp.ClientSession, url: str) -> tuple[str, asyncio.Task[bytes]]:
    """Start a run that does not end by itself; return it and what its caller reads until the connection ends."""
    answer = await session.post(url + "/chat", json={"message": "wait 3600", "stream": True})
    (begun,) = parse((await answer.content.readuntil(b"\n\n")).decode())

    async def rest() -> bytes:
        try:
            return await answer.read()
        except aiohttp.ClientError:
            return b""

    return begun.data["run_id"], asyncio.create_task(rest())


async def state(session: aiohttp.ClientSession, url: str, run: str) -> Any:
    async with session.get(f"{url}/runs/{run}") as answer:
        return await answer.json()


@pytest.mark.parametrize("backend", ["redis", "postgres"])
async def test_the_runs_of_a_killed_replica_end(backend, tmp_path):
    server = RedisServer() if backend == "redis" else PostgresServer()
    with server:
        memory: dict[str, Any] = {"type": backend, "host": "127.0.0.1", "port": server.port}
        if backend == "postgres":
            memory |= {"database": "postgres", "username": "agent"}
        options = {"memory": memory}
        with (
            Runtime(tmp_path / "one", "--model", "scripted", **options) as one,
            Runtime(tmp_path / "two", "--model", "scripted", **options) as two,
        ):
            async with client() as session:
                run, reading = await running(session, one.url)
                other, _ = await running(session, two.url)
                following = await session.get(f"{two.url}/runs/{run}/events")
                await following.content.readuntil(b"\n\n")
                one.signal(signal.SIGKILL)
                await reading
                (last,) = parse((await following.read()).decode())
                assert (last.type, last.data["code"], last.data["retryable"]) == (
                    "error", "interrupted", True,
                )  # fmt: skip
                found = await state(session, two.url, run)
                assert (found["status"], found["error"]["code"]) == ("failed", "interrupted")
                async with session.post(f"{two.url}/runs/{run}/cancel") as answer:
                    assert (answer.status, (await answer.json())["code"]) == (409, "run_ended")
                resumed = await session.get(
                    f"{two.url}/runs/{run}/events", headers={"Last-Event-ID": str(last.id)}
                )
                assert parse((await resumed.read()).decode()) == []
                assert (await state(session, two.url, other))["status"] == "running"


async def test_a_run_of_a_killed_process_is_told_after_its_restart(tmp_path):
    memory = {"type": "filesystem", "path": str(tmp_path / "sessions")}
    with Runtime(tmp_path, "--model", "scripted", memory=memory) as runtime:
        async with client() as session:
            run, reading = await running(session, runtime.url)
            await until(lambda: list((tmp_path / "sessions" / "runs").glob("*.json")))
            runtime.signal(signal.SIGKILL)
            await reading
            runtime.wait()
            runtime.start()
            found = await state(session, runtime.url, run)
            assert (found["status"], found["error"]["code"]) == ("failed", "interrupted")
            events = await session.get(f"{runtime.url}/runs/{run}/events")
            (last,) = parse((await events.read()).decode())
            assert (last.id, last.type, last.data["retryable"]) == (1, "error", True)


FULL = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")


@FULL
async def test_a_full_disk_refuses_and_loses_nothing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine mounts no small disk")
    try:
        memory = {"type": "filesystem", "path": str(disk / "sessions")}
        with Runtime(tmp_path / "a", "--model", "scripted", memory=memory) as runtime:
            async with client() as session:
                _, first = await chat(session, runtime.url, "hello")
                name, kept = first["session_id"], 1
                for _ in range(30):
                    status, body = await chat(session, runtime.url, "y" * 20_000, session_id=name)
                    if status != 200:
                        break
                    kept += 1
                assert (status, body["code"]) == (503, "memory_unavailable")
                assert kept > 2
                async with session.get(
                    f"{runtime.url}/sessions/{name}/messages?limit=200"
                ) as answer:
                    found = [item["role"] for item in (await answer.json())["messages"]]
                    # Behind whole turns at most the question that had no room for its answer.
                    assert found[: 2 * kept] == ["user", "assistant"] * kept
                    assert found[2 * kept :] in ([], ["user"])
                status, _ = await chat(session, runtime.url, "z", session_id=name)
                assert status == 200
    finally:
        subprocess.run(["umount", disk], check=True)


# -- tools -----------------------------------------------------------------------------------------


async def test_an_mcp_server_restarts_under_load(tmp_path):
    with McpProcess("http") as server:
        changes = {"mcpServers": [server.section()], "limits": {"concurrentRuns": 100}}
        with Runtime(tmp_path, "--model", "scripted", **changes) as runtime:
            async with client() as session:
                stop = asyncio.Event()
                up = asyncio.Event()
                behind: list[bool] = []
                starts = calls = 0

                async def load() -> None:
                    nonlocal calls
                    while not stop.is_set():
                        calls += 1
                        was_up, before = up.is_set(), starts
                        _, body = await chat(session, runtime.url, 'call add {"a": 1, "b": 1}')
                        if was_up and up.is_set() and starts == before:
                            behind.append(body["output"] == "add: 2")

                tasks = [asyncio.create_task(load()) for _ in range(10)]
                for _ in range(size(1, 5)):
                    up.clear()
                    await asyncio.to_thread(server.kill)
                    met = calls + 2 * len(tasks)  # each of them meets the dead one
                    await until(lambda met=met: calls > met)
                    await asyncio.to_thread(server.start)
                    starts += 1
                    up.set()
                    goal = len(behind) + 20
                    await until(lambda goal=goal: len(behind) > goal)
                stop.set()
                await asyncio.gather(*tasks)
    assert all(behind), f"{behind.count(False)} of {len(behind)} failed"


# -- the process itself ------------------------------------------------------------------------------


@pytest.mark.proof
async def test_a_rolling_update_loses_nothing(tmp_path):
    count = size(600, 2400)
    with ModelServer(pace=0.01) as model:
        replicas = [
            Runtime(
                tmp_path / str(n),
                model=model.section(),
                server={"drainDelaySeconds": 3, "shutdownGraceSeconds": 20},
                limits={"concurrentRuns": 200},
            )
            for n in range(2)
        ]
        for replica in replicas:
            replica.start()
        try:
            async with balancing(replicas) as proxy, client() as session:
                done = 0

                async def one(n: int) -> bool | str:
                    nonlocal done
                    try:
                        return await asked(n)
                    except aiohttp.ClientError as error:
                        return repr(error)
                    finally:
                        done += 1

                async def asked(n: int) -> bool:
                    if n % 3:
                        status, body = await chat(session, proxy.url, f"m{n}")
                        fine = status == 200 and body["output"] == f"echo m{n}"
                    else:
                        events = await stream(session, proxy.url, "words 40")
                        text = "".join(e.data["content"] for e in events if e.type == "token")
                        whole = " ".join(f"w{n}" for n in range(40))
                        fine = events[-1].type == "done" and text == whole
                    await asyncio.sleep(0.05)
                    return fine

                load = asyncio.create_task(gather(count, 30, one))
                for replica in replicas:
                    goal = done + count // 6
                    await until(lambda goal=goal: load.done() or done >= goal)
                    replica.signal(signal.SIGTERM)
                    assert await asyncio.to_thread(replica.wait) == 0
                    await asyncio.to_thread(replica.start)
                results = await load
        finally:
            for replica in replicas:
                replica.__exit__()
    assert len(results) >= 600
    assert [result for result in results if result is not True] == []


async def test_runs_that_outlast_the_grace_end_in_an_event(tmp_path):
    with ModelServer(pace=0.2) as model:
        changes = {"model": model.section(), "server": {"shutdownGraceSeconds": 0.5}}
        with Runtime(tmp_path, **changes) as runtime:
            body = {"message": "words 20000", "stream": True}
            async with client() as session:
                async with session.post(runtime.url + "/chat", json=body) as answer:
                    begun = await answer.content.readuntil(b"event: token")
                    runtime.signal()
                    events = parse((begun + await answer.read()).decode())
                assert await asyncio.to_thread(runtime.wait) == 0
    assert (events[-1].type, events[-1].data["code"]) == ("error", "draining")
    assert events[-1].data["retryable"] is True


async def test_clients_that_go_away_leave_nothing_behind(tmp_path):
    count = size(60, 400)
    with ModelServer(pace=0.02) as model:
        with Runtime(tmp_path, model=model.section(), limits={"concurrentRuns": 500}) as runtime:
            async with client() as session:

                async def leave(n: int) -> None:
                    body = {"message": "words 20", "stream": bool(n % 2)}
                    try:
                        async with asyncio.timeout(0.05 + n % 5 / 50):
                            async with session.post(runtime.url + "/chat", json=body) as answer:
                                await answer.read()
                    except TimeoutError:
                        pass

                await gather(count, 20, leave)

                async def nothing_is_left() -> bool:
                    async with session.get(runtime.metrics_url) as answer:
                        text = await answer.text()
                    counts = ("agent_active_sessions", "agent_inflight_streams")
                    lines = [line for line in text.splitlines() if line.startswith(counts)]
                    return all(line.endswith(" 0.0") for line in lines)

                await until(nothing_is_left)
                assert (await chat(session, runtime.url, "x"))[0] == 200
        assert "Traceback" not in runtime.log.read_text()


async def test_a_reader_that_does_not_read_is_cut_off_and_its_run_goes_on(tmp_path):
    changes = {"server": {"slowReaderSeconds": 0.5}}
    with (
        ModelServer(pace=0) as model,
        Runtime(tmp_path, model=model.section(), **changes) as runtime,
    ):
        _reader, writer = await asyncio.open_connection("127.0.0.1", runtime.port, limit=1024)
        body = json.dumps({"message": "blob 300", "stream": True}).encode()
        head = f"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        async with client() as session:
            await until(lambda: "slowly; its connection is closed" in runtime.log.read_text())
            assert (await chat(session, runtime.url, "x"))[0] == 200
        writer.close()
        assert "Traceback" not in runtime.log.read_text()


@pytest.mark.timed
async def test_overload_is_refused_fast_and_the_admitted_are_served_as_before(tmp_path):
    limits = {"concurrentRuns": 8, "queueDepth": 4, "queueSeconds": 0.2}
    message = "wait 0.2"
    with Runtime(tmp_path, "--model", "scripted", limits=limits) as runtime:
        async with client() as session:

            async def timed(n: int) -> tuple[int, float]:
                began = time.monotonic()
                status, _ = await chat(session, runtime.url, message)
                return status, time.monotonic() - began

            calm = [seconds for _, seconds in await gather(40, 4, timed)]
            loaded = await gather(size(400, 2000), 80, timed)
    admitted = sorted(seconds for status, seconds in loaded if status == 200)
    refused = sorted(seconds for status, seconds in loaded if status == 503)
    assert len(admitted) + len(refused) == len(loaded)
    assert len(refused) > len(loaded) / 2
    assert admitted[int(len(admitted) * 0.99)] <= 2 * max(calm) + 0.2
    assert statistics.median(refused) < min(
        calm
    )  # on a busy machine, too, with this client beside it


async def test_memory_stays_bounded_under_hostile_bodies(tmp_path):
    with Runtime(tmp_path, "--model", "scripted") as runtime:
        assert runtime.process is not None
        status = Path(f"/proc/{runtime.process.pid}/status")

        def resident() -> int:
            (line,) = [x for x in status.read_text().splitlines() if x.startswith("VmRSS")]
            return int(line.split()[1])

        before = resident()
        async with client() as session:
            bodies = [b"[" * 900_000, b'{"a":' * 150_000, b"\xff" * 900_000, b'"' + b"x" * 900_000]

            async def send(n: int) -> int:
                headers = {"Content-Type": "application/json"}
                data = bodies[n % len(bodies)]
                async with session.post(
                    runtime.url + "/chat", data=data, headers=headers
                ) as answer:
                    return answer.status

            assert set(await gather(size(80, 400), 8, send)) == {400}
        assert resident() - before < 80_000
