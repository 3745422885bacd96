"""Own how problems are written on the wire."""

import math
from typing import Any

import orjson
from starlette.responses import Response

from fleetform_runtime.problems import Problem

PROBLEM = "application/problem+json"


class Json(Response):
    """JSON by orjson."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Write the body."""
        return orjson.dumps(content, default=str)


def response(problem: Problem, *, openai: bool = False) -> Response:
    """Write a problem; OpenAI's clients find their own member in it."""
    body = problem.body()
    if openai:
        body["error"] = openai_error(problem)
    headers = dict(problem.headers)
    if (wait := problem.wait()) is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    return Response(orjson.dumps(body), problem.status, headers, media_type=PROBLEM)


def openai_error(problem: Problem) -> dict[str, Any]:
    """Write a problem as OpenAI does."""
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    kind = kinds.get(problem.status)
    if kind is None:
        kind = "server_error" if problem.status >= 500 else "invalid_request_error"
    return {"message": problem.detail, "type": kind, "param": None, "code": problem.code}
