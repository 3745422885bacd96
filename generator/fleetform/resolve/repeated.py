"""How much a fleet repeats: a large document that many extend or refer to makes a long output of a short input."""

from __future__ import annotations

from collections.abc import Iterable

from fleetform.resolve.catalog import Catalog
from fleetform.tree import Map, entries

INHERITED = 100_000
"""Weight that any fleet may inherit from templates: all of it is merged and checked for each heir."""
REFERRED = 400_000
"""Weight that the documents may have which any fleet refers to, each counted as often as it is referred to."""
LINK = 20
"""Weight of a reference to another workload: no document is repeated, but both policies get a rule."""
FACTOR = 8
"""How often a fleet may repeat the weight of its own documents beyond that."""
_TEXT = 64
"""Characters of a text that weigh as much as a key or an item."""


class Repeated:
    """The weight of what is repeated, in keys and items; long texts weigh more. `free` is what any fleet may repeat."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.weight = 0
        self.said = False
        """Whether the Problem has been reported."""
        self._known: dict[int, tuple[Map, int]] = {}
        self._limit = 0

    def add(self, trees: Iterable[Map]) -> None:
        """Count what is repeated once more; each tree is weighed once."""
        for tree in trees:
            known = self._known.get(id(tree))
            if known is None:
                known = self._known[id(tree)] = tree, weigh(tree)
            self.weight += known[1]

    def fits(self, catalog: Catalog) -> bool:
        """Whether it is in proportion to all documents of the fleet."""
        if self.weight <= self.free:
            return True
        if not self._limit:
            known = (item.tree for kind in catalog.documents for _, item in catalog.of(kind))
            self._limit = self.free + FACTOR * sum(map(weigh, known))
        return self.weight <= self._limit


def weigh(tree: Map) -> int:
    """Return the number of keys and items of a tree, and of 64 characters of texts."""
    return sum(
        1 + (len(value) // _TEXT if isinstance(value, str) else 0) for _, value in entries(tree)
    )
