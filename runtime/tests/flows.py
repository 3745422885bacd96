"""A workflow and its agents as processes of their own, as containers run them."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.tests.process import COMMAND
from runtime.tests.servers import PATIENCE
from tests.ports import free_port

STEPS = [
    {
        "name": "research",
        "agent": "writer",
        "input": {"topic": "{{ .input.topic }}"},
        "output": [{"name": "data", "path": ".result.data"}],
    },
    *(
        {
            "name": name,
            "agent": "writer",
            "dependsOn": ["research"],
            "parallel": True,
            "input": {"data": "{{ .steps.research.output.data }}"},
            "output": [{"name": "found", "path": ".result"}],
        }
        for name in ("trends", "mood")
    ),
    {
        "name": "report",
        "agent": "writer",
        "dependsOn": ["trends", "mood"],
        "input": {"a": "{{ .steps.trends.output.found }}", "b": "{{ .steps.mood.output.found }}"},
        "output": [{"name": "text", "path": ".result.document"}],
    },
]
DEFINITION = {
    "input": [{"name": "topic", "type": "string", "required": True}],
    "steps": STEPS,
    "output": {
        "report": "{{ .steps.report.output.text }}",
        "sources": "{{ .steps.research.output.data.sources }}",
    },
}


STARTED: list["subprocess.Popen[bytes]"] = []


@pytest.fixture(autouse=True)
def none_outlives_its_test() -> Iterator[None]:
    """End what a test that failed has left running, asleep or not."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.kill()
            process.wait()


class Flow:
    """A workflow.json, and processes that execute it."""

    def __init__(self, folder: Path, agent: str, **changes: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        document = {
            "contract": 1,
            "workflow": {"name": "report", "namespace": "demo"},
            "definition": DEFINITION,
            "agents": [{"name": "writer", "url": f"{agent}/a2a"}],
            "memory": {"type": "filesystem", "path": str(folder / "runs")},
            "leaseSeconds": 1,
            "auth": {"type": "none"},
            "server": {"host": "127.0.0.1", "port": self.port, "metricsPort": free_port()},
        }
        self.config = folder / "workflow.json"
        self.config.write_text(json.dumps(document | changes))
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def run(
        self, name: str, *options: str, command: list[str] | None = None, topic: str = "AI"
    ) -> "subprocess.CompletedProcess[str]":
        """Carry a run to its end in a process of its own."""
        words = [
            "workflow",
            "run",
            "--config",
            str(self.config),
            "--name",
            name,
            "--format",
            "json",
        ]
        return subprocess.run(
            [*(command or COMMAND), *words, "--input", f"topic={topic}", *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def start(self) -> "Flow":
        """Serve, and wait until it is ready."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "workflow", "serve", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        STARTED.append(self.process)
        until = time.monotonic() + PATIENCE
        while self.asked("GET", "/health/ready")[0] != 200:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until
            time.sleep(0.02)
        return self

    def stop(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(PATIENCE)

    def asked(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and body of an answer, 0 if nobody answers."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"} if data else {}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())
        except OSError:
            return 0, None

    def ended(self, name: str) -> Any:
        """Wait for the end of a run; return it."""
        until = time.monotonic() + PATIENCE
        while True:
            status, found = self.asked("GET", f"/runs/{name}")
            if status == 200 and found["status"]["phase"] in ("Succeeded", "Failed"):
                return found
            assert time.monotonic() < until, found
            time.sleep(0.05)


KILLED = [sys.executable, "-m", "runtime.tests.killed_workflow"]


def killing(point: str, armed: Path) -> list[str]:
    """Return the command of a process that dies at a point, once."""
    armed.touch()
    return [*KILLED, point, str(armed)]


def environment() -> dict[str, str]:
    return {**os.environ}
