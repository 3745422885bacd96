"""What a message may consist of, on every path that takes one: text, images, files."""

import base64
import binascii
import re
from typing import Any

from fleetform_runtime.messages import File, Image, Part
from fleetform_runtime.net import texts
from fleetform_runtime.problems import HttpProblem

MOST_PARTS = 64
IMAGES = frozenset(("image/png", "image/jpeg", "image/webp", "image/gif"))
"""Kinds of images that every provider takes whose models can see."""
LARGEST_PART = 5 * 1024 * 1024
"""Bytes of an image or a file; Anthropic takes no larger images."""
LONGEST_NAME = 255
_TEXTS = ("text", "input_text", "output_text", "refusal")
_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]*)*)(;base64)?,", re.ASCII)


def content_of(content: Any, path: str) -> str | list[Part]:
    """Return a message's content.

    Args:
        content: text, a list of parts as in OpenAI's APIs, or None.
        path: where it stands, for problems.

    Raises:
        HttpProblem: a part is of a kind that is not taken, or is too large.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if len(content) > MOST_PARTS:
        raise wrong(path, f"more than {MOST_PARTS} parts")
    return [_part(part, f"{path}.{index}") for index, part in enumerate(content)]


def text_of(content: Any, path: str) -> str:
    """Return the text of what may have nothing else: what a system or a model says.

    Raises:
        HttpProblem: it has images or files, which no model takes there.
    """
    text, images = shown(content, path)
    if images:
        raise wrong(path, "images and files are taken from users alone, images from tools too")
    return text


def shown(content: Any, path: str) -> tuple[str, tuple[Image, ...]]:
    """Return the text and the images of what a tool returned.

    Raises:
        HttpProblem: it has files, which no model takes there.
    """
    found = content_of(content, path)
    parts = [found] if isinstance(found, str) else found
    if any(isinstance(part, File) for part in parts):
        raise wrong(path, "files are taken from users alone; send their text")
    text = "\n".join(part for part in parts if isinstance(part, str))
    return text, tuple(part for part in parts if isinstance(part, Image))


def attached(content: Any) -> int:
    """Return how many characters of a message's content are images and files."""
    if isinstance(content, dict):
        return sum(map(attached, content.values()))
    if isinstance(content, list):
        return sum(map(attached, content))
    return len(content) if isinstance(content, str) and content.startswith("data:") else 0


def _part(part: Any, path: str) -> Part:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in _TEXTS and isinstance(text := part.get("text", part.get("refusal")), str):
        return text
    if kind in ("image_url", "input_image"):
        image = part.get("image_url")
        found = image if isinstance(image, dict) else {"url": image, "detail": part.get("detail")}
        return _image(found, path)
    if kind in ("file", "input_file"):
        inner = part.get("file")
        return _file(inner if isinstance(inner, dict) else part, path)
    raise wrong(path, f"a part of type {kind!r} is not taken: send text, image_url or file")


def _image(image: dict[str, Any], path: str) -> Image:
    url, detail = image.get("url"), image.get("detail")
    if not isinstance(url, str):
        raise wrong(path, "an image needs a url: https or data")
    if url.startswith("https://"):
        return Image(url, detail if isinstance(detail, str) else None)
    media, _ = _data(url, path)
    if media not in IMAGES:
        raise wrong(path, f"an image of type {media}; send {', '.join(sorted(IMAGES))}")
    return Image(url, detail if isinstance(detail, str) else None)


def _file(file: dict[str, Any], path: str) -> Part:
    data, name = file.get("file_data"), file.get("filename")
    if not isinstance(data, str):
        raise wrong(path, "a file needs file_data: a data URL; files are not kept here by id")
    name = name[:LONGEST_NAME] if isinstance(name, str) and name else "file"
    media, raw = _data(data, path)
    if media in IMAGES:
        return Image(data)
    text = texts.text_of(raw, media, None)
    # What is text is read by every model.
    return File(name, data) if text is None else f"[file {name}]\n{text}"


def _data(url: str, path: str) -> tuple[str, bytes]:
    """Return the media type and the bytes of a data URL."""
    found = _DATA.match(url)
    if found is None or not found[3]:
        raise wrong(path, "not an https URL and not data:TYPE;base64,…")
    if len(url) - found.end() > LARGEST_PART * 4 // 3 + 4:
        raise wrong(path, f"larger than {LARGEST_PART} bytes")
    try:
        raw = base64.b64decode(url[found.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise wrong(path, "its base64 is broken") from None
    return (found[1] or "text/plain").lower(), raw


def wrong(path: str, what: str) -> HttpProblem:
    """Return the problem of one member of a request, with its place."""
    errors = [{"path": path, "message": what}]
    return HttpProblem("invalid_fields", f"{path}: {what}", extra={"errors": errors})
