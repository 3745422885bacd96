"""Searches a collection: by meaning, by words, or by both, whose ranks are added."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from fleetform_runtime.knowledge import MismatchError, Passage, Shape, Vector, Vectors, words
from fleetform_runtime.knowledge.embeddings import Embedder
from fleetform_runtime.sections.knowledge import AllOf, Condition, Embedding, Search

RANK = 60
"""How much less the first place counts than if only first places did: the usual constant of reciprocal rank fusion."""
CANDIDATES = 4
"""Passages that are ranked, for each that is wanted."""
FEWEST = 20


class Found(NamedTuple):
    """What a search has found, and the best cosine of what lies below the threshold."""

    passages: list[Passage]
    best_below: float | None = None


class Searcher:
    """One way to search one collection."""

    def __init__(
        self,
        store: Vectors,
        search: Search,
        embedder: Embedder | None = None,
        embedding: Embedding | None = None,
    ) -> None:
        self._store = store
        self._search = search
        self._embedder = embedder
        self._embedding = embedding
        self._shape: Shape | None = None

    async def find(self, question: str, conditions: Sequence[Condition]) -> Found | None:
        """Return the passages that answer a question; None while there is no collection.

        Raises:
            KnowledgeError: the store or the embedding does not answer, or do not fit together.
        """
        if self._shape is None:
            self._shape = await self._store.describe()
            if self._shape is None:
                return None
            check(self._shape, self._embedding)
            if self._search.mode == "keyword" and not self._shape.words:
                self._shape = None
                raise MismatchError(
                    "the collection is not one that `ingest` made, and can be searched by vectors alone"
                )
        where = self._where(conditions)
        search = self._search
        limit = max(FEWEST, CANDIDATES * search.top_k)
        if search.mode == "keyword" or self._embedder is None:
            asked = words.asked(question)
            passages = await self._store.matching(asked, None, where, search.top_k)
            return Found([shared(passage, asked) for passage in passages])
        vector = await self._embedder.question(question)
        lists = [await self._store.nearest(vector, where, limit)]
        if search.mode == "hybrid" and self._shape.words:
            lists.append(await self._matching(question, vector, where, limit))
        return above(fused(lists), search.score_threshold, search.top_k)

    async def _matching(
        self, question: str, vector: Vector, where: Condition | None, limit: int
    ) -> list[Passage]:
        return await self._store.matching(words.asked(question), vector, where, limit)

    def _where(self, conditions: Sequence[Condition]) -> Condition | None:
        fixed = self._search.filter
        whole = [*conditions, *([] if fixed is None else [fixed])]
        if len(whole) > 1:
            return AllOf(all=tuple(whole))
        return whole[0] if whole else None


def fused(lists: Sequence[Sequence[Passage]]) -> list[Passage]:
    """Return the passages of several rankings, best first: each rank counts, and equals keep their order."""
    ranks: dict[str, float] = {}
    held: dict[str, Passage] = {}
    for ranking in lists:
        for place, passage in enumerate(ranking):
            ranks[passage.id] = ranks.get(passage.id, 0.0) + 1 / (RANK + place)
            held.setdefault(passage.id, passage)
    return [held[key] for key in sorted(ranks, key=lambda key: -ranks[key])]


def above(passages: Sequence[Passage], threshold: float | None, most: int) -> Found:
    """Return the first passages that reach a cosine."""
    if threshold is None:
        return Found(list(passages[:most]))
    kept = [passage for passage in passages if passage.score >= threshold]
    below = max((passage.score for passage in passages), default=None) if not kept else None
    return Found(kept[:most], below)


def check(shape: Shape, embedding: Embedding | None) -> None:
    """Check that a collection's vectors and those of an embedding can be compared.

    Raises:
        MismatchError: they cannot.
    """
    if embedding is None:
        return
    asks = model_of(embedding)
    if not shape.dimension:
        raise MismatchError(
            f"the collection has no vectors, and the agent asks with those of {asks}: ingest its"
            " documents again, into another collection"
        )
    if shape.model and shape.model != asks:
        raise MismatchError(
            f"the collection holds vectors of {shape.model}, and the agent asks with those of {asks}:"
            " use that model, or ingest the documents again, into another collection"
        )
    if embedding.dimension is not None and shape.dimension != embedding.dimension:
        raise MismatchError(
            f"the collection holds vectors of {shape.dimension} dimensions, and the agent asks with"
            f" {embedding.dimension}: use the same, or ingest the documents again, into another collection"
        )


def model_of(embedding: Embedding | None) -> str:
    """Return the model of an embedding, by which its vectors are known; empty without one."""
    return f"{embedding.provider} {embedding.name}" if embedding else ""


def shared(passage: Passage, asked: Sequence[str]) -> Passage:
    """Return a passage that was found by words, with the share of them that it has as its score.

    What stores rank by depends on all other documents, and is next to nothing in small collections.
    """
    has = words.of_passage(passage.source, passage.content)
    return replace(passage, score=sum(word in has for word in asked) / len(asked))


def rounded(passage: Passage) -> Passage:
    """Return a passage with a score for people."""
    return replace(passage, score=round(passage.score, 4))
