"""Compare the runtime with a stock pydantic-ai server and a bare proxy, in one run, interleaved.

python bench/runtime [--rounds 3] [--chats 600] [--before CHECKOUT] [--kagent COMMAND]

Each contender is one process on one core; the model, the MCP server and the load generator are on
the other. The figures are CPU time of the contender's process per unit of work, as reported by the
kernel: the speed of the load generator and the model does not matter. Medians over rounds.

`--before CHECKOUT` compares, in place of these, the runtime of another checkout, such as `git worktree add` makes, with
this one: with the same agent.json, and with the knowledge, memories, compression and code of an agent that has all of
them and is asked for none.

`--kagent COMMAND` adds a kagent-adk server, started as `COMMAND PORT MODEL_URL MCP_URL`, where it
is installed; it must answer POST /chat and GET /health/ready.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
STREAMS, RATE, SECONDS = 50, 60, 5


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


@dataclass
class Contender:
    """A server that answers POST /chat."""

    name: str
    command: Callable[[int], list[str]]
    has_tools: bool = True
    speaks_a2a: bool = False
    figures: dict[str, list[float]] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Start on the second core; return the seconds until it is ready."""
        self.port = free_port()
        began = time.monotonic()
        pinned = ["taskset", "-c", "1"] if (os.cpu_count() or 1) > 1 else []
        self.process = subprocess.Popen(
            [*pinned, *self.command(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as made:
                    made.sendall(b"GET /health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n")
                    if b" 200 " in made.recv(64):
                        return time.monotonic() - began
            except OSError:
                time.sleep(0.005)
            if time.monotonic() - began > 60 or self.process.poll() is not None:
                raise SystemExit(f"{self.name} does not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def cpu(self) -> float:
        """Return the CPU time in seconds that the process has used."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident(self) -> float:
        """Return megabytes."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def note(self, figure: str, value: float) -> None:
        self.figures.setdefault(figure, []).append(value)


async def chats(
    contender: Contender, message: str, count: int, at_once: int = 16, **fields: Any
) -> float:
    """Return milliseconds of CPU time per chat."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:

        async def one() -> None:
            body = {"message": message, **fields}
            async with session.post(contender.url + "/chat", json=body) as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()

        await asyncio.gather(*(one() for _ in range(20)))
        before = contender.cpu()
        await asyncio.gather(*(one() for _ in range(count)))
        return (contender.cpu() - before) / count * 1000


async def messages(contender: Contender, count: int, method: str, at_once: int = 16) -> float:
    """Return milliseconds of CPU time per message over A2A, in the version that the method is of."""
    is_new = method == "SendMessage"
    role, part = (
        ("ROLE_USER", {"text": "hello"}) if is_new else ("user", {"kind": "text", "text": "hello"})
    )
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:

        async def one(n: int) -> None:
            message = {"messageId": f"{method}{n}", "role": role, "parts": [part]}
            body = {"jsonrpc": "2.0", "id": n, "method": method, "params": {"message": message}}
            async with session.post(contender.url + "/a2a", json=body) as answer:
                assert b"result" in await answer.read()

        await asyncio.gather(*(one(-n) for n in range(1, 21)))
        before = contender.cpu()
        await asyncio.gather(*(one(n) for n in range(count)))
        return (contender.cpu() - before) / count * 1000


async def streams(contender: Contender) -> float:
    """Return microseconds of CPU time per streamed token."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one() -> None:
            body = {"message": f"tokens {RATE * SECONDS} {RATE}", "stream": True}
            async with session.post(contender.url + "/chat", json=body) as answer:
                assert answer.status == 200
                async for _ in answer.content.iter_any():
                    pass

        before = contender.cpu()
        await asyncio.gather(*(one() for _ in range(STREAMS)))
        return (contender.cpu() - before) / (STREAMS * RATE * SECONDS) * 1e6


def ours(
    folder: Path, model_url: str, mcp_url: str, checkout: Path = ROOT, *, more: bool = False
) -> Contender:
    """Return the runtime of a checkout; `more`: with documents, memories, compression and code."""
    document: dict[str, Any] = {
        "contract": 1,
        "agent": {"name": "bench", "namespace": "bench"},
        "prompt": {"system": {"file": "p.md"}},
        "model": {"provider": "openai-compatible", "name": "m", "endpoint": model_url},
        "mcpServers": [{"name": "add", "transport": "streamable-http", "url": mcp_url}],
        "auth": {"type": "none"},
        "limits": {"concurrentRuns": 200},
    }
    if more:
        document |= featured(folder)
    file = folder / f"{'more' if more else 'agent'}.json"
    file.write_text(json.dumps(document))
    (folder / "p.md").write_text("You help.")
    is_own = checkout == ROOT
    name = "fleetform" if is_own else "fleetform, before"
    base = ["env", f"PYTHONPATH={checkout / 'runtime'}", sys.executable, "-m", "fleetform_runtime"]
    base += ["serve", "--config", str(file), "--host", "127.0.0.1", "--metrics-port", "0"]
    return Contender(
        f"{name}, with more" if more else name,
        lambda port: [*base, "--port", str(port)],
        speaks_a2a=is_own,
    )


def featured(folder: Path) -> dict[str, Any]:
    """Return what an agent has that searches documents, remembers its users, compacts and runs code."""
    search = {
        "type": "retrieval",
        "name": "search",
        "description": "Searches.",
        "knowledge": {
            "store": {"type": "embedded", "path": str(folder), "collection": "docs"},
            "search": {"mode": "keyword"},
        },
        "parameters": [{"name": "query", "type": "string", "required": True}],
    }
    code = {"type": "code", "name": "python", "description": "Computes.", "allowModelCode": True}
    return {
        "tools": [search, code],
        "memory": {"type": "in-memory", "policy": {"compression": {}}},
        "longTermMemory": {"user": "bench"},
    }


async def measure(contender: Contender, count: int) -> None:
    contender.note("start s", contender.start())
    await asyncio.sleep(0.5)
    contender.note("idle MiB", contender.resident())
    try:
        contender.note("chat ms", await chats(contender, "hello", count))
        if contender.speaks_a2a:
            contender.note("A2A ms", await messages(contender, count, "SendMessage"))
            contender.note("A2A 0.3 ms", await messages(contender, count, "message/send"))
        if contender.has_tools:
            contender.note("tool chat ms", await chats(contender, "tool", max(50, count // 4)))
        contender.note("token us", await streams(contender))
    finally:
        contender.stop()


async def turns(folder: Path, model_url: str) -> dict[int, float]:
    """Return milliseconds of CPU time per turn of long sessions in Redis."""
    sys.path.insert(0, str(ROOT))
    from fleetform_runtime.messages import Assistant, User, dump  # noqa: PLC0415
    from fleetform_runtime.secrets import Secrets  # noqa: PLC0415
    from fleetform_runtime.settings import load  # noqa: PLC0415
    from fleetform_runtime.store import Session  # noqa: PLC0415
    from fleetform_runtime.store.build import build  # noqa: PLC0415
    from fleetform_runtime.store.parts import Surroundings  # noqa: PLC0415
    from runtime.tests.servers import RedisServer  # noqa: PLC0415

    contender = ours(folder, model_url, "http://127.0.0.1:1/mcp")
    found: dict[int, float] = {}
    with RedisServer() as redis:
        document = json.loads((folder / "agent.json").read_text())
        document["memory"] = {"type": "redis", "host": "127.0.0.1", "port": redis.port}
        document["mcpServers"] = []
        (folder / "agent.json").write_text(json.dumps(document))
        around = Surroundings(secrets=Secrets(), namespace="bench", agent="bench")
        store = build(load(folder / "agent.json"), around)
        rows = [dump(User("a question")), dump(Assistant("an answer of some words", model="m"))]
        contender.start()
        try:
            for size in (10, 1_000, 10_000):
                session = Session(id=f"s{size}", user="anonymous")
                await store.conversations.append(session, rows * (size // 2))
                found[size] = await chats(contender, "hello", 100, 1, session_id=session.id)
        finally:
            contender.stop()
            await store.backend.close()
    return found


def table(contenders: list[Contender]) -> None:
    names = ("chat ms", "A2A ms", "A2A 0.3 ms", "tool chat ms", "token us", "start s", "idle MiB")
    print("| | " + " | ".join(names) + " |")
    print("|---|" + "--:|" * len(names))
    for contender in contenders:
        cells = [
            f"{statistics.median(contender.figures[name]):.2f}"
            if name in contender.figures
            else "–"
            for name in names
        ]
        print(f"| {contender.name} | " + " | ".join(cells) + " |")


async def run(work: Callable[[str, str], Awaitable[None]]) -> None:
    """Start the model and the MCP server on the first core."""
    ports = free_port(), free_port()
    commands = (
        [sys.executable, str(HERE / "model.py"), str(ports[0])],
        [sys.executable, str(ROOT / "runtime/tests/mcp_server.py"), "http", str(ports[1])],
    )
    pinned = ["taskset", "-c", "0"] if (os.cpu_count() or 1) > 1 else []
    processes = [
        subprocess.Popen([*pinned, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in commands
    ]
    try:
        for port in ports:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
        await work(f"http://127.0.0.1:{ports[0]}/v1", f"http://127.0.0.1:{ports[1]}/mcp")
    finally:
        for process in processes:
            process.terminate()
            process.wait(10)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chats", type=int, default=600)
    parser.add_argument("--before", type=Path, help="another checkout, whose runtime is compared")
    parser.add_argument("--kagent", help="command of a server of kagent-adk")
    options = parser.parse_args()

    async def work(model_url: str, mcp_url: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            python = sys.executable
            contenders = [
                ours(Path(folder), model_url, mcp_url),
                Contender(
                    "stock pydantic-ai",
                    lambda port: [python, str(HERE / "stock.py"), str(port), model_url, mcp_url],
                ),
                Contender(
                    "bare proxy",
                    lambda port: [python, str(HERE / "proxy.py"), str(port), model_url],
                    has_tools=False,
                ),
            ]
            if options.before:
                contenders = [
                    ours(Path(folder), model_url, mcp_url, options.before.resolve()),
                    contenders[0],
                    ours(Path(folder), model_url, mcp_url, more=True),
                ]
            if options.kagent:
                contenders.append(
                    Contender(
                        "kagent-adk",
                        lambda port: [*shlex.split(options.kagent), str(port), model_url, mcp_url],
                    )
                )
            for _ in range(options.rounds):
                for contender in contenders:
                    await measure(contender, options.chats)
            table(contenders)
            if options.before:
                return
            print("\nturn of a session in Redis, ms by messages:", end=" ")
            print(
                {size: round(ms, 2) for size, ms in (await turns(Path(folder), model_url)).items()}
            )

    await run(work)


if __name__ == "__main__":
    asyncio.run(main())
