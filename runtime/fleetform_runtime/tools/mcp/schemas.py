"""Schemas that servers list for their tools: bounded before anything reads them, repaired for providers.

A schema comes from somebody else and goes two ways: to the model's provider, which refuses a whole
request for one odd schema, and into our validator, whose work can grow with two to the power of a
schema's size. So it is measured first; what a provider would refuse is written otherwise, and what
cannot be measured, or is too large, leaves its tool out, with a reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from fleetform_runtime import jsons
from fleetform_runtime.tools.schema import compiled

LARGEST = 64 * 1024
"""Bytes of one schema."""
DEEPEST = 40
"""Levels of nesting of one schema, each object and each list counted."""
MOST_STEPS = 10_000
"""Schemas that one argument is compared with at most, references followed."""
LONGEST_DESCRIPTION = 1_024
"""Characters of a tool's description that every provider takes."""
TYPES = frozenset(("string", "number", "integer", "boolean", "array", "object", "null"))
_IN_PLACE = ("allOf", "anyOf", "oneOf")
_ONE_IN_PLACE = ("not", "if", "then", "else")
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_INNER = ("items", "additionalProperties", "contains", "propertyNames", "additionalItems",
          "unevaluatedItems", "unevaluatedProperties")  # fmt: skip


class UnusableError(ValueError):
    """A schema leaves its tool out; the message says why."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A schema in the form for providers, and the one that arguments are checked with."""

    shown: dict[str, Any]
    checked: dict[str, Any] | None
    """None if our validator must not be given it: then the server alone checks."""


def fitted(schema: Any) -> Fitted:
    """Return a listed schema in both forms.

    Raises:
        UnusableError: it is too large, or no schema of an object of arguments.
    """
    if not isinstance(schema, dict):
        return Fitted(_plain({}), None)
    _measure(schema)
    kinds = schema.get("type", "object")
    known = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if _is_type(kind)]
    if known and "object" not in known:
        raise UnusableError(f"its arguments are of type {known[0]}, not object")
    checked = schema if _is_bounded(schema) and _is_valid(schema) else None
    shown = _mended(schema, schema)
    return Fitted(_plain(_merged(shown, schema)), checked)


def check(schema: dict[str, Any]) -> None:
    """Check that values may be compared with a schema that somebody sends.

    Raises:
        UnusableError: it is too large, is no JSON Schema, or could make the comparison endless.
    """
    _measure(schema)
    for part in _all(schema):
        reference = part.get("$ref")
        if isinstance(reference, str) and _found(reference, schema) is None:
            raise UnusableError(f"{reference[:80]} refers to nothing in it")
    if not _is_valid(schema):
        raise UnusableError("it is no JSON Schema of draft 2020-12")
    if not _is_bounded(schema):
        raise UnusableError("it refers to itself, or to others, too often at the same place")
    if (
        compiled(schema) is None
    ):  # a valid schema may have patterns that nothing can be matched with
        raise UnusableError("one of its patterns is no regular expression, or is too large")


def _measure(schema: dict[str, Any]) -> None:
    try:
        size = len(jsons.write(schema))
    except (ValueError, TypeError):
        raise UnusableError("its schema cannot be written") from None
    if size > LARGEST:
        raise UnusableError(f"its schema has {size} bytes, more than {LARGEST}")
    if jsons.depth(schema, DEEPEST) > DEEPEST:
        raise UnusableError(f"its schema is nested more than {DEEPEST} levels deep")


def _is_valid(schema: dict[str, Any]) -> bool:
    try:
        return bool(jsonschema_rs.meta.is_valid(schema))
    except (ValueError, TypeError, jsonschema_rs.ReferencingError):
        return False


# -- how much work a schema is -----------------------------------------------------------------------


class _UnboundedError(Exception):
    """A schema refers to itself without looking deeper into the arguments, or in too many ways."""


def _is_bounded(schema: dict[str, Any]) -> bool:
    """Whether comparing an argument with a schema takes a bounded number of steps at each level."""
    weights: dict[int, int] = {}
    try:
        for part in _all(schema):
            _weigh(part, schema, weights, ())
            inner = [_target(child, schema) for child in _deeper(part)]
            own = [id(child) for child in inner if child is not None]
            if len(own) != len(set(own)) and _is_recursive(part, schema):
                return False
    except (_UnboundedError, RecursionError):
        return False
    return sum(weights.values()) <= MOST_STEPS * 10


def _weigh(part: Any, root: dict[str, Any], weights: dict[int, int], open_: tuple[int, ...]) -> int:
    """Return the schemas that stand for the same argument as a part, references followed."""
    if not isinstance(part, dict):
        return 1
    if id(part) in weights:
        return weights[id(part)]
    if id(part) in open_ or len(open_) > DEEPEST * 4:
        raise _UnboundedError
    total = 1
    for child in _same(part, root):
        total += _weigh(child, root, weights, (*open_, id(part)))
        if total > MOST_STEPS:
            raise _UnboundedError
    weights[id(part)] = total
    return total


