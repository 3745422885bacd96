"""The strict JSON schema (draft 4) of an OpenAPI schema: what a server would drop is refused."""

from typing import Any

Schema = dict[str, Any]

# OpenAPI's extensions and prose are left behind; the rest means the same in JSON schema.
ASSERTIONS = [
    *("type", "format", "enum", "pattern", "required", "uniqueItems", "multipleOf"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
]


def convert(schema: Schema, *, opaque: bool = False) -> Schema:
    """Return the strict schema; opaque: an object without named fields may hold anything.

    A structural schema prunes whatever it does not name, so a custom resource's object without
    fields is an empty one; among the built-in kinds it is a document of some other kind.
    """
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    result = _assertions(schema)
    for key, value in _children(schema).items():
        if key == "properties":
            result[key] = {name: convert(child, opaque=opaque) for name, child in value.items()}
        else:
            result[key] = convert(value, opaque=opaque)
    anything = opaque and "properties" not in schema
    if schema.get("type") == "object" and not (anything or _keeps_unknown(schema)):
        result.setdefault("additionalProperties", False)
    return _widened(schema, result)


def _assertions(schema: Schema) -> Schema:
    """Return what a schema says of the value itself; the branches of anyOf close no object."""
    result = {key: schema[key] for key in ASSERTIONS if key in schema}
    fields = schema.get("properties", {})
    # A server fills defaults in before it looks, and draft 4 allows no empty list.
    missing = [name for name in result.pop("required", []) if "default" not in fields.get(name, {})]
    if missing:
        result["required"] = missing
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            result[key] = [_condition(branch) for branch in schema[key]]
    if "not" in schema:
        result["not"] = _condition(schema["not"])
    return result


def _condition(schema: Schema) -> Schema:
    """Return a schema that only asks: what it does not name is none of its business."""
    result = _assertions(schema)
    for key, value in _children(schema).items():
        if key == "properties":
            result[key] = {name: _condition(child) for name, child in value.items()}
        else:
            result[key] = _condition(value)
    return result


def _children(schema: Schema) -> Schema:
    """Return the parts of a schema that describe parts of the value."""
    keys = ("properties", "items", "additionalProperties")
    return {key: schema[key] for key in keys if isinstance(schema.get(key), dict)}


def _keeps_unknown(schema: Schema) -> bool:
    """Tell whether a server keeps fields of the object that the schema does not name."""
    return schema.get("x-kubernetes-preserve-unknown-fields") is True


def _widened(schema: Schema, result: Schema) -> Schema:
    """Allow the integers of an int-or-string and the null of a nullable value."""
    if schema.get("x-kubernetes-int-or-string") and "anyOf" not in result:
        result["type"] = ["integer", "string"]
    return {"anyOf": [{"type": "null"}, result]} if schema.get("nullable") else result
