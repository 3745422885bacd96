"""Models → JSON Schemas: `python -m fleetform.models.export [--check] DIR`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from fleetform import kinds
from fleetform.models import model
from fleetform.reference import MOST_ITEMS

DRAFT = "https://json-schema.org/draft/2020-12/schema"
BASE = "https://fleetform.dev/schemas/v1alpha1"


class _WithDefaults(GenerateJsonSchema):
    """Include defaults that come from a factory: editors show them, views need them."""

    def get_default_value(self, schema: Any) -> Any:
        """Return the default as plain data, the factory's if there is one."""
        if "default_factory" in schema:
            value = schema["default_factory"]()
            return (
                value.model_dump(by_alias=True, exclude_defaults=True)
                if isinstance(value, BaseModel)
                else value
            )
        return super().get_default_value(schema)


def _generated(kind: str) -> dict[str, Any]:
    body = model(kind).model_json_schema(
        by_alias=True, mode="validation", schema_generator=_WithDefaults
    )
    tidy: dict[str, Any] = _tidy(body)
    return tidy


def schema(kind: str) -> dict[str, Any]:
    """Return the self-contained JSON Schema of a kind."""
    return {"$schema": DRAFT, "$id": f"{BASE}/{kind.lower()}.json", **_generated(kind)}


def any_kind() -> dict[str, Any]:
    """Return the schema that editors use for files with several kinds."""
    definitions: dict[str, Any] = {}
    rules = []
    for kind in kinds.NAMES:
        body = _generated(kind)
        definitions |= body.pop("$defs", {})
        definitions[kind] = body
        rules.append(
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": f"#/$defs/{kind}"},
            }
        )
    return {
        "$schema": DRAFT,
        "$id": f"{BASE}/fleetform.json",
        "title": "Fleetform spec",
        "description": "Any spec kind of fleetform.dev/v1alpha1.",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata"],
        "properties": {"kind": {"enum": list(kinds.NAMES), "description": "Kind of the document."}},
        "allOf": rules,
        "$defs": dict(sorted(definitions.items())),
    }


def files() -> dict[str, str]:
    """Return every schema file by name."""
    documents = {f"{kind.lower()}.json": schema(kind) for kind in kinds.NAMES}
    documents["fleetform.json"] = any_kind()
    return {
        name: json.dumps(body, indent=2, ensure_ascii=False) + "\n"
        for name, body in documents.items()
    }


def _tidy(node: Any) -> Any:
    """Remove what pydantic adds and we do not need: titles of fields, `null` as an alternative of optional types."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidy(value) for key, value in node.items() if key != "properties"}
    if "properties" in node:
        tidy["properties"] = {
            name: {k: v for k, v in _tidy(body).items() if k != "title"}
            for name, body in node["properties"].items()
        }
    if "anyOf" in tidy:
        kept = [option for option in tidy["anyOf"] if option != {"type": "null"}]
        if len(kept) == 1:
            del tidy["anyOf"]
            tidy = {**kept[0], **tidy}
            if tidy.get("default", 0) is None:
                del tidy["default"]
    if "default" in tidy and tidy["default"] is None:
        del tidy["default"]
    if "array" in tidy.get("type", ()):
        tidy.setdefault("maxItems", MOST_ITEMS)
    if "patternProperties" in tidy:  # which would accept keys in any other format
        ((pattern, value),) = tidy.pop("patternProperties").items()
        tidy["propertyNames"] = {"pattern": pattern, **tidy.get("propertyNames", {})}
        tidy["additionalProperties"] = value
    return tidy


def main(arguments: list[str]) -> int:
    """Write the schemas, or with --check report which differ."""
    check = "--check" in arguments
    folder = Path(next(word for word in arguments if not word.startswith("-")))
    stale = []
    for name, text in files().items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if check and stale:
        print(f"stale: {', '.join(stale)}: run `make schemas`", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
