"""`{{ .input.x }}` and `{{ .steps.s.output.y }}`: paths into data, nothing else; what is filled in is never read again."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

_HOLE = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_PLACE = re.compile(r"[0-9]{1,9}")
_PATH = re.compile(r"(?:\.[A-Za-z0-9_-]+)+")


class AbsentError(Exception):
    """A path leads nowhere; the message says which."""


def fault(value: Any) -> str:
    """Return what is wrong with the expressions in a value, empty if nothing is."""
    for path in paths(value):
        if not _PATH.fullmatch(path):
            return f"{{{{ {path[:80]} }}}} is no path"
        parts = path[1:].split(".")
        of_input = parts[0] == "input" and len(parts) > 1
        if not of_input and not (parts[0] == "steps" and parts[2:3] == ["output"] and parts[3:]):
            return f"{{{{ {path[:80]} }}}} refers to neither .input nor .steps.NAME.output"
    return ""


def paths(value: Any) -> Iterator[str]:
    """Yield the paths of all expressions in a value."""
    if isinstance(value, str):
        yield from (match[1] for match in _HOLE.finditer(value))
    elif isinstance(value, dict):
        for item in value.values():
            yield from paths(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from paths(item)


def steps(value: Any) -> set[str]:
    """Return the steps whose outputs a value needs."""
    return {path[1:].split(".")[1] for path in paths(value) if path.startswith(".steps.")}


def filled(value: Any, data: Any) -> Any:
    """Return a value with its expressions replaced by what they lead to.

    An expression that is the whole text keeps its type; within a text, anything else than text becomes JSON.

    Raises:
        AbsentError: one leads nowhere.
    """
    if isinstance(value, str):
        if (whole := _HOLE.fullmatch(value)) and _PATH.fullmatch(whole[1]):
            return at(data, whole[1])
        return _HOLE.sub(lambda hole: _text(at(data, hole[1])), value)
    if isinstance(value, dict):
        return {name: filled(item, data) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [filled(item, data) for item in value]
    return value


def at(data: Any, path: str) -> Any:
    """Return what a path leads to; items of lists have numbers.

    Raises:
        AbsentError: it leads nowhere.
    """
    found = data
    for part in path[1:].split("."):
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list) and _PLACE.fullmatch(part) and int(part) < len(found):
            found = found[int(part)]
        else:
            raise AbsentError(f"there is no {path}")
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
