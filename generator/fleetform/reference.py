"""The fields of a kind as rows, for docs/reference/ and `fleetform schema KIND --format table`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

from fleetform import kinds, patterns
from fleetform.quantity import FORMATS
from fleetform.records import NamedTuple

WORDS = {
    patterns.QUANTITY: "quantity",
    patterns.DURATION: "duration",
    patterns.LABEL_NAME: "name",
    patterns.REFERENCE_NAME: "name",
    patterns.QUALIFIED_NAME: "name or namespace/name",
    patterns.OBJECT_NAME: "object name",
    patterns.LABEL_KEY: "label key",
    patterns.LABEL_VALUE: "label value",
    patterns.PORT_NAME: "port name",
    patterns.REPOSITORY: "repository",
    patterns.HOST: "host",
    patterns.URL: "URL",
    patterns.OPTIONAL_URL: "URL or nothing",
    patterns.URL_PATH: "URL path",
    patterns.ABSOLUTE_PATH: "absolute path",
    patterns.ORIGIN: "origin",
    patterns.GCP_PROJECT: "project ID",
    patterns.DATA_KEY: "data key",
}
"""What a text of a prescribed format is called, by its pattern; `patterns.WORDS` says how to write one."""
SPECS = {kind.spec: kind.name for kind in reversed(kinds.ALL)} | {"ModelSettings": "ModelConfig"}
"""The first kind with each definition of a `spec`; other kinds refer to it."""
_DEFAULT = re.compile(r"\s*\bDefault: ((?:`[^`]*`|\.(?!\s|$)|[^.`])*)\.?")
_STEP = re.compile(r"\[[^\]]*\]|\.<[^>]*>|\.\*")

MOST_ITEMS = 1_000
"""Items of any list that sets no bound of its own: what a cluster takes is less, and a longer one costs every run."""


class Row(NamedTuple):
    """A field; an item of a list is `[]`, a key of a map `<key>`."""

    path: str
    type: str
    limits: str
    default: str
    """`required`, a value or what happens without one; empty when nothing is said."""
    text: str
    refers: str = ""
    """The kind whose `spec` has the fields of this one; they are not repeated below it."""

    @property
    def type_and_limits(self) -> str:
        """Return both, as one text."""
        return f"{self.type}, {self.limits}" if self.limits else self.type


def document(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a kind."""
    text = (files("fleetform") / "schemas" / f"{kind.lower()}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def rows(kind: str, prefix: str = "") -> list[Row]:
    """Return the fields of a kind in the order of its schema, below a prefix only the field and its subfields.

    `spec.` may be omitted from the prefix, and items and keys may be written in any way: `tools[search].kind`.
    """
    body = document(kind)
    wanted = _steps(prefix)
    own = _steps("spec." + prefix) if wanted and wanted[0] not in body["properties"] else wanted
    own_spec = kinds.BY_NAME[kind].spec

    def closed(path: str, name: str) -> bool:
        """Whether a definition is described elsewhere; what was asked for is shown wherever it is."""
        steps = _steps(path)
        return name in SPECS and name != own_spec and own[: len(steps)] != steps

    found = _walk(body, body["$defs"], "", closed)
    return [row for row in found if _steps(row.path)[: len(own)] == own]


def _steps(path: str) -> list[str]:
    """Return the fields of a path, without items and keys."""
    return [step for step in _STEP.sub("", path).split(".") if step]


def _walk(
    node: dict[str, Any], known: dict[str, Any], path: str, closed: Callable[[str, str], bool]
) -> Iterator[Row]:
    required = node.get("required", ())
    for name, field in node.get("properties", {}).items():
        below = f"{path}.{name}".removeprefix(".")
        yield from _field(below, field, known, name in required, closed)
    if "properties" in node and isinstance(node.get("additionalProperties"), dict):
        yield from _field(f"{path}.<key>", node["additionalProperties"], known, False, closed)


def _field(
    path: str,
    field: dict[str, Any],
    known: dict[str, Any],
    needed: bool,
    closed: Callable[[str, str], bool],
) -> Iterator[Row]:
    text, default = _default(field, known, needed)
    inner, at, name = _inner(field, known, path)
    refers = SPECS.get(name, "") if closed(path, name) else ""
    yield Row(path, _type(field, known), _limits(_resolved(field, known)), default, text, refers)
    if not refers:
        yield from _walk(inner, known, at, closed)


def _inner(
    field: dict[str, Any], known: dict[str, Any], path: str
) -> tuple[dict[str, Any], str, str]:
    """Return the object below a field, through lists and maps: its schema, path and definition."""
    name = field.get("$ref", "").rpartition("/")[2]
    body = _resolved(field, known)
    if isinstance(body.get("items"), dict):
        return _inner(body["items"], known, f"{path}[]")
    if "properties" not in body and isinstance(body.get("additionalProperties"), dict):
        return _inner(body["additionalProperties"], known, f"{path}.<key>")
    for option in body.get("anyOf", body.get("oneOf", ())):
        inner, at, name = _inner(option, known, path)
        if "properties" in inner:
            return inner, at, name
    return body, path, name


def _resolved(field: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in field:
        return field
    target: dict[str, Any] = known[field["$ref"].rpartition("/")[2]]
    return {**target, **{key: value for key, value in field.items() if key != "$ref"}}


def _default(field: dict[str, Any], known: dict[str, Any], needed: bool) -> tuple[str, str]:
    """Return a field's description without its default, and the default."""
    text = " ".join(_resolved(field, known).get("description", "").split())
    said = _DEFAULT.search(text)
    if said:
        text = (text[: said.start()] + text[said.end() :]).strip()
    if needed:
        return text, "required"
    if field.get("default") not in (None, {}, [], ""):
        value = field["default"]
        return text, f"`{value if isinstance(value, str) else json.dumps(value)}`"
    return text, said[1] if said else ""


def _type(field: dict[str, Any], known: dict[str, Any]) -> str:
    body = _resolved(field, known)
    options = body.get("anyOf", body.get("oneOf"))
    if options:
        return " or ".join(dict.fromkeys(_type(option, known) for option in options))
    if "const" in body:
        return f"`{body['const']}`"
    if "enum" in body:
        return ", ".join(f"`{word}`" for word in body["enum"])
    if isinstance(body.get("type"), list):
        several = body["type"] if body.get("format") not in FORMATS else ["string"]
        return " or ".join(_one_type({**body, "type": one}, known) for one in several)
    return _one_type(body, known)


def _one_type(body: dict[str, Any], known: dict[str, Any]) -> str:
    if body.get("type") == "array":
        return f"list of {_plural(_type(body.get('items', {}), known))}"
    is_map = body.get("type") == "object" and "properties" not in body
    if is_map and isinstance(body.get("additionalProperties"), dict):
        return f"map to {_plural(_type(body['additionalProperties'], known))}"
    if body.get("type") == "string":
        return WORDS.get(body.get("pattern", ""), "text")
    return str(body.get("type", "any value"))


def _plural(word: str) -> str:
    if "`" in word or word in {"text", "any value"} or " of " in word or " to " in word:
        return word
    return " or ".join(
        f"{one[:-1]}ies" if one.endswith("ty") else f"{one}s" for one in word.split(" or ")
    )


def _limits(body: dict[str, Any]) -> str:
    """Return the range of a number, the size of a text, list or map, and the pattern of a text."""
    if body.get("format") in FORMATS:
        return ""
    found = [
        _range(body, "minimum", "maximum", ""),
        _range(body, "minLength", "maxLength", "character"),
        _range(body, "minItems", "maxItems", "item"),
        _range(body, "minProperties", "maxProperties", "key"),
    ]
    if "exclusiveMinimum" in body:
        most = f", at most {body['maximum']}" if "maximum" in body else ""
        found[0] = f"above {body['exclusiveMinimum']}{most}"
    for each in (body.get("items"), body.get("additionalProperties")):
        if isinstance(each, dict) and (limits := _limits(each)):
            found.append(f"each {limits}")
    if "pattern" in body and body["pattern"] not in WORDS:
        found.append(f"`{body['pattern']}`")
    return ", ".join(part for part in found if part)


def _range(body: dict[str, Any], low: str, high: str, unit: str) -> str:
    least, most = body.get(low), body.get(high)
    if unit == "item" and most == MOST_ITEMS:
        most = None
    count = most if most is not None else least
    end = f" {unit}{'' if count == 1 else 's'}" if unit else ""
    if least is not None and most is not None:
        return f"{least} to {most}{end}"
    if least is not None:
        return f"at least {least}{end}"
    return f"at most {most}{end}" if most is not None else ""
