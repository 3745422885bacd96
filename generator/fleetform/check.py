"""Trees → Problems by JSON Schema: all of them, each at its place and in words for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any

import jsonschema_rs

from fleetform.patterns import WORDS
from fleetform.problems import MAX_PER_FILE, Problem, did_you_mean
from fleetform.tree import Map, at, dotted, problem_at, without_nulls

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a map",
    "null": "nothing",
}


@cache
def schema(kind: str) -> dict[str, Any]:
    """Return the packaged JSON Schema of a kind."""
    text = (files("fleetform") / "schemas" / f"{kind.lower()}.json").read_text(encoding="utf-8")
    body: dict[str, Any] = json.loads(text)
    return body


@cache
def _validator(kind: str, definition: str) -> Any:
    body = schema(kind)
    if definition:
        body = {"$schema": body["$schema"], "$ref": f"#/$defs/{definition}", "$defs": body["$defs"]}
    return jsonschema_rs.validator_for(body)


def check(
    kind: str, tree: Map, *, definition: str = "", prefix: tuple[str | int, ...] = ()
) -> Iterator[Problem]:
    """Yield what a kind's schema refuses in a tree.

    `definition` names a `$defs` entry to check against in place of the whole document, and
    `prefix` the path of `tree` in its document, for messages.
    """
    validator = _validator(kind, definition)
    clean = without_nulls(tree)
    if validator.is_valid(clean):
        return
    explained = (
        problem
        for error in validator.iter_errors(clean)
        for problem in _explain(tree, tuple(error.instance_path), error, kind, definition, prefix)
    )
    found = [*islice(explained, MAX_PER_FILE + 1)]
    # A misspelt field is also a missing one: that is one cause.
    meant = {problem.hint for problem in found if problem.code == "unknown-field"}
    for problem in found:
        field = problem.message.split("`")[1] if problem.code == "missing-field" else ""
        if not field or f"did you mean `{field}`?" not in meant:
            yield problem


def _explain(
    tree: Map,
    path: tuple[Any, ...],
    error: Any,
    kind: str,
    definition: str,
    prefix: tuple[str | int, ...],
) -> Iterator[Problem]:
    detail = error.kind.as_dict()
    name = error.kind.name
    if name == "additionalProperties":
        known = _known_fields(error, kind, definition)
        for field in sorted(detail["unexpected"]):
            yield _problem(
                tree,
                (*path, field),
                prefix,
                "unknown-field",
                f"unknown field `{field[:80]}`",
                did_you_mean(field, known, noun="fields here"),
                key=True,
            )
        return
    if name == "required":
        field = detail["property"]
        yield _problem(
            tree,
            path,
            prefix,
            "missing-field",
            f"`{field}` is missing",
            f"add `{field}:`",
            key=True,
        )
        return
    message, hint = _words(name, detail, error, at(tree, path))
    yield _problem(tree, path, prefix, f"schema-{name}", message, hint)


def _problem(
    tree: Map,
    path: tuple[Any, ...],
    prefix: tuple[str | int, ...],
    code: str,
    message: str,
    hint: str,
    *,
    key: bool = False,
) -> Problem:
    found = problem_at(tree, path, code, message, hint=hint, key=key)
    return Problem(
        "error", code, message, found.file, found.line, found.column, dotted((*prefix, *path)), hint
    )


def _words(name: str, detail: dict[str, Any], error: Any, value: Any) -> tuple[str, str]:  # noqa: PLR0911
    shown = _shown(value)
    if name == "type":
        wanted = " or ".join(_TYPES[kind] for kind in detail["types"])
        hint = (
            f'quote it: "{value}"'
            if detail["types"] == ["string"] and isinstance(value, int | float)
            else "see `fleetform schema`"
        )
        if isinstance(value, bool) and detail["types"] == ["string"]:
            hint = f'quote it: "{str(value).lower()}"'
        return f"{shown} is not {wanted}", hint
    if name == "enum":
        options = [str(option) for option in detail["options"]]
        return f"{shown} is not allowed", did_you_mean(str(value), options, noun="allowed")
    if name == "constant":
        return f"{shown} is not `{detail.get('expected_value', '')}`", "write exactly that"
    if name == "pattern":
        return f"{shown} does not have the right form", WORDS.get(
            detail["pattern"], f"it must match {detail['pattern']}"
        )
    if name in ("anyOf", "oneOf", "oneOfNotValid"):
        return _best_match(error)
    if name == "propertyNames":
        inner = str(detail.get("error") or error.message).split("\n", 1)[0]
        return "a key of this map does not have the right form", inner[:200]
    limit = detail.get("limit")
    if limit is not None:
        side = "at least" if "in" in name.lower().replace("exclusive", "")[1:3] else "at most"
        unit = {"Length": " characters", "Items": " items", "Properties": " keys"}
        suffix = next((text for key, text in unit.items() if name.endswith(key)), "")
        return f"{shown} is out of range", f"{side} {_number(limit)}{suffix}"
    return str(error.message)[:200], "see `fleetform schema`"


def _best_match(error: Any) -> tuple[str, str]:
    """Explain a choice of shapes by the branch that came nearest; `jsonschema` knows how."""
    import jsonschema  # noqa: PLC0415 - costs 65 ms, and only a wrong spec pays for it

    found = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(
            {"anyOf": error.kind.as_dict().get("value") or [{}]}
        ).iter_errors(error.instance)
    )
    return (found.message if found else str(error.message))[:200], "see `fleetform schema`"


def _number(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text[:60]}{'…' if len(text) > 60 else ''}`"


def _known_fields(error: Any, kind: str, definition: str) -> list[str]:
    """Return the fields that the schema at the error's place knows."""
    body: Any = schema(kind)
    if definition:
        body = {"$ref": f"#/$defs/{definition}", "$defs": body["$defs"]}
    root = body
    for step in error.schema_path[:-1]:
        body = _follow(body, root)
        try:
            body = body[step]
        except (KeyError, IndexError, TypeError):
            if step in ("$ref",):
                continue
            return []
    return list(_follow(body, root).get("properties", {}))


def _follow(body: Any, root: Any) -> Any:
    while isinstance(body, dict) and "$ref" in body:
        target = body["$ref"].removeprefix("#/$defs/")
        body = root["$defs"][target]
    return body
