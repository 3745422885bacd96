"""How problems are serialised."""

import math
from typing import Any

import orjson
from starlette.responses import Response

from fleetform_runtime.problems import HttpProblem

PROBLEM = "application/problem+json"


class Json(Response):
    """JSON by orjson."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Serialise the body."""
        return orjson.dumps(content, default=str)


_OPENAI: dict[str, tuple[int, str]] = {
    "context_too_long": (400, "context_length_exceeded"),
    "content_filtered": (400, "content_filter"),
    "unauthenticated": (401, "invalid_api_key"),
    "rate_limited": (429, "rate_limit_exceeded"),
}
"""Status and code by which clients of OpenAI's API know a problem, where ours are others."""


def response(problem: HttpProblem, *, openai: bool = False) -> Response:
    """Return a problem as a response, including the member that OpenAI clients expect."""
    body, status = problem.body(), problem.status
    if openai:
        status = _OPENAI.get(problem.code, (status, ""))[0]
        body |= {"status": status, "error": openai_error(problem)}
    headers = dict(problem.headers)
    if (wait := problem.wait()) is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    return Response(orjson.dumps(body), status, headers, media_type=PROBLEM)


def openai_error(problem: HttpProblem) -> dict[str, Any]:
    """Return a problem in OpenAI's format."""
    status, code = _OPENAI.get(problem.code, (problem.status, problem.code))
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    kind = kinds.get(status)
    if kind is None:
        kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"message": problem.detail, "type": kind, "param": None, "code": code}
