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


def response(problem: HttpProblem, *, openai: bool = False) -> Response:
    """Return a problem as a response, including the member that OpenAI clients expect."""
    body = problem.body()
    if openai:
        body["error"] = openai_error(problem)
    headers = dict(problem.headers)
    if (wait := problem.wait()) is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    return Response(orjson.dumps(body), problem.status, headers, media_type=PROBLEM)


def openai_error(problem: HttpProblem) -> dict[str, Any]:
    """Return a problem in OpenAI's format."""
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    kind = kinds.get(problem.status)
    if kind is None:
        kind = "server_error" if problem.status >= 500 else "invalid_request_error"
    return {"message": problem.detail, "type": kind, "param": None, "code": problem.code}
