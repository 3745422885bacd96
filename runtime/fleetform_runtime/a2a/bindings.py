"""The two ways to ask: JSON-RPC on one path, and HTTP+JSON on a path for each operation."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from fleetform_runtime.a2a import errors, requests
from fleetform_runtime.a2a.card import Cards
from fleetform_runtime.a2a.dialects import NEW_REST, NEW_RPC, OLD_REST, OLD_RPC, Dialect
from fleetform_runtime.a2a.errors import A2aError
from fleetform_runtime.a2a.names import CURRENT, EXTENSIONS, FORMER, VERSIONS
from fleetform_runtime.a2a.parts import apart
from fleetform_runtime.a2a.requests import Sending
from fleetform_runtime.a2a.service import Caller, Followed, Tasks
from fleetform_runtime.a2a.updates import Frame, Updates
from fleetform_runtime.http.answering import Answering
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.store import Event, StoreError

VERSION = "a2a-version"
WANTED = ("a2a-extensions", "x-a2a-extensions")
"""Headers that say which extensions a client uses, in 1.0 and in 0.3."""
MEDIA = "application/a2a+json"
RESTING = "/a2a/tasks/{id}"
"""The route that a request of JSON-RPC is counted on which begins no run: its own path is that of those that do."""
Params = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, and how its answer is written."""

    request: Request
    dialect: Dialect
    answer: Callable[[Any], Response]
    frame: Frame

    @property
    def caller(self) -> Caller:
        """Return who asks."""
        return Caller(self.request.state.identity, self.request)


Operation = Callable[[Asked, Params], Awaitable[Any]]


