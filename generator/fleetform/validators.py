"""The packaged JSON Schemas and their validators, of which many runs prepare only a small part."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from fleetform import quantity
from fleetform.jsonschemas import jsonschema_rs

_SCHEMAS = Path(__file__).with_name("schemas")
_DEPTHS = {"Environment": 4, "Agent": 3}
"""How many levels of maps are left out where no document has them: `spec.defaults.Agent.auth`, `spec.memory.store`; of
other kinds, two."""

_PARTS = 3
"""How many parts of a schema are prepared before the whole is, which costs two to four times as much as one of them."""

_Place = tuple[str, ...]
_reached: dict[tuple[str, str], tuple[int, frozenset[_Place], Any]] = {}


@cache
def schema(kind: str) -> dict[str, Any]:
    """Return the packaged JSON Schema of a kind."""
    body: dict[str, Any] = json.loads((_SCHEMAS / f"{kind.lower()}.json").read_bytes())
    return body


@cache
def root(kind: str, definition: str) -> dict[str, Any]:
    """Return the schema of a kind, or of one of its `$defs`."""
    body = schema(kind)
    if not definition:
        return body
    return {"$schema": body["$schema"], "$ref": f"#/$defs/{definition}", "$defs": body["$defs"]}


@cache
def validator(kind: str, definition: str) -> Any:
    """Return the validator of a whole schema, whose errors name places in it."""
    return _prepared(root(kind, definition))


def accepts(kind: str, definition: str, tree: dict[str, Any]) -> bool:
    """Whether a schema accepts a tree without nulls.

    Preparing all of a schema takes longer than everything else that is done with one document, and most of it speaks of
    fields that no document has. So a part is prepared for the first document, which may do for all others too. A
    document that reaches further gets a part that does for it as well; after some of those, the whole is prepared.
    """
    levels = _DEPTHS.get(kind, 2) - bool(definition)
    places = frozenset(_places(tree, levels))
    count, known, judge = _reached.get((kind, definition), (0, frozenset(), None))
    if not places <= known or judge is None:
        if count < _PARTS:
            known |= places
            judge = _part(kind, definition, known, levels)
            _reached[kind, definition] = count + 1, known, judge
        else:
            judge = validator(kind, definition)
    accepted: bool = judge.is_valid(tree)
    return accepted


def follow(rule: Any, definitions: dict[str, Any]) -> Any:
    """Return what a schema's reference points to, or the schema itself."""
    while isinstance(rule, dict) and "$ref" in rule:
        rule = definitions[rule["$ref"].removeprefix("#/$defs/")]
    return rule


def _prepared(body: dict[str, Any]) -> Any:
    return jsonschema_rs.validator_for(body, formats=quantity.FORMATS, validate_formats=True)


def _part(kind: str, definition: str, places: frozenset[_Place], levels: int) -> Any:
    """Return a validator that says nothing of fields at other places in the upper levels."""
    whole = root(kind, definition)
    reached = _without_others(whole, whole["$defs"], places, (), levels)
    used = _referenced(reached, whole["$defs"])
    return _prepared({**reached, "$schema": whole["$schema"], "$defs": used})


def _referenced(rule: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the definitions that a schema refers to, be it by way of another."""
    found: dict[str, Any] = {}
    todo = [value for key, value in rule.items() if key != "$defs"]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo.extend(node)
        elif isinstance(node, dict):
            todo.extend(node.values())
            name = str(node.get("$ref", "")).removeprefix("#/$defs/")
            if name in definitions and name not in found:
                found[name] = definitions[name]
                todo.append(definitions[name])
    return found


def _places(node: dict[str, Any], levels: int, path: _Place = ()) -> Iterator[_Place]:
    """Yield the path of each key in the upper levels of a tree."""
    for key, value in node.items():
        here = (*path, key)
        yield here
        if levels > 1 and isinstance(value, dict):
            yield from _places(value, levels - 1, here)


def _without_others(
    rule: Any, definitions: dict[str, Any], places: frozenset[_Place], path: _Place, levels: int
) -> Any:
    """Return a schema whose upper levels say nothing of fields that are at none of the places."""
    found = follow(rule, definitions)
    if not levels or not isinstance(found, dict) or "properties" not in found:
        return rule
    fields = {
        name: _without_others(below, definitions, places, (*path, name), levels - 1)
        if (*path, name) in places
        else True
        for name, below in found["properties"].items()
    }
    return {**found, "properties": fields}
