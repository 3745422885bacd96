"""Parts of messages: what a model gets to read of them, and the artifacts that its answers become."""

from typing import Any

import orjson

from fleetform_runtime.a2a.errors import A2aError, invalid
from fleetform_runtime.a2a.names import ANSWER, JSON, TEXT
from fleetform_runtime.http.content import content_of
from fleetform_runtime.messages import Part
from fleetform_runtime.problems import HttpProblem

KINDS = ("text", "data", "raw", "url")
UNKNOWN = "application/octet-stream"
_URL_SAFE = str.maketrans("-_", "+/")


def content(parts: list[dict[str, Any]]) -> str | list[Part]:
    """Return the parts of a message as the content of one of ours: within the same limits.

    Raises:
        A2aError: one is of a kind that is not taken, or is too large.
    """
    written = [_written(part, f"message.parts[{n}]") for n, part in enumerate(parts)]
    if len(written) == 1 and written[0]["type"] == "text":
        return str(written[0]["text"])
    try:
        return content_of(written, "message.parts")
    except HttpProblem as problem:
        raise A2aError("InvalidParamsError", problem.detail, problem=problem) from None


def kind_of(part: dict[str, Any], path: str) -> str:
    """Return which of its members says what a part is.

    Raises:
        A2aError: none, or several.
    """
    found = [kind for kind in KINDS if kind in part]
    if len(found) != 1:
        raise invalid(path, f"has one of {', '.join(KINDS)}")
    return found[0]


def _written(part: dict[str, Any], path: str) -> dict[str, Any]:
    kind = kind_of(part, path)
    value = part[kind]
    if kind == "data":
        return {"type": "text", "text": orjson.dumps(value).decode()}
    if not isinstance(value, str):
        raise invalid(f"{path}.{kind}", "is a string")
    if kind == "text":
        return {"type": "text", "text": value}
    media = part.get("mediaType") or UNKNOWN
    if not isinstance(media, str):
        raise invalid(f"{path}.mediaType", "is a string")
    if kind == "url":
        if not (value.startswith("https://") and media.startswith("image/")):
            what = (
                "of files by URL only images (https, mediaType image/…) are taken; send their bytes"
            )
            raise A2aError("ContentTypeNotSupportedError", f"{path}: {what}")
        return {"type": "image_url", "image_url": {"url": value}}
    url = f"data:{media};base64,{value.translate(_URL_SAFE)}"
    return {"type": "file", "file": {"filename": part.get("filename"), "file_data": url}}


def apart(document: Any) -> int:
    """Return how many characters of a request are bytes of files, in any version."""
    params = document.get("params", document) if isinstance(document, dict) else None
    message = params.get("message", params.get("request")) if isinstance(params, dict) else None
    if not isinstance(message, dict):
        return 0
    parts = message.get("parts") or message.get("content")
    return sum(map(_bytes, parts)) if isinstance(parts, list) else 0


def _bytes(part: Any) -> int:
    if not isinstance(part, dict):
        return 0
    inside = part.get("file")
    file = inside if isinstance(inside, dict) else {}
    found = (part.get("raw"), *(file.get(n) for n in ("bytes", "fileWithBytes", "file_with_bytes")))
    return max(len(item) if isinstance(item, str) else 0 for item in found)


def artifact(result: dict[str, Any], modes: list[str]) -> dict[str, Any] | None:
    """Return the answer of a run; a value of a schema as data, unless the client takes text alone."""
    if "data" in result and (not modes or JSON in modes or "*/*" in modes):
        part = {"data": result["data"], "mediaType": JSON}
    elif result.get("output"):
        part = {"text": result["output"], "mediaType": JSON if "data" in result else TEXT}
    else:
        return None
    return {"artifactId": ANSWER, "name": ANSWER, "parts": [part]}
