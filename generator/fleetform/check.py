"""Trees → Problems by JSON Schema: all of them, each at its position and in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from fleetform import quantity
from fleetform.patterns import WORDS
from fleetform.problems import MAX_PER_FILE, Problem, did_you_mean
from fleetform.tree import Map, TreePath, at, dotted, problem_at, without_nulls
from fleetform.validators import accepts, follow, root, validator

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a map",
    "null": "nothing",
}


def check(
    kind: str, tree: Map, *, definition: str = "", prefix: tuple[str | int, ...] = ()
) -> Iterator[Problem]:
    """Yield everything in a tree that a kind's schema refuses.

    `definition` names a `$defs` entry, to check one layer of a spec instead of the whole document;
    `prefix` is the path of `tree` in its document, for messages.
    """
    clean = without_nulls(tree)
    if clean is not tree:
        yield from _null_keys(tree, kind, definition, prefix)
    if accepts(kind, definition, clean):
        return
    explained = (
        problem
        for error in validator(kind, definition).iter_errors(clean)
        for problem in _explain(tree, tuple(error.instance_path), error, kind, definition, prefix)
    )
    found = [*islice(explained, MAX_PER_FILE + 1)]
    yield from _one_per_cause(found)


def faults(kind: str, tree: Map, *, definition: str = "") -> Iterator[tuple[TreePath, str]]:
    """Yield the place of everything that a schema refuses and, for an unknown field, the field that was meant.

    For a missing field, the place is that of the map that lacks it.
    """
    for error in validator(kind, definition).iter_errors(without_nulls(tree)):
        path, detail = tuple(error.instance_path), error.kind.as_dict()
        if error.kind.name == "additionalProperties":
            from difflib import get_close_matches  # noqa: PLC0415 - few specs have a wrong field

            known = _known_fields(error, kind, definition)
            for field in detail["unexpected"]:
                yield (*path, field), next(iter(get_close_matches(field[:80], known, n=1)), "")
        elif error.kind.name == "propertyNames":
            yield (*path, detail["error"].instance), ""
        elif error.kind.name != "required" or not (definition or _is_layer(kind, tree, path)):
            yield path, ""


def _null_keys(
    tree: Map, kind: str, definition: str, prefix: tuple[str | int, ...]
) -> Iterator[Problem]:
    """Yield unknown fields that are null, which the schema never sees."""
    whole = root(kind, definition)
    todo: list[tuple[Any, Any, tuple[Any, ...]]] = [(tree, whole, ())]
    while todo:
        node, rule, path = todo.pop()
        rule = follow(rule, whole["$defs"])
        known = rule.get("properties", {})
        rows: list[tuple[Any, Any, Any]]
        if isinstance(node, list):
            rows = [(number, item, rule.get("items")) for number, item in enumerate(node)]
        else:
            rows = [
                (key, node[key], known.get(key, rule.get("additionalProperties"))) for key in node
            ]
        for key, value, below in rows:
            if value is None and known and key not in known and not isinstance(below, dict):
                message = f"unknown field `{key[:80]}`"
                hint = did_you_mean(key, known, noun="fields here")
                yield _problem(tree, (*path, key), prefix, "unknown-field", message, hint, key=True)
            elif isinstance(value, dict | list) and isinstance(below, dict):
                todo.append((value, below, (*path, key)))


def _one_per_cause(found: list[Problem]) -> Iterator[Problem]:
    """Leave out consequences: a misspelt field is also a missing one, a wrong type also a wrong format."""
    meant = {problem.hint for problem in found if problem.code == "unknown-field"}
    mistyped = {problem.path for problem in found if problem.code == "schema-type"}
    for problem in found:
        field = problem.message.split("`")[1] if problem.code == "missing-field" else ""
        if field and f"did you mean `{field}`?" in meant:
            continue
        if problem.code in ("schema-type", "missing-field") or problem.path not in mistyped:
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
        if definition or _is_layer(kind, tree, path):
            return
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
    if name == "propertyNames":
        found = detail["error"]
        words, rule = found.kind.as_dict(), found.kind.name
        _, hint = _words(kind, rule, words, found.instance)
        message = f"the key {_shown(found.instance)} does not have the right format"
        where = (*path, found.instance)
        yield _problem(tree, where, prefix, "schema-propertyNames", message, hint, key=True)
        return
    message, hint = _words(kind, name, detail, at(tree, path))
    yield _problem(tree, path, prefix, f"schema-{name}", message, hint)


def _is_layer(kind: str, tree: Map, path: tuple[Any, ...]) -> bool:
    """Whether a place is one layer of a spec; what it lacks may come from others, and the merged spec is checked."""
    if kind == "Environment":
        return path[:2] == ("spec", "defaults")
    extends = kind == "Agent" and at(tree, ("spec", "extends")) is not None
    return path[:1] == ("spec",) and (extends or kind == "AgentTemplate")


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


def _words(kind: str, name: str, detail: dict[str, Any], value: Any) -> tuple[str, str]:
    """Return what is wrong with a value according to one schema rule, and how to fix it."""
    shown, look = _shown(value), f"see `fleetform schema {kind}`"
    if name == "type":
        wanted = " or ".join(_TYPES[word] for word in detail["types"])
        is_scalar = isinstance(value, int | float) and detail["types"] == ["string"]
        return f"{shown} is not {wanted}", f'quote it: "{shown.strip("`")}"' if is_scalar else look
    if name == "enum":
        options = [str(option) for option in detail["options"]]
        return f"{shown} is not allowed", did_you_mean(str(value), options, noun="allowed")
    if name == "pattern":
        hint = WORDS.get(detail["pattern"], f"it must match {detail['pattern']}")
        return f"{shown} does not have the right format", hint
    if name in ("format", "multipleOf"):  # the one is for texts, the other for numbers
        return _format(detail.get("format", "count"), shown, value)
    if name in _LIMITS:
        return _out_of_range(name, detail["limit"], value)
    return f"{shown} violates `{name}` of its schema", look


def _format(name: str, shown: str, value: Any) -> tuple[str, str]:
    """Return message and hint for a quantity that is not what its field counts."""
    if not quantity.is_exact(quantity.text(value)):
        hint = "at most 2^63-1, and no finer than `1n`"
        return f"{shown} is more than a cluster can store exactly", hint
    if name == "size" and quantity.is_whole(quantity.text(value)):
        return f"{shown} is no size: nothing fits in", "write a size such as `10Gi`"
    if name == "count":
        return f"{shown} is no whole number", "write one, such as `1` or `512Mi`"
    return (
        f"{shown} is no whole number of bytes",
        "write bytes, such as `512Mi` (`m` is a thousandth)",
    )


_LIMITS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
    "minLength": "at least",
    "maxLength": "at most",
    "minItems": "at least",
    "maxItems": "at most",
}


def _out_of_range(name: str, limit: float, value: Any) -> tuple[str, str]:
    units = {"Length": "character", "Items": "item"}
    unit = next((word for ending, word in units.items() if name.endswith(ending)), "")
    hint = f"{_LIMITS[name]} {_counted(limit, unit)}"
    if unit:
        return f"{_shown(value)} has {_counted(len(value), unit)}", hint
    return f"{_shown(value)} is out of range", hint


def _counted(number: float, unit: str) -> str:
    return f"{_number(number)} {unit}{'s' if unit and number != 1 else ''}".rstrip()


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
    """Return the fields that the schema allows at the error's place."""
    body: Any = root(kind, definition)
    definitions = body["$defs"]
    for step in error.schema_path[:-1]:
        if step != "$defs":  # some paths name the definition that a reference points to
            body = follow(body, definitions)
        try:
            body = body[step]
        except (KeyError, IndexError, TypeError):
            if step == "$ref":
                continue
            return []
    return list(follow(body, definitions).get("properties", {}))
