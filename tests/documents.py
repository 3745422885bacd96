"""Documents by the thousand: those of the repository, and those that a JSON Schema allows."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from fleetform import kinds, view
from fleetform.dialects import translate
from fleetform.load import load
from fleetform.tree import plain, without_nulls
from fleetform.validators import schema
from tests.tools import ROOT

Json = Any
Rule = dict[str, Any]

FOLDERS = ("agents", "environments", "tests/fixtures/seeds", "tests/golden")
MAX_DEPTH = 6


def committed() -> Iterator[tuple[str, str, Json]]:
    """Yield file, kind and content of every document of the repository, in our own shape."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.yaml"))]
    specs, _ = translate(
        load([path for path in paths if "expected" not in path.parts]).documents, {}
    )
    for document in specs:
        if (
            document.kind not in kinds.NAMES
        ):  # levels of logging, of which only what is right is taken
            continue
        name = str(Path(document.file).relative_to(ROOT))
        yield name, document.kind, plain(without_nulls(document.tree))


def documents(kind: str) -> st.SearchStrategy[Json]:
    """Return a strategy for whole documents that a kind's schema allows."""
    body = schema(kind)
    return _values(body, body, 0)


def _values(rule: Rule, root: Rule, depth: int) -> st.SearchStrategy[Json]:
    """Return what a rule allows; `rule` is a part of a schema, which lives as long as the process."""
    if (id(rule), depth) not in _MADE:
        _MADE[id(rule), depth] = _made(rule, root, depth)
    return _MADE[id(rule), depth]


_MADE: dict[tuple[int, int], st.SearchStrategy[Json]] = {}
_ANY: Rule = {}


def _made(rule: Rule, root: Rule, depth: int) -> st.SearchStrategy[Json]:
    if "$ref" in rule:
        return _values(root["$defs"][rule["$ref"].rpartition("/")[2]], root, depth)
    if "const" in rule:
        return st.just(rule["const"])
    if "enum" in rule:
        return st.sampled_from(rule["enum"])
    types = rule.get("type", "any")
    kinds = types if isinstance(types, list) else [types]
    return st.one_of([_BY_TYPE[kind](rule, root, depth) for kind in kinds])


def _strings(rule: Rule, root: Rule, depth: int) -> st.SearchStrategy[str]:
    del root, depth
    shortest, longest = rule.get("minLength", 0), rule.get("maxLength", 40)
    if "pattern" in rule:
        found = st.from_regex(
            rule["pattern"], fullmatch=True, alphabet=st.characters(codec="ascii")
        )
        return found.filter(
            lambda text: shortest <= len(text) <= longest and not re.search(r"\s", text)
        )
    return st.text(st.characters(codec="ascii"), min_size=shortest, max_size=min(longest, 40))


def _integers(rule: Rule, root: Rule, depth: int) -> st.SearchStrategy[int]:
    del root, depth
    return st.integers(rule.get("minimum", -99), rule.get("maximum", 1 << 30))


def _numbers(rule: Rule, root: Rule, depth: int) -> st.SearchStrategy[float]:
    del root, depth
    least = rule.get("minimum", rule.get("exclusiveMinimum", -99.0))
    found = st.floats(least, rule.get("maximum", 1e6), allow_nan=False).map(lambda n: n + 0.0)
    return found.filter(lambda number: number > rule.get("exclusiveMinimum", -100))


def _arrays(rule: Rule, root: Rule, depth: int) -> st.SearchStrategy[list[Json]]:
    least = rule.get("minItems", 0)
    if depth > MAX_DEPTH and not least:
        return st.just([])
    item = _values(rule.get("items", _ANY), root, depth + 1)
    return st.lists(item, min_size=least, max_size=max(least, 2))


def _objects(rule: Rule, root: Rule, depth: int) -> st.SearchStrategy[dict[str, Json]]:
    if "properties" not in rule:
        least = rule.get("minProperties", 0)
        if depth > MAX_DEPTH and not least:
            return st.just({})
        names = rule.get("propertyNames", {"minLength": 1})
        value = rule.get("additionalProperties", {})
        each = _values(value if isinstance(value, dict) else _ANY, root, depth + 1)
        keys = st.sampled_from(names["enum"]) if "enum" in names else _strings(names, root, depth)
        return st.dictionaries(keys, each, min_size=least, max_size=2)
    return _filled(rule, root, depth)


@st.composite
def _filled(draw: st.DrawFn, rule: Rule, root: Rule, depth: int) -> dict[str, Json]:
    """Fill the required fields of an object and a few of the others."""
    properties, required = rule["properties"], rule.get("required", [])
    others = [name for name in properties if name not in required]
    most = 0 if depth > MAX_DEPTH else 4
    chosen = draw(st.lists(st.sampled_from(others), max_size=most, unique=True)) if others else []
    made = {name: draw(_values(properties[name], root, depth + 1)) for name in [*required, *chosen]}
    more = rule.get("additionalProperties")
    if isinstance(more, dict) and draw(st.booleans()):
        made["example.com/device"] = draw(_values(more, root, depth + 1))
    return made


_BY_TYPE = {
    "string": _strings,
    "integer": _integers,
    "number": _numbers,
    "boolean": lambda *_: st.booleans(),
    "array": _arrays,
    "object": _objects,
    "any": lambda *_: st.sampled_from(["text", 1, 1.5, True, {"a": ["b"]}, []]),
}


def places(node: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every node below the root."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in pairs:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


@st.composite
def mutations(draw: st.DrawFn, kind: str) -> Json:
    """Draw a document with one thing changed, which may or may not make it wrong."""
    document = draw(documents(kind))
    path = draw(st.sampled_from([*places(document)]))
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    change = draw(st.sampled_from(["drop", "replace", "add"]))
    wrong = draw(st.sampled_from([None, "", "zz zz", -1, 1.5, 1 << 40, True, [], {}, {"zz": 1}]))
    if change == "drop":
        del parent[path[-1]]
    elif change == "replace" or not isinstance(parent, dict):
        parent[path[-1]] = wrong
    else:
        parent["zz zz"] = wrong
    return document


def same(seen: object, typed: object, where: str = "") -> None:
    """Check that a view says what a model says, field by field, defaults included."""
    if isinstance(typed, BaseModel):
        assert isinstance(seen, view.View), where
        fields = {*type(typed).model_fields, *(typed.model_extra or ())}
        assert set(seen.__dict__["_fields"]) == fields, where
        for name in fields:
            same(getattr(seen, name), getattr(typed, name), f"{where}.{name}")
    elif isinstance(typed, dict):
        assert isinstance(seen, dict), where
        assert seen.keys() == typed.keys(), where
        for key, value in typed.items():
            same(seen[key], value, f"{where}[{key}]")
    elif isinstance(typed, list):
        assert isinstance(seen, list), where
        for number, (left, right) in enumerate(zip(seen, typed, strict=True)):
            same(left, right, f"{where}[{number}]")
    else:
        assert (seen, isinstance(seen, bool)) == (typed, isinstance(typed, bool)), where
