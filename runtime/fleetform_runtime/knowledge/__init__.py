"""Documents that an agent answers from: passages, and the stores that find them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fleetform_runtime.sections.knowledge import Condition

Vector = Sequence[float]
Scalar = str | int | float | bool


class KnowledgeError(Exception):
    """A store or an embedding does not answer, or refuses; the message is for logs and operators."""


class MismatchError(KnowledgeError):
    """A collection was made by another model than the one that asks."""


SHOWN_OF_AN_ERROR = 500


def shown(text: object) -> str:
    """Return what a server says of an error, in one line and not too long."""
    return " ".join(str(text or "").split())[:SHOWN_OF_AN_ERROR]


@dataclass(frozen=True, slots=True)
class Shape:
    """What the vectors of a collection are; a collection without vectors has no model and dimension 0."""

    model: str = ""
    """Provider and name, such as `openai text-embedding-3-small`; empty if the store does not know."""
    dimension: int = 0
    words: bool = True
    """Whether it can be searched by words."""
    ours: bool = True
    """Whether `ingest` made it; those of others are only searched."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document, as a store keeps it."""

    number: int
    content: str
    words: Sequence[str]
    """What it is found by, with repetitions."""
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    vector: Vector | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document that a search has found."""

    id: str
    content: str
    metadata: Mapping[str, Any]
    source: str
    score: float
    """The cosine of its vector and the question's; in a search by words alone, the share of them that it has."""


class Vectors(Protocol):
    """A collection in a store; every operation may be repeated.

    Each may raise a KnowledgeError.
    """

    async def describe(self) -> Shape | None:
        """Return what the collection has; None if there is none yet."""
        ...

    async def create(self, shape: Shape) -> None:
        """Create the collection, unless it is there."""
        ...

    async def nearest(self, vector: Vector, where: Condition | None, limit: int) -> list[Passage]:
        """Return the passages whose vectors have the largest cosine, best first."""
        ...

    async def matching(
        self, words: Sequence[str], vector: Vector | None, where: Condition | None, limit: int
    ) -> list[Passage]:
        """Return the passages that have some of the words, best first; with a vector, scored by the cosine."""
        ...

    async def documents(self) -> dict[str, str]:
        """Return the hash of every document that is kept in whole, by its name."""
        ...

    async def replace(self, document: str, digest: str, chunks: Sequence[Chunk]) -> None:
        """Keep a document: its new chunks are written before its old ones go."""
        ...

    async def remove(self, documents: Collection[str]) -> None:
        """Remove documents."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...
