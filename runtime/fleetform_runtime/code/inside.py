"""The process in a sandbox: it runs one program that is sent to it, and then nothing any more.

There is nothing here to protect but the answer: no configuration, no secret, no other user's data, no way out of the
pod. So the walls are the pod's (a kernel of its own, no network), and the process of the code has limits only.
"""

import asyncio
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Any, NoReturn

from fleetform_runtime.code import CodeError, Limits

PORT = 8080
RUN = "/run"
HEALTH = "/health"
LARGEST_REQUEST = 16 * 1024 * 1024
"""Bytes of a program and its inputs."""
READ_SECONDS = 30
"""Seconds in which a request has to arrive."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = READ_SECONDS
    once: threading.Lock

    def do_GET(self) -> None:
        """Say that a program may be sent."""
        self._answer(200 if self.path == HEALTH else 404, {})

    def do_POST(self) -> None:
        """Run a program, the first that is sent."""
        if self.path != RUN:
            self._answer(404, {})
            return
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > LARGEST_REQUEST:
            self._answer(413, {"error": f"a request has at most {LARGEST_REQUEST} bytes"})
            return
        try:
            code, inputs, limits = _read(json.loads(self.rfile.read(int(length))))
        except (ValueError, RecursionError, TypeError, KeyError):
            self._answer(400, {"error": "this is no program with its limits"})
            return
        if not self.once.acquire(blocking=False):
            self._answer(409, {"error": "this sandbox has run a program already"})
            return
        try:
            self._answer(200, {"output": asyncio.run(_run(code, inputs, limits))})
        except CodeError as error:
            self._answer(200, {"error": str(error)})

    def _answer(self, status: int, document: dict[str, str]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Log nothing: what is asked here is logged by who asks."""


def _read(asked: Any) -> tuple[str, dict[str, Any], Limits]:
    """Return a program, its inputs and its limits; raise what reading raises."""
    limits = Limits(float(asked["seconds"]), int(asked["memory"]), int(asked["output"]))
    if not isinstance(asked["inputs"], dict):
        raise TypeError("inputs")
    return str(asked["code"]), asked["inputs"], limits


async def _run(code: str, inputs: dict[str, Any], limits: Limits) -> str:
    from fleetform_runtime.code.runner import Runner  # noqa: PLC0415 - needs what Linux has

    return await Runner(limits, sandboxed=True).run(code, inputs)


def serve(port: int = PORT, host: str = "") -> int:
    """Answer until SIGTERM; return 0."""
    signal.signal(signal.SIGTERM, _end)
    handler = type("_Once", (_Handler,), {"once": threading.Lock()})
    # Both families, where there are both: the pod's first address may be of either.
    server = _Both((host, port), handler)
    print(f"a program may be sent to port {server.server_port}", flush=True)
    with server:
        server.serve_forever()
    return 0


class _Both(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        import socket  # noqa: PLC0415 - for the families alone

        both = not address[0] and socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if both else socket.AF_INET
        super().__init__(address, handler, bind_and_activate=False)
        if both:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.server_bind()
        self.server_activate()

    def server_bind(self) -> None:
        """Bind, without asking a name server for this machine's name as the library would."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "sandbox", self.server_address[1]


def _end(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(0)
