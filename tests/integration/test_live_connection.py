"""Clusters that are not there, or answer oddly."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.fleet import GOOD, write
from tests.kubeconfigs import config, said


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    return write(tmp_path / "fleet", GOOD)


class Answers(BaseHTTPRequestHandler):
    """Says the same to every question."""

    status, body = 200, b"<html>Sign in</html>"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize("command", ["plan", "gc"])
def test_a_cluster_that_cannot_be_reached_is_named(command, fleet, tmp_path):
    file = tmp_path / "kubeconfig"
    file.write_text(config(), "utf-8")
    message = said(command, fleet, file)
    assert message.startswith("error: https://127.0.0.1:1 cannot be reached: ")
    assert "hint: check the address in the kubeconfig, and the network" in message


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"<html>Sign in</html>", "does not answer like an API server"),
        (200, b"{}", "does not answer like an API server"),
        (401, b'{"kind": "Status"}', "refuses: 401"),
        (403, b"", "refuses: 403"),
    ],
)
def test_what_is_no_api_server_or_refuses_is_said(
    status, body, expected, server, fleet, tmp_path, monkeypatch
):
    monkeypatch.setattr(Answers, "status", status)
    monkeypatch.setattr(Answers, "body", body)
    file = tmp_path / "kubeconfig"
    file.write_text(config(server), "utf-8")
    for command in ("plan", "gc"):
        assert f"error: {server} {expected}" in said(command, fleet, file)