class Bindings:
    """Handles requests of both bindings, in both versions."""

    def __init__(self, tasks: Tasks, answering: Answering, cards: Cards) -> None:
        self._tasks = tasks
        self._answering = answering
        self._cards = cards
        self._new: dict[str, Operation] = {
            "SendMessage": self._send,
            "SendStreamingMessage": self._stream,
            "GetTask": self._get,
            "ListTasks": self._list,
            "CancelTask": self._cancel,
            "SubscribeToTask": self._subscribe,
            "GetExtendedAgentCard": self._card,
            "CreateTaskPushNotificationConfig": self._push,
            "GetTaskPushNotificationConfig": self._push,
            "ListTaskPushNotificationConfigs": self._push,
            "DeleteTaskPushNotificationConfig": self._push,
        }
        self._old: dict[str, Operation] = {
            "message/send": self._send,
            "message/stream": self._stream,
            "tasks/get": self._get,
            "tasks/cancel": self._cancel,
            "tasks/resubscribe": self._subscribe,
            "agent/getAuthenticatedExtendedCard": self._card,
            "tasks/pushNotificationConfig/set": self._push,
            "tasks/pushNotificationConfig/get": self._push,
            "tasks/pushNotificationConfig/list": self._push,
            "tasks/pushNotificationConfig/delete": self._push,
        }

    # -- JSON-RPC ----------------------------------------------------------------------------------

    async def rpc(self, request: Request) -> Any:
        """Answer a request of JSON-RPC."""
        name: str | int | None = None
        dialect = NEW_RPC
        try:
            document = await self._answering.read_json(request, apart)
            name = _id(document)
            method, params = _called(document)
            dialect = OLD_RPC if method in self._old else NEW_RPC
            operation = self._operation(request, method)
            asked = Asked(request, dialect, _rpc_answer(name, request), _rpc_frame(name, dialect))
            return await operation(asked, params)
        except A2aError as error:
            return _rpc_error(name, error, dialect)
        except HttpProblem as problem:
            return _rpc_error(name, errors.of(problem), dialect)
        except StoreError:
            return _rpc_error(name, errors.of(_away()), dialect)

    def _operation(self, request: Request, method: str) -> Operation:
        version = _version(request)
        if version in (CURRENT, None) and method in self._new:
            operation = self._new[method]
        elif version in (FORMER, None) and method in self._old:
            operation = self._old[method]
        else:
            raise self._unknown(method, version)
        if operation not in (self._send, self._stream):
            request.state.counted_as = RESTING
        return operation

    def _unknown(self, method: str, version: str | None) -> A2aError:
        if method in self._new or method in self._old:
            there = FORMER if method in self._old else CURRENT
            what = f"{method} is a method of version {there}, and the request is of {version}"
            return A2aError("MethodNotFoundError", what)
        return A2aError("MethodNotFoundError", f"there is no method {method[:100]}")

    # -- HTTP+JSON ---------------------------------------------------------------------------------

    def rest(
        self, operation: str, version: str, *, has_body: bool = False
    ) -> Callable[[Request], Awaitable[Any]]:
        """Return what answers on the path of an operation, named as in version 1.0."""
        work = self._new[operation]
        dialect = NEW_REST if version == CURRENT else OLD_REST

        async def handle(request: Request) -> Any:
            try:
                params = await self._params(request, version, has_body=has_body)
                answer = _rest_answer(dialect, request)
                return await work(Asked(request, dialect, answer, _rest_frame(dialect)), params)
            except A2aError as error:
                return _rest_error(error, dialect)
            except HttpProblem as problem:
                return _rest_error(errors.of(problem), dialect)
            except StoreError:
                return _rest_error(errors.of(_away()), dialect)

        return handle

    async def _params(self, request: Request, version: str, *, has_body: bool) -> Params:
        """Return what a request says in its path, and in its body or its query."""
        if _version(request) not in (version, None):
            what = f"this path is of version {version}: others have paths of their own"
            raise A2aError("VersionNotSupportedError", what)
        said: Any = request.query_params
        if has_body:
            said = await self._answering.read_json(request, apart)
        if has_body and not isinstance(said, dict):
            raise A2aError("InvalidRequestError", "the body is a JSON object")
        return {**said, **request.path_params}

    # -- operations --------------------------------------------------------------------------------

    async def _send(self, asked: Asked, params: Params) -> Any:
        sending = requests.sending(asked.dialect.params(params))
        task = await self._tasks.send(asked.caller, sending)
        return asked.answer(asked.dialect.sent(task))

    async def _stream(self, asked: Asked, params: Params) -> Any:
        sending: Sending = requests.sending(asked.dialect.params(params))
        return await self._follow(
            asked, sending.modes, lambda idle: self._tasks.stream(asked.caller, sending, idle)
        )

    async def _subscribe(self, asked: Asked, params: Params) -> Any:
        task = requests.task_of(params)
        return await self._follow(
            asked, [], lambda idle: self._tasks.subscribe(asked.caller, task, idle)
        )

    async def _follow(
        self, asked: Asked, modes: list[str], open_task: Callable[[float], Awaitable[Followed]]
    ) -> Any:
        updates = Updates(modes, asked.frame)
        alone: list[Callable[[], None]] = []

        async def opened(idle: float) -> AsyncIterator[list[Event]]:
            followed = await open_task(idle)
            updates.begin(followed)
            if followed.live is not None:
                alone.append(followed.live.desert)
            return followed.events

        def gone() -> None:
            for desert in alone:
                desert()

        headers = _headers(asked.request)
        return await self._answering.follow(asked.caller.user, opened, updates, headers, gone)

    async def _get(self, asked: Asked, params: Params) -> Any:
        task = await self._tasks.get(asked.caller, requests.task_of(params))
        return asked.answer(asked.dialect.task(task))

    async def _list(self, asked: Asked, params: Params) -> Any:
        return asked.answer(await self._tasks.list(asked.caller, requests.listing(params)))

    async def _cancel(self, asked: Asked, params: Params) -> Any:
        task = await self._tasks.cancel(asked.caller, requests.task_of(params))
        return asked.answer(asked.dialect.task(task))

    async def _card(self, asked: Asked, params: Params) -> Any:
        del params
        return asked.answer(self._cards.whole())

    async def _push(self, asked: Asked, params: Params) -> Any:
        del asked, params
        raise A2aError("PushNotificationNotSupportedError", "push notifications are not supported")


