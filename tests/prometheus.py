"""A real Prometheus on loopback, for tests that ask it what agents did."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from runtime.tests.servers import PATIENCE
from tests.ports import free_port
from tests.tools import tool

Target = tuple[str, Mapping[str, str]]
"""Address of a pod's metrics, and the labels that the Prometheus operator would add."""


class Prometheus:
    """A server that scrapes its targets every fifth of a second."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return the series of a query, now."""
        address = f"{self.url}/api/v1/query?{urlencode({'query': query})}"
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found

    def own(self, name: str, label: str) -> list[float]:
        """Return what it says of itself: the values of a metric's series with a label."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        return [
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith(f"{name}{{") and label in line
        ]

    def until(self, query: str, wanted: float) -> None:
        """Wait until the only series of a query has a value."""
        until = time.monotonic() + PATIENCE
        found: list[dict[str, Any]] = []
        while time.monotonic() < until:
            found = self.ask(query)
            if [float(one["value"][1]) for one in found] == [wanted]:
                return
            time.sleep(0.1)
        raise AssertionError(f"{query} never was {wanted}: {found}")


@contextmanager
def running(folder: Path, targets: Sequence[Target]) -> Iterator[Prometheus]:
    """Run it until the block ends; targets may come and go meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        {"targets": [address], "labels": {**labels, "job": "pods"}} for address, labels in targets
    ]
    (folder / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
                "scrape_configs": [{"job_name": "pods", "static_configs": jobs}],
            }
        )
    )
    address = f"127.0.0.1:{free_port()}"
    command = [
        tool("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            _ready(f"http://{address}/-/ready", process, folder / "log")
            yield Prometheus(f"http://{address}")
        finally:
            process.kill()
            process.wait()


def _ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(log.read_text())
