"""The runtime as a process of its own, as a container runs it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.tests.harness import BASE
from runtime.tests.servers import PATIENCE
from tests.ports import free_port

COMMAND = [sys.executable, "-m", "fleetform_runtime"]


class Runtime:
    """A process that serves one agent.json."""

    verb = "serve"
    base: Mapping[str, Any] = BASE

    def __init__(
        self,
        folder: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.metrics_port = free_port(), free_port()
        server = {"host": "127.0.0.1", "port": self.port, "metricsPort": self.metrics_port}
        document = {**self.base} | changes | {"server": server | changes.get("server", {})}
        self.config = folder / "agent.json"
        self.config.write_text(json.dumps(document))
        (folder / "system-prompt.md").write_text("You help.")
        self.url = f"http://127.0.0.1:{self.port}"
        self.metrics_url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        self.log = folder / "log"
        self._options = options
        self.command = COMMAND
        self._environment = {**os.environ, **(environment or {})}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Runtime":
        """Start, and wait until it is ready."""
        until = time.monotonic() + PATIENCE
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, *self.verb.split(), "--config", str(self.config), *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )
        while not self.is_ready():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.02)
        return self

    def is_ready(self) -> bool:
        return self.status("/health/ready") == 200

    def status(self, path: str) -> int | None:
        """Return the status of a GET, None when nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return None

    def signal(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float = PATIENCE) -> int:
        assert self.process is not None
        return self.process.wait(seconds)

    def __enter__(self) -> "Runtime":
        return self.start()

    def __exit__(self, *error: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class FleetRuntime(Runtime):
    """A process that serves one fleet.json."""

    verb = "fleet"
    base: Mapping[str, Any] = {
        "contract": 1,
        "page": {"name": "fleet-page", "namespace": "demo"},
        "agents": [],
        "auth": {"type": "none"},
    }


class WorkflowRuntime(Runtime):
    """A process that serves one workflow.json."""

    verb = "workflow serve"
    base: Mapping[str, Any] = {
        "contract": 1,
        "workflow": {"name": "report", "namespace": "demo"},
        "memory": {"type": "in-memory"},
        "auth": {"type": "none"},
    }
