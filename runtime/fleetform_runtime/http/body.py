"""Request bodies: limited in size and time, and validated."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import ClientDisconnect, Request

from fleetform_runtime import jsons
from fleetform_runtime.http.content import attached
from fleetform_runtime.problems import HttpProblem

T = TypeVar("T", bound=BaseModel)
MOST_ERRORS = 20
CLOSE = {"Connection": "close"}
"""An unread body must not be parsed as the next request."""


class Fields(BaseModel):
    """Refuses unknown fields and wrong types."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


async def read(
    request: Request, model: type[T], most: int, seconds: float, attachments: int = 0
) -> T:
    """Read and validate a JSON body of at most `most` bytes besides its images and files.

    Raises:
        HttpProblem: it is too large, too slow, not JSON, or does not match the model.
    """
    return parsed(await received(request, most + attachments, seconds), model, most)


async def received(request: Request, most: int, seconds: float) -> bytes:
    """Return a body that says to be JSON.

    Raises:
        HttpProblem: it is too large, too slow, or says to be something else.
    """
    _check_type(request)
    try:
        async with asyncio.timeout(seconds):
            return await _bytes(request, most)
    except TimeoutError:
        detail = f"the body did not arrive within {seconds:g} s"
        raise HttpProblem("request_timeout", detail, headers=CLOSE) from None


def parsed(raw: bytes | str, model: type[T], most: int) -> T:
    """Validate JSON that has been received."""
    try:
        document = jsons.exact(raw or b"null")
    except ValueError as error:
        if len(raw) > most:
            raise _too_large(most) from None
        raise HttpProblem("invalid_json", f"the body is not JSON: {error}") from None
    check_size(document, raw, most)
    return validated(document, model)


def validated(document: Any, model: type[T]) -> T:
    """Validate what was received, parsed.

    Raises:
        HttpProblem: it does not match the model.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise _wrong(error) from None
    except RecursionError:
        raise HttpProblem("invalid_json", "the body is nested too deeply") from None


def check_size(
    document: Any, raw: bytes | str, most: int, apart: Callable[[Any], int] = attached
) -> None:
    """Check that what was received is no larger than a limit, but for its images and files.

    Args:
        document: what it is, parsed.
        raw: as it was received.
        most: the limit in bytes.
        apart: counts the characters of its images and files.

    Raises:
        HttpProblem: it is larger, or nested too deeply for what is done with it.
    """
    if len(raw) > most and len(raw) - apart(document) > most:
        raise _too_large(most)
    if jsons.is_deep(document, raw):
        raise HttpProblem(
            "invalid_fields", f"body: nested too deeply: more than {jsons.DEEPEST} levels"
        )


def _too_large(most: int) -> HttpProblem:
    return HttpProblem("body_too_large", f"at most {most} bytes", headers=CLOSE)


def _check_type(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise HttpProblem("unsupported_media_type", "send application/json", headers=CLOSE)
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise HttpProblem("unsupported_media_type", "send it without compression", headers=CLOSE)


async def _bytes(request: Request, most: int) -> bytes:
    too_large = _too_large(most)
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > most:
        raise too_large
    pieces, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > most:
                raise too_large
            pieces.append(piece)
    except ClientDisconnect:
        raise HttpProblem("invalid_request", "the client disconnected", headers=CLOSE) from None
    return b"".join(pieces)


def _wrong(error: ValidationError) -> HttpProblem:
    errors = [
        {"path": ".".join(str(step) for step in item["loc"]), "message": item["msg"]}
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ][:MOST_ERRORS]
    detail = "; ".join(f"{item['path'] or 'body'}: {item['message']}" for item in errors[:3])
    return HttpProblem("invalid_fields", detail, extra={"errors": errors})