def _same(part: dict[str, Any], root: dict[str, Any]) -> Iterator[Any]:
    """Yield the schemas that a part lays on the same argument."""
    for name in _IN_PLACE:
        value = part.get(name)
        yield from value if isinstance(value, list) else ()
    for name in _ONE_IN_PLACE:
        if name in part:
            yield part[name]
    dependent = part.get("dependentSchemas")
    yield from dependent.values() if isinstance(dependent, dict) else ()
    for name in ("$ref", "$dynamicRef"):
        if isinstance(part.get(name), str) and (target := _found(part[name], root)) is not None:
            yield target


def _deeper(part: dict[str, Any]) -> Iterator[Any]:
    """Yield the schemas that a part lays on the members of an argument."""
    for name in ("properties", "patternProperties"):
        value = part.get(name)
        yield from value.values() if isinstance(value, dict) else ()
    for name in _INNER:
        if isinstance(part.get(name), dict):
            yield part[name]
    prefix = part.get("prefixItems")
    yield from prefix if isinstance(prefix, list) else ()


def _target(part: Any, root: dict[str, Any]) -> Any:
    """Return what a part refers to, if it does nothing else."""
    if isinstance(part, dict) and isinstance(part.get("$ref"), str):
        return _found(part["$ref"], root)
    return None


def _is_recursive(part: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether a part is reached again from its own members."""
    seen: set[int] = set()
    left = [part]
    while left:
        one = left.pop()
        for child in (*_same(one, root), *_deeper(one)):
            if child is part:
                return True
            if isinstance(child, dict) and id(child) not in seen:
                seen.add(id(child))
                left.append(child)
    return False


def _all(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every object of a schema: any may be referred to."""
    left: list[Any] = [schema]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield one
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)


def _found(reference: str, root: dict[str, Any]) -> Any:
    """Return what a reference within the schema points to; None for all others."""
    if reference == "#":
        return root
    if not reference.startswith("#/"):
        return next((p for p in _all(root) if p.get("$anchor") == reference[1:]), None)
    found: Any = root
    for step in reference[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    return found


# -- what providers take -----------------------------------------------------------------------------


_GONE = object()


def _mended(part: Any, root: dict[str, Any]) -> Any:
    """Return a part without what no provider takes: unknown types, references that lead nowhere."""
    if not isinstance(part, dict):
        return part
    members = ((name, _member(name, value, root)) for name, value in part.items())
    return {name: value for name, value in members if value is not _GONE}


def _member(name: str, value: Any, root: dict[str, Any]) -> Any:
    """Return a member of a schema, mended, or `_GONE` if it is none."""
    if name in _MAPS and isinstance(value, dict):
        return {key: _mended(inner, root) for key, inner in value.items()}
    if name in (*_INNER, *_ONE_IN_PLACE) and isinstance(value, dict | bool):
        return _mended(value, root)
    if name in (*_IN_PLACE, "prefixItems") and isinstance(value, list):
        return [_mended(inner, root) for inner in value if isinstance(inner, dict | bool)]
    if name == "type":
        known = [kind for kind in (value if isinstance(value, list) else [value]) if _is_type(kind)]
        return (known if isinstance(value, list) else known[0]) if known else _GONE
    if name == "$ref":
        is_found = isinstance(value, str) and _found(value, root) is not None
        return value if is_found else _GONE
    is_list = name in ("enum", "required", "examples") and not isinstance(value, list)
    return _GONE if is_list or name in _STRUCTURE else value


_STRUCTURE = frozenset(
    (*_MAPS, *_INNER, *_IN_PLACE, *_ONE_IN_PLACE, "prefixItems", "$id", "$schema", "$anchor",
     "$dynamicAnchor", "$dynamicRef")
)  # fmt: skip
"""Keywords that are gone if their value is none of theirs, and those that mean nothing to a model."""


def _is_type(kind: Any) -> bool:
    return isinstance(kind, str) and kind in TYPES


def _merged(shown: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without alternatives at its top, where providers want one plain object.

    The properties of all alternatives may be given; the original still decides which go together.
    """
    parts = [part for name in _IN_PLACE for part in shown.get(name, []) if isinstance(part, dict)]
    if isinstance(shown.get("$ref"), str):
        parts.append(_mended(_found(shown["$ref"], root), root) or {})
    if not parts:
        return shown
    merged = {n: v for n, v in shown.items() if n not in (*_IN_PLACE, *_ONE_IN_PLACE, "$ref")}
    properties: dict[str, Any] = {}
    for part in parts:
        target = _target(part, root)
        properties |= _object(_object(_mended(target, root) or part).get("properties"))
    merged["properties"] = {**properties, **_object(shown.get("properties"))}
    merged.pop("additionalProperties", None)
    return merged


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that says what every provider wants said."""
    required = schema.get("required")
    properties = _object(schema.get("properties"))
    found = {**schema, "type": "object", "properties": properties}
    if required is not None:
        names = [n for n in required if isinstance(n, str) and n in properties]
        found["required"] = names
        if not names:
            del found["required"]
    return found
