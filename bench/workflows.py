"""Processor time of what executes workflows: `python bench/workflows.py [--rounds 3] [--runs 60]`.

A process of `workflow serve` carries out runs of three steps in a row, of an agent that answers by rules, on each store;
then it has nothing to do for ten seconds. The figures are time of that process alone, as reported by the kernel: agent,
store, and what asks for runs are processes of their own. Medians over rounds.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from runtime.tests.flows import Flow
from runtime.tests.process import Runtime
from runtime.tests.servers import PostgresServer, RedisServer

STEPS, IDLE_SECONDS, AT_ONCE = 3, 10.0, 10
STORES = ("filesystem", "redis", "postgres")
OUTPUT = [{"name": "said", "path": ".result"}]


def definition() -> dict[str, Any]:
    """Return a workflow of steps of which each gets what the one before has said."""
    steps: list[dict[str, Any]] = []
    for number in range(STEPS):
        before = f"{{{{ .steps.s{number - 1}.output.said }}}}" if number else "{{ .input.topic }}"
        after = [f"s{number - 1}"] if number else []
        one = {"name": f"s{number}", "agent": "writer", "dependsOn": after, "output": OUTPUT}
        steps.append({**one, "input": {"about": before}})
    topic = {"name": "topic", "type": "string", "required": True}
    return {"input": [topic], "steps": steps, "output": {"said": f"{{{{ .steps.s{STEPS - 1}.output.said }}}}"}}  # fmt: skip


@contextmanager
def stored(kind: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Start a store; yield its section of workflow.json."""
    if kind == "filesystem":
        yield {"type": kind, "path": str(folder / "runs")}
    elif kind == "redis":
        with RedisServer() as redis:
            yield {"type": kind, "host": "127.0.0.1", "port": redis.port}
    else:
        with PostgresServer() as postgres:
            where = {"host": "127.0.0.1", "port": postgres.port}
            yield {"type": kind, **where, "database": "postgres", "username": "agent"}


def used(flow: Flow) -> float:
    """Return the seconds of processor time that a process has used."""
    assert flow.process is not None
    fields = Path(f"/proc/{flow.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def carried(flow: Flow, runs: int, name: str) -> float:
    """Carry runs out; return the milliseconds of processor time for each."""
    before = used(flow)
    for number in range(runs):
        code, _ = flow.asked(
            "POST", "/runs", {"name": f"{name}-{number}", "input": {"topic": "AI"}}
        )
        assert code == 201
    while (
        flow.asked("GET", "/runs?phase=Pending&limit=1")[1]["items"]
        or (flow.asked("GET", "/runs?phase=Running&limit=1")[1]["items"])
    ):
        time.sleep(0.5)
    ended = flow.ended(f"{name}-{runs - 1}")
    assert ended["status"]["phase"] == "Succeeded"
    return (used(flow) - before) / runs * 1_000


def measured(kind: str, runs: int) -> tuple[float, float]:
    """Return milliseconds per run, and per second without any."""
    with ExitStack() as held, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        memory = held.enter_context(stored(kind, folder))
        agent = held.enter_context(Runtime(folder / "agent", "--model", "scripted"))
        changes = {"memory": memory, "leaseSeconds": 15, "concurrency": {"maxConcurrent": AT_ONCE}}
        flow = Flow(folder / "flow", agent.url, definition=definition(), **changes).start()
        held.callback(flow.stop)
        carried(flow, 10, "warm")
        busy = carried(flow, runs, "run")
        before = used(flow)
        time.sleep(IDLE_SECONDS)
        return busy, (used(flow) - before) / IDLE_SECONDS * 1_000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=60)
    options = parser.parse_args()
    print(f"| store | run of {STEPS} steps, ms | idle, ms per s |\n|---|--:|--:|")
    for kind in STORES:
        rounds = [measured(kind, options.runs) for _ in range(options.rounds)]
        busy, idle = (statistics.median(each) for each in zip(*rounds, strict=True))
        print(f"| {kind} | {busy:.1f} | {idle:.1f} |")


if __name__ == "__main__":
    main()
