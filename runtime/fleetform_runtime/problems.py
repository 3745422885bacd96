"""How a request can fail: one exception with the members of RFC 9457."""

from dataclasses import dataclass, field
from typing import Any

TYPE = "https://fleetform.dev/problems/"

# code: (status, title, whether the same request may succeed later)
CODES: dict[str, tuple[int, str, bool]] = {
    "invalid_json": (400, "The body is not JSON", False),
    "invalid_request": (400, "The request is invalid", False),
    "unauthenticated": (401, "The caller is not authenticated", False),
    "forbidden": (403, "The caller is not allowed to do this", False),
    "not_found": (404, "There is no such resource", False),
    "session_not_found": (404, "There is no such session", False),
    "not_kept": (404, "The agent keeps nothing between requests", False),
    "memory_not_found": (404, "There is no such memory", False),
    "run_not_found": (404, "There is no such run", False),
    "model_not_found": (404, "The agent has no such model", False),
    "method_not_allowed": (405, "The path does not support this method", False),
    "request_timeout": (408, "The request took too long to arrive", True),
    "conflict": (409, "It was changed by someone else", True),
    "session_exists": (409, "The session exists already", False),
    "approval_pending": (409, "The session waits for approval", False),
    "approval_used": (409, "The question was answered or has expired", False),
    "run_exists": (409, "There is another run of this name", False),
    "run_ended": (409, "The run has ended", False),
    "not_retryable": (409, "The run cannot be tried again", False),
    "unreadable": (409, "The stored data cannot be read", False),
    "events_gone": (410, "These events are no longer kept", False),
    "body_too_large": (413, "The body is too large", False),
    "session_too_large": (413, "The session is too large", False),
    "unsupported_media_type": (415, "The body must be JSON", False),
    "misdirected": (421, "This host is not served here", False),
    "invalid_fields": (422, "Some fields are invalid", False),
    "rate_limited": (429, "A limit is exhausted", True),
    "concurrency_rejected": (429, "As many runs are open as may be", True),
    "headers_too_large": (431, "The headers are too large", False),
    "cancelled": (409, "The run was cancelled", True),
    "steps_exceeded": (422, "The run exceeded its maximum number of steps", False),
    "context_too_long": (422, "The conversation is too long for the model", False),
    "content_filtered": (422, "The provider's content filter refused it", False),
    "output_invalid": (422, "The answer does not match its schema", True),
    "internal": (500, "Something went wrong", True),
    "model_failed": (502, "The model failed", True),
    "model_refused": (502, "The model's provider refused the request", False),
    "overloaded": (503, "Too many concurrent runs", True),
    "interrupted": (503, "The run was interrupted", True),
    "draining": (503, "This replica is shutting down", True),
    "memory_unavailable": (503, "The conversation store does not answer", True),
    "not_ready": (503, "This replica is not ready", True),
    "agents_in_circle": (508, "Agents call each other in a circle", False),
    "timeout": (504, "A deadline was exceeded", True),
}


@dataclass(eq=False)
class HttpProblem(Exception):  # noqa: N818 - RFC 9457 calls it so
    """Ends a request with one of the codes above."""

    code: str
    detail: str
    retry_after: float | None = None
    run_id: str | None = None
    retryable: bool | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"

    @property
    def status(self) -> int:
        """Return the HTTP status of the code."""
        return CODES[self.code][0]

    @property
    def may_retry(self) -> bool:
        """Whether the same request may succeed later."""
        return CODES[self.code][2] if self.retryable is None else self.retryable

    def wait(self) -> float | None:
        """Return the seconds for Retry-After: 429 and 503 always carry it."""
        if self.retry_after is None and self.status in (429, 503):
            return 1
        return self.retry_after

    def body(self) -> dict[str, Any]:
        """Return the members of the problem document, without unknown ones."""
        status, title, _ = CODES[self.code]
        return {
            "type": TYPE + self.code,
            "title": title,
            "status": status,
            "detail": self.detail,
            "code": self.code,
            "retryable": self.may_retry,
            **({"run_id": self.run_id} if self.run_id else {}),
            **self.extra,
        }


def not_kept(detail: str) -> HttpProblem:
    """Return the refusal of what needs a store, by an agent without one."""
    return HttpProblem("not_kept", f"the agent's memory is of type none: {detail}")
