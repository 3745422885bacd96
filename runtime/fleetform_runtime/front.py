"""What a process without WebSockets shows to the outside: who may call what, and that it is about to end."""

from collections.abc import Callable
from typing import Any

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from fleetform_runtime.access import build as access
from fleetform_runtime.access import hosts
from fleetform_runtime.http.gateway import Gateway
from fleetform_runtime.http.router import Route, Router
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.access import Auth
from fleetform_runtime.sections.serving import Server
from fleetform_runtime.telemetry.metrics import Metrics


class Front:
    """Routes behind the authentication of their callers; what is behind them is a subclass's."""

    largest_message = 64 * 1024
    """Bytes of a message of a WebSocket, of which there are none."""

    def __init__(
        self,
        server: Server,
        auth: Auth,
        secrets: Secrets,
        metrics: Metrics,
        routes: Callable[[Callable[[], bool]], list[Route]],
    ) -> None:
        """Take what returns the routes, which is given what tells whether the process is about to end."""
        self.server = server
        self.metrics = metrics
        self._draining = False
        self._authenticator = access.authenticator(auth, secrets)
        self.gateway = Gateway(
            Router(routes(self._is_draining)),
            _no_socket,
            self._authenticator,
            metrics,
            server.cors_origins,
            self._is_draining,
            hosts.check_of(auth, server),
        )

    async def close(self) -> None:
        """Close what keeps the keys of an issuer."""
        await self._authenticator.close()

    def begin_to_drain(self) -> int:
        """Become unready; return how many runs are active: none."""
        self._draining = True
        return 0

    def _is_draining(self) -> bool:
        return self._draining


async def _no_socket(scope: Scope, receive: Receive, send: Send) -> Any:
    await WebSocket(scope, receive, send).close(1008)
