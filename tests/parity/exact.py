"""What a tool made of our output, read as Go does, and held against the plain manifests."""

import os
from collections.abc import Iterable, Mapping

from tests.conformance import readers
from tests.parity.objects import Key, Object, differences, identified

EXAMPLES = int(os.environ.get("FLEETFORM_PARITY", "20"))
"""How many examples a property is tried with; `make parity` asks for 300."""


def by_identity(texts: Iterable[str]) -> dict[Key, Object]:
    """Return the objects of some streams by what is unique in a cluster; kustomizations are none."""
    documents = [item for item in readers.go("---\n".join(texts)) if item]
    return identified([item for item in documents if item["kind"] != "Kustomization"])


def assert_same(made: Mapping[Key, Object], plain: Mapping[Key, Object]) -> None:
    """Fail with every leaf that differs; true is not 1, and lists have an order."""
    found = differences(dict(plain), dict(made))
    assert not found, "\n".join(found)
