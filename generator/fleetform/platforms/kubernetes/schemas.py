"""The schemas of the kinds that are built here, as Kubernetes and the operators describe them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import fleetform

_FOLDER = Path(fleetform.__file__).parent / "schemas" / "objects"


@cache
def _schema(kind: str) -> Any:
    return json.loads((_FOLDER / f"{kind.lower()}.json").read_bytes())


@cache
def validator(kind: str) -> Any:
    """Return a validator for a kind that is built here."""
    from fleetform.jsonschemas import jsonschema_rs  # noqa: PLC0415

    return jsonschema_rs.Draft4Validator(_schema(kind))


@cache
def part_validator(kind: str, name: str) -> Any:
    """Return a validator for a part of a kind, by the name of its definition."""
    from fleetform.jsonschemas import jsonschema_rs  # noqa: PLC0415

    known = _schema(kind)["definitions"]
    return jsonschema_rs.Draft4Validator({"definitions": known, "$ref": f"#/definitions/{name}"})


def fields(kind: str, name: str) -> list[str]:
    """Return the fields of a definition."""
    return [*_schema(kind)["definitions"][name]["properties"]]
