"""The process: two listeners, signals, and a shutdown that loses nothing."""

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import uvicorn
import uvloop
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fleetform_runtime import __version__
from fleetform_runtime.forms import redactor
from fleetform_runtime.http.protocol import bounded
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.serving import Server
from fleetform_runtime.store import UnsuitableStoreError
from fleetform_runtime.telemetry import logs
from fleetform_runtime.telemetry.metrics import TEXT, Metrics

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 75
"""Longer than the idle timeout of common load balancers, which must close first."""
TICK_SECONDS = 0.1
LAST_SECONDS = 5
"""Seconds for connections to flush their output once all runs have ended."""


class _Listener(uvicorn.Server):
    """A uvicorn server that leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    async def main_loop(self) -> None:
        """Tick as uvicorn does, which sets the Date header, and notice the end at once."""
        count = 0
        while not await self.on_tick(count):
            count = (count + 1) % 864_000
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._stopping.wait()

    def end(self) -> None:
        """Close idle connections, wait for the others, and return from `serve`."""
        self.should_exit = True
        self._stopping.set()

    def stop_listening(self) -> None:
        """Accept no more connections; open ones continue."""
        for server in self.servers:
            server.close()


def _listener(app: Any, sock: socket.socket, **options: Any) -> tuple[_Listener, socket.socket]:
    config = uvicorn.Config(
        app,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=LAST_SECONDS,
        **options,
    )
    return _Listener(config), sock


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens once its server runs; port 0 picks any free one.

    Raises:
        OSError: the address is in use or not available.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, or asyncio does not turn Nagle's algorithm off: an answer is written in two parts, and the second would
    # wait until the client has acknowledged the first, 40 ms.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


class Served(Protocol):
    """What is served: an agent, or a workflow."""

    gateway: Any
    metrics: Metrics

    @property
    def server(self) -> Server:
        """Return where it is served."""

    @property
    def largest_message(self) -> int:
        """Return the bytes of a message of a WebSocket."""

    async def open(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Close everything."""

    def begin_to_drain(self) -> int:
        """Become unready; return how many runs are active."""

    async def drain(self) -> None:
        """Let what is active finish, or leave it to others."""


class Process:
    """Serves an application until a signal arrives."""

    def __init__(self, application: Served, main: socket.socket, metrics: socket.socket) -> None:
        server = application.server
        self._application = application
        self._server = server
        self._stop = asyncio.Event()
        self._main, self._main_socket = _listener(
            application.gateway,
            main,
            http=bounded(server.read_seconds),
            ws="websockets-sansio",
            ws_max_size=application.largest_message,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            backlog=2048,
        )
        self._metrics, self._metrics_socket = _listener(
            MetricsPage(application.metrics), metrics, http=bounded(10), ws="none"
        )

    @property
    def address(self) -> str:
        """Return the URL of the HTTP API."""
        host, port = self._main_socket.getsockname()[:2]
        return f"http://{host}:{port}"

    @property
    def metrics_address(self) -> str:
        """Return the URL of the metrics."""
        host, port = self._metrics_socket.getsockname()[:2]
        return f"http://{host}:{port}/metrics"

    @property
    def listening(self) -> bool:
        """Whether both listeners are up."""
        return self._main.started and self._metrics.started

    def stop(self) -> None:
        """Begin to shut down."""
        self._stop.set()

    async def run(self) -> None:
        """Open, serve until told to stop, then drain; a signal that comes while it opens ends it at once."""
        with self._signals():
            opening = asyncio.create_task(self._application.open())
            await self._until_stopped([opening])
            if opening.done():
                await self._serve(opening)
                return
            opening.cancel()
            await asyncio.wait([opening])
        await self._application.close()

    async def _serve(self, opened: asyncio.Task[None]) -> None:
        opened.result()
        serving = [
            asyncio.create_task(self._main.serve([self._main_socket])),
            asyncio.create_task(self._metrics.serve([self._metrics_socket])),
        ]
        try:
            await self._until_stopped(serving)
            await self._drain()
        finally:
            self._main.end()
            self._metrics.end()
            await asyncio.gather(*serving, return_exceptions=True)
            await self._application.close()

    async def _until_stopped(self, serving: list[asyncio.Task[None]]) -> None:
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait([stopped, *serving], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()

    async def _drain(self) -> None:
        """Become unready, stop listening, let runs and streams finish, in this order."""
        log.info("draining: %d runs are still active", self._application.begin_to_drain())
        if self._server.drain_delay_seconds:
            await asyncio.sleep(self._server.drain_delay_seconds)
        self._main.stop_listening()
        await self._application.drain()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


Placed = TypeVar("Placed", bound=Any)


def serve(
    settings: Placed,
    options: argparse.Namespace,
    secrets: Secrets,
    name: str,
    make: Callable[[Placed], Served],
) -> int:
    """Serve what is made of settings where they or the options say, until a signal; return the exit code."""
    logs.configure(settings.observability.logging, redactor(secrets.known))
    server = settings.server
    host = options.host or server.host
    placed = settings.model_copy(update={"server": server.model_copy(update={"host": host})})
    port = server.port if options.port is None else options.port
    metrics_port = server.metrics_port if options.metrics_port is None else options.metrics_port
    try:
        main = bound(host, port) if options.fd is None else socket.socket(fileno=options.fd)
        metrics = bound(host, metrics_port)
    except OSError as error:
        sys.stderr.write(f"error: {host}:{port} and {metrics_port}: {error.strerror}\n")
        return 1

    async def run() -> None:
        application = make(placed)
        log.info(
            "%s %s serves %s on %s:%d, metrics on %d",
            "fleetform-runtime",
            __version__,
            name,
            host,
            main.getsockname()[1],
            metrics.getsockname()[1],
        )
        gc.collect()
        gc.freeze()  # what is created at start lives as long as the process
        await Process(application, main, metrics).run()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except UnsuitableStoreError as error:
        sys.stderr.write(f"error: {options.config}: memory: {error}\n")
        return 1
    return 0


class MetricsPage:
    """Serves GET /metrics, and nothing else, on a separate port."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one scrape."""
        if scope["type"] != "http":
            return
        if scope["path"] != "/metrics":
            answer = Response("metrics: /metrics\n", 404, media_type="text/plain")
        elif scope["method"] not in ("GET", "HEAD"):
            answer = Response(status_code=405, headers={"Allow": "GET"})
        else:
            answer = Response(self._metrics.text(), headers={"Content-Type": TEXT})
        await answer(scope, receive, send)
