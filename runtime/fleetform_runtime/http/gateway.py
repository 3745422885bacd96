"""What happens to every request: authentication, timing, and how failures are reported."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from fleetform_runtime.access.identity import Authenticator
from fleetform_runtime.http import errors
from fleetform_runtime.http.events import SlowReaderError
from fleetform_runtime.http.router import Route, Router
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.store import StoreError
from fleetform_runtime.telemetry import variant
from fleetform_runtime.telemetry.logs import request_id
from fleetform_runtime.telemetry.metrics import Metrics

log = logging.getLogger("fleetform_runtime.requests")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_CAUSES = {"memory_unavailable": "memory", "overloaded": "overload", "timeout": "timeout"}

Socket = Callable[[Scope, Receive, Send], Any]


class Gateway:
    """The outermost ASGI application."""

    def __init__(
        self,
        router: Router,
        socket: Socket,
        authenticator: Authenticator,
        metrics: Metrics,
        cors_origins: tuple[str, ...],
        is_draining: Callable[[], bool],
        is_our_host: Callable[[str], bool] | None = None,
    ) -> None:
        self._router = router
        self._socket = socket
        self._authenticator = authenticator
        self._metrics = metrics
        self._origins = frozenset(cors_origins)
        self._is_draining = is_draining
        self._is_our_host = is_our_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one WebSocket."""
        if scope["type"] == "websocket":
            if self.serves(Headers(scope=scope)):
                await self._socket(scope, receive, send)
            else:
                await WebSocket(scope, receive, send).close(1008)
        elif scope["type"] == "http":
            await _Exchange(self, scope, receive, send).run()

    def serves(self, headers: Headers) -> bool:
        """Whether a request is for this machine; asked where nobody signs in."""
        return self._is_our_host is None or self._is_our_host(headers.get("host", ""))

    @property
    def router(self) -> Router:
        """Return the router."""
        return self._router

    @property
    def metrics(self) -> Metrics:
        """Return the metrics."""
        return self._metrics

    def failed(self, cause: str) -> None:
        """Count a request that failed through no fault of the caller."""
        metrics = self._metrics
        metrics.count(f"{metrics.kind}_request_errors_total", cause)

    async def respond(self, request: Request, route: Route) -> Any:
        """Call the route's handler."""
        if not route.public:
            request.state.identity = await self._authenticator.identify(request.headers)
        return await route.handler(request)

    def cors(self, request: Request) -> dict[str, str]:
        """Return the CORS headers of an answer: what it says to a page depends on the page's origin."""
        if not self._origins:
            return {}
        origin = request.headers.get("origin")
        if origin not in self._origins:
            return {"Vary": "Origin"}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": "X-Request-Id, Retry-After, ETag, A2A-Extensions",
            "Vary": "Origin",
        }

    def admits(self, request: Request) -> bool:
        """Whether scripts of the page that asks may call."""
        return request.headers.get("origin") in self._origins

    def is_led_here(self, request: Request) -> bool:
        """Whether a page of another site lets a browser change something where nobody signs in.

        A request without a body needs no permission to be sent across sites; only its answer is kept from the page.
        """
        return (
            self._is_our_host is not None
            and request.method not in ("GET", "HEAD", "OPTIONS")
            and request.headers.get("sec-fetch-site") == "cross-site"
            and not self.admits(request)
        )

    @property
    def closing(self) -> bool:
        """Whether connections should not be reused."""
        return self._is_draining()


class _Exchange:
    """One request and its answer."""

    def __init__(self, gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
        self._gateway = gateway
        self._scope = scope
        self._receive = receive
        self._send = send
        self._status = 0
        self._route: Route | None = None
        self._request = Request(scope, receive)
        self._began = time.perf_counter()
        self._headers: list[tuple[bytes, bytes]] = []

    async def run(self) -> None:
        shown = self._request.headers.get("x-request-id", "")
        name = shown if _REQUEST_ID.fullmatch(shown) else uuid.uuid4().hex
        token = request_id.set(name)
        variant.opened()
        self._headers = [(b"x-request-id", name.encode()), (b"x-content-type-options", b"nosniff")]
        for header, value in self._gateway.cors(self._request).items():
            self._headers.append((header.lower().encode(), value.encode()))
        try:
            await self._answer()
        except SlowReaderError:
            log.info("a client read too slowly; its connection is closed")
            raise
        finally:
            self._tell()
            request_id.reset(token)

    async def _answer(self) -> None:
        try:
            answer = await self._found()
        except HttpProblem as problem:
            answer = self._problem(problem)
        except StoreError as error:
            log.warning("the store failed: %s", error)
            answer = self._problem(
                HttpProblem("memory_unavailable", "the conversation store does not answer", 2)
            )
        except Exception:
            log.exception("a request failed")
            self._gateway.failed("internal")
            answer = self._problem(HttpProblem("internal", "see the runtime's log"))
        await answer(self._scope, self._receive, self._sending)

    async def _found(self) -> Any:
        method, path = self._scope["method"], self._scope["path"]
        if not self._gateway.serves(self._request.headers):
            raise HttpProblem("misdirected", "call it localhost, or set `auth`")
        if self._gateway.is_led_here(self._request):
            raise HttpProblem("forbidden", "this origin is not allowed")
        if method == "OPTIONS" and "access-control-request-method" in self._request.headers:
            return self._preflight()
        route, parameters = self._gateway.router.find(method, path)
        self._route = route
        self._scope["path_params"] = parameters
        return await self._gateway.respond(self._request, route)

    def _preflight(self) -> Response:
        if not self._gateway.admits(self._request):
            raise HttpProblem("forbidden", "this origin is not allowed")
        return Response(
            status_code=204,
            headers={
                "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE",
                "Access-Control-Allow-Headers": "Authorization, Content-Type, X-API-Key, "
                "X-Request-Id, X-User-Id, If-Match, Last-Event-ID, A2A-Version, A2A-Extensions",
                "Access-Control-Max-Age": "600",
            },
        )

    def _problem(self, problem: HttpProblem) -> Response:
        openai = self._scope["path"].startswith("/v1/")
        if problem.run_id is None and (cause := _CAUSES.get(problem.code)):
            self._gateway.failed(cause)
        return errors.response(problem, openai=openai)

    async def _sending(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = [*message.get("headers", ()), *self._headers]
            if not self._may_be_kept(headers):
                headers.append((b"cache-control", b"no-store"))
            if self._gateway.closing:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        await self._send(message)

    def _may_be_kept(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether caches may keep an answer, or it says itself what they may: others have what people said."""
        is_probe = self._route is not None and self._route.silent
        return is_probe or any(name.lower() == b"cache-control" for name, _ in headers)

    def _tell(self) -> None:
        if self._route is not None and self._route.silent:
            return
        path = self._route.path if self._route is not None else "other"
        metrics = self._gateway.metrics
        counted = self._scope.get("state", {}).get("counted_as", path)
        label = counted if counted in metrics.routes else "other"
        failed = self._scope.get("state", {}).get("stream_failed", False)
        status = 500 if failed or not self._status else self._status
        seconds = time.perf_counter() - self._began
        identity = getattr(self._request.state, "identity", None)
        metrics.count(f"{metrics.kind}_request_total", label, f"{status // 100}xx")
        metrics.observe(f"{metrics.kind}_request_duration_seconds", seconds, label)
        log.info(
            "%s %s %s",
            self._scope["method"],
            path,
            self._status,
            extra={
                "method": self._scope["method"],
                "route": path,
                "status": self._status,
                "duration_ms": round(seconds * 1000, 1),
                "caller": identity.user if identity is not None else None,
            },
        )
