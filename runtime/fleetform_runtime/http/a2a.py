"""Agent2Agent: the card, JSON-RPC and HTTP+JSON. What speaks it is imported with the first request."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from fleetform_runtime.http.mounting import BOTH, Mounted, Parts
from fleetform_runtime.http.router import Route

if TYPE_CHECKING:
    from fleetform_runtime.a2a.bindings import Bindings
    from fleetform_runtime.a2a.card import Cards

CARDS = ("/.well-known/agent-card.json", "/.well-known/agent.json")
"""Where clients of 1.0, and of versions before 0.3, look for the card."""
PATH = "/a2a"
_PUSH = "GetTaskPushNotificationConfig"
OPERATIONS = (
    ("POST", "/message:send", "SendMessage", "Send a message"),
    ("POST", "/message:stream", "SendStreamingMessage", "Send a message, and follow its task"),
    ("POST", "/tasks/{id}:cancel", "CancelTask", "Cancel a task"),
    ("POST", "/tasks/{id}:subscribe", "SubscribeToTask", "Follow a task"),
    ("GET", "/tasks/{id}:subscribe", "SubscribeToTask", "Follow a task"),
    ("GET", "/tasks/{id}", "GetTask", "Show a task"),
    *(
        (method, f"/tasks/{{id}}/pushNotificationConfigs{rest}", _PUSH, "Not supported")
        for method, rest in (
            ("GET", ""),
            ("POST", ""),
            ("GET", "/{config}"),
            ("DELETE", "/{config}"),
        )
    ),
)
"""Paths of HTTP+JSON that both versions have, and the operations behind them."""
_CARD = "Show the whole card"


class Surface:
    """Answers, once what speaks the protocol is there."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._made: tuple[Bindings, Cards] | None = None

    def _both(self) -> "tuple[Bindings, Cards]":
        if self._made is None:
            from fleetform_runtime.a2a.bindings import Bindings  # noqa: PLC0415 - few agents are asked
            from fleetform_runtime.a2a.card import Cards  # noqa: PLC0415
            from fleetform_runtime.a2a.service import Tasks  # noqa: PLC0415

            parts = self._parts
            cards = Cards(parts.settings, parts.tools)
            tasks = Tasks(parts.runs, parts.answering, parts.settings.limits.agent_hops)
            self._made = Bindings(tasks, parts.answering, cards), cards
        return self._made

    async def card(self, request: Request) -> Response:
        """Show the card."""
        body, tag = self._both()[1].public()
        headers = {"ETag": tag, "Cache-Control": "public, max-age=60"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(None, 304, headers)
        return Response(body, headers=headers, media_type="application/json")

    async def rpc(self, request: Request) -> Any:
        """Answer JSON-RPC."""
        return await self._both()[0].rpc(request)

    def rest(self, operation: str, version: str) -> Callable[[Request], Awaitable[Any]]:
        """Return what answers on one path of HTTP+JSON."""

        @cache
        def handler() -> Callable[[Request], Awaitable[Any]]:
            has_body = operation.startswith("Send")
            return self._both()[0].rest(operation, version, has_body=has_body)

        async def handle(request: Request) -> Any:
            return await handler()(request)

        return handle


def mount(parts: Parts) -> Mounted:
    """Mount A2A, in versions 1.0 and 0.3."""
    surface = Surface(parts)
    routes = [
        Route("GET", path, surface.card, public=True, summary="Show the agent's card")
        for path in CARDS
    ]
    routes.append(Route("POST", PATH, surface.rpc, summary="Agent2Agent by JSON-RPC", answer=BOTH))
    for version, prefix in (("1.0", PATH), ("0.3", f"{PATH}/v1")):
        for method, path, operation, summary in OPERATIONS:
            answer = BOTH if operation in ("SendStreamingMessage", "SubscribeToTask") else ""
            handler = surface.rest(operation, version)
            shown = f"{summary} (version {version})"
            routes.append(Route(method, prefix + path, handler, summary=shown, answer=answer))
        if version == "1.0":  # 0.3 lists no tasks
            handler = surface.rest("ListTasks", version)
            routes.append(Route("GET", f"{prefix}/tasks", handler, summary="List tasks"))
        card = "/extendedAgentCard" if version == "1.0" else "/card"
        handler = surface.rest("GetExtendedAgentCard", version)
        routes.append(Route("GET", prefix + card, handler, summary=f"{_CARD} (version {version})"))
    return Mounted(tuple(routes))
