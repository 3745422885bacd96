"""A collection of Qdrant: vectors, and words as sparse vectors that the server weighs by how rare they are."""

import uuid
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

import orjson

from fleetform_runtime.knowledge import (
    Chunk,
    KnowledgeError,
    Passage,
    Shape,
    Vector,
    shown,
    wholeness,
)
from fleetform_runtime.knowledge.wholeness import Part
from fleetform_runtime.net import NetError
from fleetform_runtime.net.build import client
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.knowledge import AllOf, Comparison, Condition, Not, QdrantStore

VERSION = 1
MARK = "fleetform"
"""Member of the payload of a point without vectors, which says that a collection is ours and how it was made."""
MARK_ID = str(uuid.UUID(int=0))
VECTOR, WORDS = "vector", "words"
BATCH = 256
PAGE = 1_000
LARGEST_ANSWER = 64 * 1024 * 1024
USUAL_LENGTH = 100
"""Words of a passage whose own are neither made more of nor less."""
COSINES = ("Cosine", "Dot")
_ORDER = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


class Qdrant:
    """One collection: our own, or one that others fill, which is only searched."""

    def __init__(self, settings: QdrantStore, secrets: Secrets) -> None:
        self._settings = settings
        self._url = f"{settings.url(settings.port)}/collections/{settings.collection}"
        self._client = client(
            self._url,
            secrets,
            headers={"api-key": settings.api_key} if settings.api_key is not None else {},
            tls=settings.tls,
            connect_seconds=settings.timeouts.connect_seconds,
        )
        self._is_ours = False
        self._using: str | None = None
        self._is_flat = False
        """Whether all of a payload is metadata, in a collection that others fill."""
        self._indexed: set[tuple[str, str]] = set()

    # -- the collection ----------------------------------------------------------------------------

    async def describe(self) -> Shape | None:
        """Return the collection's shape."""
        found = await self._asked("GET", "", may_be_absent=True)
        if found is None:
            return None
        marks = await self._asked("POST", "/points", {"ids": [MARK_ID], "with_payload": True})
        own = (marks[0].get("payload") or {}).get(MARK) if marks else None
        vectors = found["config"]["params"].get("vectors") or {}
        if isinstance(own, dict):
            self._is_ours, self._using = True, VECTOR
            return Shape(str(own.get("model", "")), int(own.get("dimension", 0)))
        return await self._foreign(vectors)

    async def _foreign(self, vectors: Mapping[str, Any]) -> Shape:
        name = self._settings.fields.vector
        self._using = None if "size" in vectors else name
        one = vectors if self._using is None else vectors.get(name)
        if one is None:
            raise KnowledgeError(
                f"the collection {self._settings.collection} has no vector {name}:"
                f" `fields.vector` names one of {', '.join(sorted(vectors)) or 'none'}"
            )
        if one["distance"] not in COSINES:
            raise KnowledgeError(
                f"the collection {self._settings.collection} compares vectors by {one['distance']}:"
                " only those that do so by Cosine or Dot can be searched"
            )
        page = await self._asked("POST", "/points/scroll", {"limit": 1, "with_payload": True})
        payload = (page["points"][0].get("payload") or {}) if page["points"] else {}
        self._is_flat = not isinstance(payload.get(self._settings.fields.metadata), dict)
        return Shape("", int(one["size"]), words=False, ours=False)

    async def create(self, shape: Shape) -> None:
        """Create the collection, and the point that says whose it is."""
        dense = {VECTOR: {"size": shape.dimension, "distance": "Cosine"}} if shape.dimension else {}
        if await self._asked("GET", "", may_be_absent=True) is None:
            body = {"vectors": dense, "sparse_vectors": {WORDS: {"modifier": "idf"}}}
            await self._asked("PUT", "", body)
            await self._index("document", "keyword")
        mark = {MARK: {"version": VERSION, "model": shape.model, "dimension": shape.dimension}}
        await self._put([{"id": MARK_ID, "vector": {}, "payload": mark}])
        await self.describe()

    # -- searches ----------------------------------------------------------------------------------

    async def nearest(self, vector: Vector, where: Condition | None, limit: int) -> list[Passage]:
        """Ask by a vector."""
        points = await self._points([*vector], self._using, self._filter(where), limit)
        return [self._passage(point, point["score"]) for point in points]

    async def matching(
        self, words: Sequence[str], vector: Vector | None, where: Condition | None, limit: int
    ) -> list[Passage]:
        """Ask by words; then by the vector among what they have found."""
        if not words:
            return []
        asked = sorted({*map(_index_of, words)})
        query = {"indices": asked, "values": [1.0] * len(asked)}
        points = await self._points(query, WORDS, self._filter(where), limit)
        scores = {point["id"]: point["score"] for point in points}
        if vector is not None and points:
            ids = {"must": [{"has_id": [*scores]}]}
            near = await self._points([*vector], self._using, ids, limit)
            scores = {point["id"]: point["score"] for point in near}
        return [
            self._passage(point, scores[point["id"]]) for point in points if point["id"] in scores
        ]

    async def _points(
        self, query: Any, using: str | None, where: Mapping[str, Any] | None, limit: int
    ) -> list[dict[str, Any]]:
        body = {"query": query, "limit": limit, "with_payload": True}
        body |= {"using": using} if using is not None else {}
        body |= {"filter": where} if where is not None else {}
        points: list[dict[str, Any]] = (await self._asked("POST", "/points/query", body))["points"]
        return points

    def _passage(self, point: Mapping[str, Any], score: float) -> Passage:
        payload = point.get("payload") or {}
        if self._is_ours:
            document = payload["document"]
            key = f"{document}#{payload['number']}"
            return Passage(key, payload["content"], payload["metadata"], document, score)
        fields = self._settings.fields
        kept = {name: value for name, value in payload.items() if name != fields.content}
        metadata = kept if self._is_flat else payload.get(fields.metadata) or {}
        source = metadata.get(fields.source) or payload.get(fields.source) or point["id"]
        content = str(payload.get(fields.content) or "")
        return Passage(str(point["id"]), content, metadata, str(source), score)

    # -- conditions --------------------------------------------------------------------------------

    def _filter(self, where: Condition | None) -> dict[str, Any] | None:
        """Return a condition as Qdrant's; values are members of a document, and never text of a language."""
        if where is None:
            return None
        if isinstance(where, Comparison):
            return self._comparison(where)
        if isinstance(where, Not):
            return {"must_not": [self._filter(where.not_)]}
        word = "must" if isinstance(where, AllOf) else "should"
        parts = where.all if isinstance(where, AllOf) else where.any
        return {word: [self._filter(part) for part in parts]}

    def _comparison(self, where: Comparison) -> dict[str, Any]:
        name = f'"{where.field}"'
        key = (
            name
            if self._is_flat
            else f"{'metadata' if self._is_ours else self._settings.fields.metadata}.{name}"
        )
        is_number = not isinstance(where.value, bool | str)
        if where.op in ("==", "!="):
            # A match takes whole numbers only, and compares them with whole numbers only.
            asked = (
                {"range": {"gte": where.value, "lte": where.value}}
                if is_number
                else {"match": {"value": where.value}}
            )
            return {"must" if where.op == "==" else "must_not": [{"key": key, **asked}]}
        if not is_number:
            raise KnowledgeError(
                f"`{where.field} {where.op}`: Qdrant knows an order of numbers alone"
            )
        return {"must": [{"key": key, "range": {_ORDER[where.op]: where.value}}]}

    # -- documents ---------------------------------------------------------------------------------

    async def documents(self) -> dict[str, str]:
        """Return the documents; those of which a part is missing, or left over, have no hash."""
        marked = {"must_not": [{"has_id": [MARK_ID]}]}
        return wholeness.digests(
            [
                Part(payload["document"], payload["digest"], payload["count"])
                async for payload in self._pages(marked)
            ]
        )

    async def _pages(self, where: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Yield what is known of the documents' points, page by page."""
        members = ["document", "digest", "count"]
        body: dict[str, Any] = {"limit": PAGE, "with_payload": members, "filter": where}
        while True:
            page = await self._asked("POST", "/points/scroll", body)
            for point in page["points"]:
                yield point.get("payload") or {}
            if (after := page.get("next_page_offset")) is None:
                return
            body["offset"] = after

    async def replace(self, document: str, digest: str, chunks: Sequence[Chunk]) -> None:
        """Write the new points, then delete those that were there before; both may be done again.

        What somebody else writes meanwhile stays, and is replaced by the next run: two that delete
        each other's would leave nothing.
        """
        of_it = [{"key": "document", "match": {"value": document}}]
        old = {payload["digest"] async for payload in self._pages({"must": of_it})} - {digest}
        for start in range(0, len(chunks), BATCH):
            batch = chunks[start : start + BATCH]
            for chunk in batch:
                for name, value in chunk.metadata.items():
                    await self._index(f'metadata."{name}"', _kind(value))
            await self._put([_point(document, digest, chunk, len(chunks)) for chunk in batch])
        if old or not chunks:
            which = {"key": "digest", "match": {"any": sorted(old)}}
            where = {"must": [*of_it, which] if chunks else of_it}
            await self._asked("POST", "/points/delete?wait=true", {"filter": where})

    async def remove(self, documents: Collection[str]) -> None:
        """Remove documents."""
        names = {"must": [{"key": "document", "match": {"any": [*documents]}}]}
        if documents:
            await self._asked("POST", "/points/delete?wait=true", {"filter": names})

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _put(self, points: list[dict[str, Any]]) -> None:
        await self._asked("PUT", "/points?wait=true", {"points": points})

    async def _index(self, key: str, kind: str) -> None:
        """Have the server find points by a member; some refuse to look for one without."""
        if (key, kind) not in self._indexed:
            self._indexed.add((key, kind))
            body = {"field_name": key, "field_schema": kind}
            await self._asked("PUT", "/index?wait=true", body)

    async def _asked(
        self, method: str, path: str, body: Any = None, *, may_be_absent: bool = False
    ) -> Any:
        try:
            answer = await self._client.send(
                method,
                self._url + path,
                seconds=self._settings.timeouts.request_seconds,
                most=LARGEST_ANSWER,
                headers={"Content-Type": "application/json"} if body is not None else {},
                body=orjson.dumps(body) if body is not None else None,
            )
        except NetError as error:
            raise KnowledgeError(f"{self._settings.host}: {error}") from None
        if may_be_absent and answer.status == 404:
            return None
        if not 200 <= answer.status < 300:
            raise KnowledgeError(f"Qdrant answered {answer.status}. {shown(answer.text())}".strip())
        try:
            return orjson.loads(answer.body)["result"]
        except (ValueError, KeyError, TypeError):
            raise KnowledgeError(f"{self._settings.host} did not answer as Qdrant does") from None


def _id(document: str, digest: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{document}#{digest}#{number}"))


def _point(document: str, digest: str, chunk: Chunk, count: int) -> dict[str, Any]:
    vectors: dict[str, Any] = {WORDS: _sparse(chunk.words)}
    if chunk.vector is not None:
        vectors[VECTOR] = [*chunk.vector]
    payload = {
        "document": document,
        "number": chunk.number,
        "count": count,
        "digest": digest,
        "content": chunk.content,
        "metadata": dict(chunk.metadata),
    }
    return {"id": _id(document, digest, chunk.number), "vector": vectors, "payload": payload}


def _sparse(words: Sequence[str]) -> dict[str, Any]:
    """Return words as BM25 counts them, without how rare they are, which the server adds."""
    long = 1.2 * (0.25 + 0.75 * len(words) / USUAL_LENGTH)
    counted = Counter(map(_index_of, words))
    order = sorted(counted)
    return {"indices": order, "values": [counted[n] * 2.2 / (counted[n] + long) for n in order]}


def _index_of(word: str) -> int:
    return zlib.crc32(word.encode())


def _kind(value: Any) -> str:
    return "bool" if isinstance(value, bool) else "keyword" if isinstance(value, str) else "float"
