"""Checked trees → frozen, typed views of specs, driven by the packaged schemas.

The models in `fleetform.models` define every field; here types and defaults come from their
schemas. Importing and building the models takes longer than rendering an agent, so rendering does
without them (docs/adr/0003-views.md); a test checks that views and models agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, cast

from fleetform import quantity
from fleetform.tree import plain
from fleetform.validators import schema

_RENAMED = {
    "from": "from_",
    "in": "location",
    "ModelConfig": "model_config_",
    "modelConfig": "model_config_ref",
    "self": "self_",
}
"""Fields whose names Python or pydantic keeps for itself."""

Read = Callable[[Any], Any]


class View:
    """A part of a spec: attributes in snake_case, defaults filled in, immutable."""

    def __init__(
        self, fields: dict[str, Field], values: dict[str, Any], given: frozenset[str]
    ) -> None:
        values["_fields"] = fields
        values["_given"] = given
        # The values become its attributes as they are: copying them would take as long as reading them.
        object.__setattr__(self, "__dict__", values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name}: a view is frozen")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, View):
            return NotImplemented
        return dump(self) == dump(other)

    def __hash__(self) -> int:
        return hash(repr(dump(self)))

    def __repr__(self) -> str:
        return f"View({dump(self)!r})"


class Field:
    """How one property of a definition is read."""

    __slots__ = ("alias", "default", "read")

    def __init__(self, alias: str, read: Read | None, default: Any) -> None:
        self.alias = alias
        self.read = read
        self.default = default


def read(kind: str, tree: Mapping[str, Any]) -> Any:
    """Return a whole document of a kind; the tree must have passed the kind's schema."""
    return _reader(kind, "")(tree)


def make(kind: str, definition: str, data: Mapping[str, Any]) -> Any:
    """Return a part of a kind by its name in the schema's `$defs`; `data` has the schema's own keys."""
    return _reader(kind, definition)(data)


def given(piece: object) -> frozenset[str]:
    """Return the attributes that the spec sets, without defaults."""
    return cast("frozenset[str]", piece.__dict__["_given"])


def replace(piece: Any, **values: Any) -> Any:
    """Return a copy with some attributes replaced, all of which have fields."""
    own = piece.__dict__
    mixed = {name: values.get(name, own[name]) for name in own["_fields"]}
    return View(own["_fields"], mixed, own["_given"] | values.keys())


def overlay(lower: Any, upper: Any) -> Any:
    """Return `lower` with the values that `upper` sets; nested views are merged, other values replaced."""
    if lower is None or upper is None:
        return upper if lower is None else lower
    if not (isinstance(lower, View) and isinstance(upper, View)):
        return upper
    update = {
        name: overlay(getattr(lower, name, None), getattr(upper, name)) for name in given(upper)
    }
    return replace(lower, **update)


def dump(piece: Any) -> dict[str, Any]:
    """Return a view as plain data with the schema's keys, including defaults, without unset fields."""
    own = piece.__dict__
    return {
        field.alias: _plain(own[name])
        for name, field in own["_fields"].items()
        if own[name] is not None
    }


def _plain(value: Any) -> Any:
    if isinstance(value, View):
        return dump(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


# -- readers, built from a schema once -----------------------------------------------------------


@cache
def _reader(kind: str, definition: str) -> Read:
    body = schema(kind)
    return _object(kind, body["$defs"][definition] if definition else body)


def _object(kind: str, body: dict[str, Any]) -> Read:
    fields: dict[str, Field] = {}
    defaults: dict[str, Any] = {}
    known: dict[str, tuple[str, Read | None]] = {}
    more = body.get("additionalProperties")
    other = _value(kind, more) if isinstance(more, dict) else None

    def build(tree: Mapping[str, Any]) -> View:
        if not fields:  # filled on first use: definitions refer to each other
            fields.update(_fields(kind, body))
            defaults.update({name: field.default for name, field in fields.items()})
            defaults.update(_fields=fields, _given=None)  # room for both in every copy
            known.update({field.alias: (name, field.read) for name, field in fields.items()})
        values, keys, own = dict(defaults), [], fields
        for alias, value in tree.items():  # a few of many
            if value is not None and alias in known:
                name, read = known[alias]
                values[name] = value if read is None else read(value)
                keys.append(name)
            elif value is not None and other is not None:  # its attribute is its key
                own = {**own, alias: Field(alias, other, None)}
                values[alias] = other(value)
                keys.append(alias)
        return View(own, values, _set(tuple(keys)))

    return build


@lru_cache(maxsize=4_096)
def _set(names: tuple[str, ...]) -> frozenset[str]:
    """Return a set of names: most views of a definition have the same ones."""
    return frozenset(names)


def _fields(kind: str, body: dict[str, Any]) -> dict[str, Field]:
    found = {}
    for alias, rule in body.get("properties", {}).items():
        reader = _value(kind, rule)
        default = rule.get("default")
        if default is not None and reader is not None:
            default = reader(default)
        found[_attribute(alias)] = Field(alias, reader, default)
    return found


def _attribute(alias: str) -> str:
    if alias in _RENAMED:
        return _RENAMED[alias]
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|-", "_", alias)
    return words.lower()


def _value(kind: str, rule: dict[str, Any]) -> Read | None:
    """Return how a value is read, None if it is used as it is."""
    if "$ref" in rule:
        return _reader(kind, rule["$ref"].removeprefix("#/$defs/"))
    types = rule.get("type")
    if types == ["string", "array"]:
        return lambda value: [value] if isinstance(value, str) else value
    if types == ["string", "number"]:
        return quantity.text
    inner = rule.get("items") if types == "array" else rule.get("additionalProperties")
    each = _value(kind, inner) if isinstance(inner, dict) else None
    if each is None or each is plain:
        # Free-form data leaves the tree here: below, everything is plain dicts and lists.
        return None if types in ("string", "integer", "number", "boolean") else plain
    if types == "array":
        return lambda value: [each(item) for item in value]
    return lambda value: {key: each(item) for key, item in value.items()}
