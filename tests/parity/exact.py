"""What a tool made of our output, read as Go does, and held against the plain manifests."""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from tests.conformance import readers

EXAMPLES = int(os.environ.get("FLEETFORM_PARITY", "30"))
"""How many examples a property is tried with; `make parity` asks for 300."""

Object = dict[str, Any]
Identity = tuple[str, str, str, str]


def by_identity(texts: Iterable[str]) -> dict[Identity, Object]:
    """Return the objects of some streams by what is unique in a cluster; kustomizations are none."""
    documents = [item for item in readers.go("---\n".join(texts)) if item]
    objects = [item for item in documents if item["kind"] != "Kustomization"]
    found = {identity(item): item for item in objects}
    assert len(found) == len(objects)
    return found


def identity(item: Object) -> Identity:
    """Return by what an object is found again."""
    metadata = item["metadata"]
    return item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"]


def assert_same(made: Mapping[Identity, Object], plain: Mapping[Identity, Object]) -> None:
    """Fail with the first object that differs; true is not 1, and lists have an order."""
    assert sorted(made) == sorted(plain)
    for key, item in plain.items():
        if json.dumps(made[key], sort_keys=True) != json.dumps(item, sort_keys=True):
            assert made[key] == item, key
            raise AssertionError(f"{key} differs in a type")
