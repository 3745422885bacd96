"""How stores without transactions tell a document that is whole from one whose replacement has broken off."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class Part(NamedTuple):
    """What a passage says of the document that it belongs to."""

    document: str
    digest: str
    parts: int
    """How many of them the document has."""


def digests(parts: Iterable[Part]) -> dict[str, str]:
    """Return the hash of each document; those of which a part is missing, or left over, have none."""
    found: dict[str, Counter[tuple[str, int]]] = {}
    for part in parts:
        found.setdefault(part.document, Counter())[part.digest, part.parts] += 1
    return {
        document: digest if len(counted) == 1 and number == parts else ""
        for document, counted in found.items()
        for (digest, parts), number in [counted.most_common(1)[0]]
    }
