"""How requests fail, in the words of the protocol."""

import math
from dataclasses import dataclass, field
from typing import Any

from fleetform_runtime.a2a.names import ERROR, NO_TASK
from fleetform_runtime.problems import HttpProblem

DOMAIN = "a2a-protocol.org"
INFO = "type.googleapis.com/google.rpc.ErrorInfo"

# kind: (code of JSON-RPC, HTTP status, gRPC's name of the status)
KINDS: dict[str, tuple[int, int, str]] = {
    "TaskNotFoundError": (NO_TASK, 404, "NOT_FOUND"),
    "TaskNotCancelableError": (-32002, 400, "FAILED_PRECONDITION"),
    "PushNotificationNotSupportedError": (-32003, 400, "FAILED_PRECONDITION"),
    "UnsupportedOperationError": (-32004, 400, "FAILED_PRECONDITION"),
    "ContentTypeNotSupportedError": (-32005, 400, "INVALID_ARGUMENT"),
    "VersionNotSupportedError": (-32009, 400, "FAILED_PRECONDITION"),
    "JSONParseError": (-32700, 400, "INVALID_ARGUMENT"),
    "InvalidRequestError": (-32600, 400, "INVALID_ARGUMENT"),
    "MethodNotFoundError": (-32601, 404, "NOT_FOUND"),
    "InvalidParamsError": (-32602, 400, "INVALID_ARGUMENT"),
    "InternalError": (-32603, 500, "INTERNAL"),
}
_STATUSES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_OF_PROBLEMS = {
    "invalid_json": "JSONParseError",
    "body_too_large": "InvalidRequestError",
    "invalid_request": "InvalidRequestError",
    "invalid_fields": "InvalidParamsError",
    "model_not_found": "InvalidParamsError",
    "run_not_found": "TaskNotFoundError",
    "forbidden": "UnsupportedOperationError",
    "approval_used": "UnsupportedOperationError",
    "approval_pending": "UnsupportedOperationError",
    "not_kept": "UnsupportedOperationError",
    "run_ended": "TaskNotCancelableError",
}
"""Problems that the protocol has a word for; all others are internal errors, with the problem in their data."""


@dataclass(eq=False)
class A2aError(Exception):
    """Ends a request with one of the kinds above."""

    kind: str
    message: str
    metadata: dict[str, str] = field(default_factory=dict)
    problem: HttpProblem | None = None

    @property
    def code(self) -> int:
        """Return the code for JSON-RPC."""
        return KINDS[self.kind][0]

    @property
    def status(self) -> int:
        """Return the HTTP status: that of the problem, where the protocol has no word for it."""
        if self.problem is not None and self.kind == "InternalError":
            return self.problem.status
        return KINDS[self.kind][1]

    @property
    def grpc(self) -> str:
        """Return gRPC's name of the status."""
        return _STATUSES.get(self.status, KINDS[self.kind][2])

    @property
    def headers(self) -> dict[str, str]:
        """Return headers of the answer."""
        if self.problem is None:
            return {}
        wait = self.problem.wait()
        again = {} if wait is None else {"Retry-After": str(max(1, math.ceil(wait)))}
        return self.problem.headers | again

    def details(self) -> list[dict[str, Any]]:
        """Return what programs read of it."""
        info = {"@type": INFO, "reason": _reason(self.kind), "domain": DOMAIN}
        found: list[dict[str, Any]] = [{**info, "metadata": self.metadata}]
        if self.problem is not None:
            found.append({"@type": ERROR, **failure(self.problem)})
        return found

    def rpc(self) -> dict[str, Any]:
        """Return the error of a JSON-RPC response."""
        return {"code": self.code, "message": self.message, "data": self.details()}

    def body(self) -> dict[str, Any]:
        """Return the body of an HTTP answer."""
        return {
            "error": {
                "code": self.status,
                "status": self.grpc,
                "message": self.message,
                "details": self.details(),
            }
        }


def failure(problem: HttpProblem) -> dict[str, Any]:
    """Return what programs read of a problem."""
    wait = problem.wait()
    return {
        "code": problem.code,
        "detail": problem.detail,
        "retryable": problem.may_retry,
        **({} if wait is None else {"retry_after": wait}),
    }


def of(problem: HttpProblem) -> A2aError:
    """Return a problem in the words of the protocol."""
    kind = _OF_PROBLEMS.get(problem.code, "InternalError")
    return A2aError(kind, problem.detail, problem=problem)


def invalid(path: str, what: str) -> A2aError:
    """Return the error of one member of a request, with its place."""
    return A2aError("InvalidParamsError", f"{path}: {what}", {"field": path})


def no_task() -> A2aError:
    """Return the error of a task that does not exist for a caller."""
    return A2aError("TaskNotFoundError", "it never existed, is not yours, or is no longer kept")


def _reason(kind: str) -> str:
    """Return the name of a kind as google.rpc.ErrorInfo writes it."""
    words = kind.removesuffix("Error").replace("JSONParse", "JsonParse")
    if kind == "InternalError":
        return "INTERNAL_ERROR"
    return "".join(f"_{char}" if char.isupper() else char for char in words)[1:].upper()