def _called(document: Any) -> tuple[str, Params]:
    """Return the method and the parameters of a call.

    Raises:
        A2aError: it is none of JSON-RPC 2.0.
    """
    if not isinstance(document, dict):
        raise A2aError(
            "InvalidRequestError", "a request is a JSON object; batches are not supported"
        )
    if document.get("jsonrpc") != "2.0":
        raise A2aError("InvalidRequestError", "jsonrpc is not 2.0")
    name = document.get("id")
    if name is not None and (isinstance(name, bool) or not isinstance(name, str | int | float)):
        raise A2aError("InvalidRequestError", "id is a string or a number")
    method, params = document.get("method"), document.get("params", {})
    if not isinstance(method, str):
        raise A2aError("InvalidRequestError", "method is a string")
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise A2aError("InvalidParamsError", "params is an object")
    return method, params


def _id(document: Any) -> str | int | None:
    found = document.get("id") if isinstance(document, dict) else None
    is_name = isinstance(found, str | int | float) and not isinstance(found, bool)
    return found if is_name else None


def _version(request: Request) -> str | None:
    """Return the version that a client asks in; None if it does not say.

    Raises:
        A2aError: it is none of those that are spoken here.
    """
    said = request.headers.get(VERSION) or request.query_params.get("A2A-Version", "")
    if not said:
        return None
    short = ".".join(said.strip().split(".")[:2])  # patches change nothing
    if short not in VERSIONS:
        raise A2aError(
            "VersionNotSupportedError", f"version {said[:32]}; spoken here: {', '.join(VERSIONS)}"
        )
    return short


def _headers(request: Request) -> dict[str, str]:
    """Return the headers of an answer: the extensions that the client uses, as far as they are known."""
    said = ",".join(request.headers.get(name, "") for name in WANTED)
    wanted = {item.strip() for item in said.split(",")}
    found = [uri for uri in EXTENSIONS if uri in wanted]
    return {"A2A-Extensions": ", ".join(found)} if found else {}


def _away() -> HttpProblem:
    return HttpProblem("memory_unavailable", "the conversation store does not answer", 2)


def _rpc_answer(name: str | int | None, request: Request) -> Callable[[Any], Response]:
    def answer(result: Any) -> Response:
        body = orjson.dumps({"jsonrpc": "2.0", "id": name, "result": result})
        return Response(body, headers=_headers(request), media_type="application/json")

    return answer


def _rest_answer(dialect: Dialect, request: Request) -> Callable[[Any], Response]:
    media = MEDIA if dialect.version == CURRENT else "application/json"

    def answer(result: Any) -> Response:
        return Response(orjson.dumps(result), headers=_headers(request), media_type=media)

    return answer


def _rpc_frame(name: str | int | None, dialect: Dialect) -> Frame:
    def frame(said: dict[str, Any] | A2aError) -> bytes:
        what = (
            {"error": dialect.error(said)}
            if isinstance(said, A2aError)
            else {"result": dialect.update(said)}
        )
        return b"data: %s\n\n" % orjson.dumps({"jsonrpc": "2.0", "id": name, **what})

    return frame


def _rest_frame(dialect: Dialect) -> Frame:
    def frame(said: dict[str, Any] | A2aError) -> bytes:
        if isinstance(said, A2aError):
            return b"event: error\ndata: %s\n\n" % orjson.dumps(dialect.error(said))
        return b"data: %s\n\n" % orjson.dumps(dialect.update(said))

    return frame


def _rpc_error(name: str | int | None, error: A2aError, dialect: Dialect) -> Response:
    """Return an error; a refusal of the server has its HTTP status, so that proxies and metrics know it as one."""
    status = error.status if error.kind == "InternalError" else 200
    body = orjson.dumps({"jsonrpc": "2.0", "id": name, "error": dialect.error(error)})
    return Response(body, status, error.headers, media_type="application/json")


def _rest_error(error: A2aError, dialect: Dialect) -> Response:
    media = MEDIA if dialect.version == CURRENT else "application/json"
    return Response(
        orjson.dumps(dialect.error(error)), error.status, error.headers, media_type=media
    )
