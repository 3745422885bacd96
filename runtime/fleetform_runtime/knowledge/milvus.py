"""A collection of Milvus: vectors, and words that the server ranks by BM25."""

import asyncio
import math
import operator
import uuid
import zlib
from collections.abc import Collection, Mapping, Sequence
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
from fleetform_runtime.sections.knowledge import AllOf, Comparison, Condition, MilvusStore, Not
from fleetform_runtime.sections.tools import BearerAuth

VERSION = 1
MARK = "fleetform"
"""Member of the description of the function that counts words, which says that a collection is ours and how it was
made: descriptions of collections do not come by the REST API of every server."""
VECTOR, WORDS, COUNTED = "vector", "words", "counted"
SHOWN = ("document", "number", "content", "metadata")
BATCH = 256
MOST_ROWS = 16_384
"""Rows that Milvus returns at once."""
LONGEST_TEXT = 65_535
"""Bytes of a text that Milvus keeps at most."""
LARGEST_ANSWER = 64 * 1024 * 1024
PREPARING_SECONDS = 60.0
"""For a new collection, its indexes and its way into memory."""
LOOKS_SECONDS = 0.2
ABSENT = 100
LOADED = "LoadStateLoaded"
COSINES = ("COSINE", "IP")
DENSE = ("FloatVector", "Float16Vector", "BFloat16Vector")
NUMBERS = ("Int8", "Int16", "Int32", "Int64", "Float", "Double")
SORTS = {"VarChar": str, "Bool": bool, **dict.fromkeys(NUMBERS, float)}
"""What a value has to be to be compared with a field of a type."""
DYNAMIC = "$meta"
"""The members of a row that its collection's schema does not name."""
_ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


class Milvus:
    """One collection: our own, or one that others fill, which is only searched."""

    def __init__(self, settings: MilvusStore, secrets: Secrets) -> None:
        self._settings = settings
        self._url = f"{settings.url(settings.port)}/v2/vectordb"
        token = settings.token
        self._client = client(
            self._url,
            secrets,
            # Otherwise whole numbers come back as texts.
            headers={"Accept-Type-Allow-Int64": "true", "Content-Type": "application/json"},
            auth=BearerAuth(type="bearer", token=token) if token is not None else None,
            tls=settings.tls,
            connect_seconds=settings.timeouts.connect_seconds,
        )
        self._is_ours = True
        self._fields: Mapping[str, Mapping[str, Any]] = {}
        """The fields of a collection that others fill."""
        self._is_dynamic = False

    # -- the collection ----------------------------------------------------------------------------

    async def describe(self) -> Shape | None:
        """Return the collection's shape."""
        found = await self._asked("/collections/describe", {}, may_be_absent=True)
        if found is None:
            return None
        for function in found.get("functions") or []:
            if (own := _mark(function.get("description"))) is not None:
                self._is_ours = True
                return Shape(str(own.get("model", "")), int(own.get("dimension", 0)))
        return await self._foreign(found)

    async def _foreign(self, found: Mapping[str, Any]) -> Shape:
        self._is_ours = False
        self._fields = {field["name"]: field for field in found["fields"]}
        self._is_dynamic = bool(found.get("enableDynamicField"))
        fields, name = self._settings.fields, self._settings.collection
        dense = [one for one, field in self._fields.items() if field["type"] in DENSE]
        if fields.vector not in dense:
            raise KnowledgeError(
                f"the collection {name} has no vector {fields.vector}:"
                f" `fields.vector` names one of {', '.join(sorted(dense)) or 'none'}"
            )
        for member, field in (("id", fields.id), ("content", fields.content)):
            # Without a name of its own it is the primary key, which every answer has as `id`.
            if field not in self._fields and not self._is_dynamic and field != "id":
                raise KnowledgeError(
                    f"the collection {name} has no field {field}: `fields.{member}` says which one it is"
                )
        metric = await self._metric(found)
        if metric not in COSINES:
            raise KnowledgeError(
                f"the collection {name} compares vectors by {metric or 'no index'}:"
                " only those that do so by COSINE or IP can be searched"
            )
        sizes = {one["key"]: one["value"] for one in self._fields[fields.vector]["params"]}
        return Shape("", int(sizes["dim"]), words=False, ours=False)

    async def _metric(self, found: Mapping[str, Any]) -> str:
        """Return how vectors are compared; a description tells of the index of the first of them alone."""
        indexes = list(found.get("indexes") or [])
        if all(one["fieldName"] != self._settings.fields.vector for one in indexes):
            for name in await self._asked("/indexes/list", {}):
                indexes += await self._asked("/indexes/describe", {"indexName": name})
        of_it = (one for one in indexes if one["fieldName"] == self._settings.fields.vector)
        return next((str(one["metricType"]) for one in of_it), "")

    async def create(self, shape: Shape) -> None:
        """Create the collection, and wait until it can be searched."""
        if await self._asked("/collections/describe", {}, may_be_absent=True) is None:
            await self._asked("/collections/create", _made(shape), seconds=PREPARING_SECONDS)
        try:
            async with asyncio.timeout(PREPARING_SECONDS):
                while (await self._asked("/collections/get_load_state", {}))["loadState"] != LOADED:
                    await asyncio.sleep(LOOKS_SECONDS)
        except TimeoutError:
            raise KnowledgeError(
                f"the collection {self._settings.collection} is not loaded within {PREPARING_SECONDS:g} s"
            ) from None
        await self.describe()

    # -- searches ----------------------------------------------------------------------------------

    async def nearest(self, vector: Vector, where: Condition | None, limit: int) -> list[Passage]:
        """Ask by a vector."""
        field = VECTOR if self._is_ours else self._settings.fields.vector
        rows = await self._rows(field, [*vector], where, limit)
        return [self._passage(row, row["distance"]) for row in rows]

    async def matching(
        self, words: Sequence[str], vector: Vector | None, where: Condition | None, limit: int
    ) -> list[Passage]:
        """Ask by words; then by the vector among what they have found."""
        if not words:
            return []
        rows = await self._rows(COUNTED, _text(words), where, limit)
        scores = {row["id"]: row["distance"] for row in rows}
        if vector is not None and rows:
            among, ids = "id in {ids}", {"ids": [*scores]}
            near = await self._found(VECTOR, [*vector], among, ids, limit)
            scores = {row["id"]: row["distance"] for row in near}
        return [self._passage(row, scores[row["id"]]) for row in rows if row["id"] in scores]

    async def _rows(
        self, field: str, asked: Any, where: Condition | None, limit: int
    ) -> list[dict[str, Any]]:
        values: dict[str, Any] = {}
        text = True if where is None else self._filter(where, values)
        if text is False:
            return []
        # Some may belong to parts that decide nothing.
        needed = {name: one for name, one in values.items() if f"{{{name}}}" in str(text)}
        return await self._found(field, asked, text, needed, limit)

    async def _found(
        self, field: str, asked: Any, where: str | bool, values: Mapping[str, Any], limit: int
    ) -> list[dict[str, Any]]:
        shown = [*SHOWN] if self._is_ours else self._shown()
        body = {"annsField": field, "data": [asked], "limit": limit, "outputFields": shown}
        body |= {"filter": where, "exprParams": values} if isinstance(where, str) else {}
        rows: list[dict[str, Any]] = await self._asked("/entities/search", body)
        return rows

    def _shown(self) -> list[str]:
        vectors = [name for name, field in self._fields.items() if "Vector" in field["type"]]
        return [
            *(name for name in self._fields if name not in vectors),
            *([DYNAMIC] if self._is_dynamic else []),
        ]

    def _passage(self, row: dict[str, Any], score: float) -> Passage:
        if self._is_ours:
            key = f"{row['document']}#{row['number']}"
            metadata = orjson.loads(row["metadata"])
            return Passage(key, row["content"], metadata, row["document"], score)
        fields = self._settings.fields
        whole = {
            # Documents come as their text.
            name: orjson.loads(value)
            if isinstance(value, str) and self._type(name) == "JSON"
            else value
            for name, value in row.items()
        }
        kept = {
            name: value
            for name, value in whole.items()
            if name not in (fields.content, "distance", "id") and value is not None
        }
        metadata = kept if self._is_flat() else whole.get(fields.metadata) or {}
        source = metadata.get(fields.source) or whole.get(fields.source) or row["id"]
        content = str(whole.get(fields.content) or "")
        return Passage(str(whole.get(fields.id, row["id"])), content, metadata, str(source), score)

    # -- conditions --------------------------------------------------------------------------------

    def _type(self, name: str) -> str:
        return str(self._fields[name]["type"]) if name in self._fields else ""

    def _is_flat(self) -> bool:
        """Whether all fields are metadata, in a collection that others fill."""
        return self._type(self._settings.fields.metadata) != "JSON"

    def _filter(self, where: Condition, values: dict[str, Any]) -> str | bool:
        """Return a condition as Milvus's, or what it always is; values are bound, and no part of its text.

        What is unknown to Milvus, such as a member that is missing, would stay so when it is negated:
        every comparison here is true or false.
        """
        if isinstance(where, Comparison):
            return self._comparison(where, values)
        if isinstance(where, Not):
            return _negated(self._filter(where.not_, values))
        parts = where.all if isinstance(where, AllOf) else where.any
        word = "and" if isinstance(where, AllOf) else "or"
        return _joined(word, [self._filter(part, values) for part in parts])

    def _comparison(self, where: Comparison, values: dict[str, Any]) -> str | bool:
        if where.op == "!=":
            return _negated(self._comparison(where.model_copy(update={"op": "=="}), values))
        if isinstance(where.value, bool) and where.op != "==":
            # Truth values have an order here as everywhere, but no server says so.
            equal = [one for one in (False, True) if _ORDER[where.op](one, where.value)]
            same = (where.model_copy(update={"op": "==", "value": one}) for one in equal)
            return _joined("or", [self._comparison(one, values) for one in same])
        if not self._is_ours and self._is_flat() and where.field in self._fields:
            return self._of_field(where, values)
        if self._is_ours or not self._is_flat():
            place = "metadata" if self._is_ours else self._settings.fields.metadata
        elif self._is_dynamic:
            place = DYNAMIC
        else:
            return False
        key = f'{place}["{where.field}"]'
        value = _bound(where.value, values)
        return f"({self._known(place)}exists {key} and {key} {where.op} {value})"

    def _of_field(self, where: Comparison, values: dict[str, Any]) -> str | bool:
        """Return a comparison with a field that has a type, which takes no values of another one."""
        op, value, kind = where.op, where.value, self._type(where.field)
        sort = bool if isinstance(value, bool) else str if isinstance(value, str) else float
        if SORTS.get(kind) is not sort:
            return False
        if isinstance(value, float) and not value.is_integer() and kind.startswith("Int"):
            if op == "==":
                return False
            is_above = op in (">", ">=")
            op, value = (">", math.floor(value)) if is_above else ("<", math.ceil(value))
        return f"({self._known(where.field)}{where.field} {op} {_bound(value, values)})"

    def _known(self, name: str) -> str:
        """Return what has to hold for a field to be compared at all."""
        nullable = self._fields[name].get("nullable") if name in self._fields else False
        return f"{name} is not null and " if nullable else ""

    # -- documents ---------------------------------------------------------------------------------

    async def documents(self) -> dict[str, str]:
        """Return the documents; those of which a part is missing, or left over, have no hash."""
        return wholeness.digests(await self._parts("", {}))

    async def _parts(self, where: str, values: Mapping[str, Any], start: str = "") -> list[Part]:
        """Return what is known of passages, those with one start of their ids after those with another.

        Milvus returns so many at once, and promises no order by which to go on.
        """
        body = {
            "filter": f"{where}id >= {{first}} and id < {{last}}",
            "exprParams": {**values, "first": start, "last": f"{start}g"},
            "outputFields": ["document", "digest", "parts"],
            "limit": MOST_ROWS,
        }
        rows = await self._asked("/entities/query", body)
        if len(rows) < MOST_ROWS:
            return [Part(row["document"], row["digest"], row["parts"]) for row in rows]
        return [
            part
            for digit in "0123456789abcdef"
            for part in await self._parts(where, values, start + digit)
        ]

    async def replace(self, document: str, digest: str, chunks: Sequence[Chunk]) -> None:
        """Write the new rows, then delete those that were there before; both may be done again.

        What somebody else writes meanwhile stays, and is replaced by the next run: two that delete
        each other's would leave nothing.
        """
        of_it, values = "document == {document}", dict[str, Any](document=document)
        parts = await self._parts(f"{of_it} and ", values)
        old = sorted({part.digest for part in parts} - {digest})
        for start in range(0, len(chunks), BATCH):
            rows = [
                _row(document, digest, chunk, len(chunks))
                for chunk in chunks[start : start + BATCH]
            ]
            await self._asked("/entities/upsert", {"data": rows})
        if chunks and old:
            of_it, values = f"{of_it} and digest in {{old}}", {**values, "old": old}
        if parts and (old or not chunks):
            await self._asked("/entities/delete", {"filter": of_it, "exprParams": values})

    async def remove(self, documents: Collection[str]) -> None:
        """Remove documents."""
        body = {"filter": "document in {names}", "exprParams": {"names": [*documents]}}
        if documents:
            await self._asked("/entities/delete", body)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _asked(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        may_be_absent: bool = False,
        seconds: float | None = None,
    ) -> Any:
        about = {"dbName": self._settings.database, "collectionName": self._settings.collection}
        try:
            answer = await self._client.send(
                "POST",
                self._url + path,
                seconds=seconds or self._settings.timeouts.request_seconds,
                most=LARGEST_ANSWER,
                body=orjson.dumps({**about, **body}),
            )
        except NetError as error:
            raise KnowledgeError(f"{self._settings.host}: {error}") from None
        try:
            document = orjson.loads(answer.body)
            code = document["code"]
        except (ValueError, KeyError, TypeError):
            said = f"answered {answer.status}, and not as Milvus does"
            raise KnowledgeError(f"{self._settings.host} {said}") from None
        if code == ABSENT and may_be_absent:
            return None
        if code != 0:  # with the status 200, as a rule
            said = shown(document.get("message"))
            raise KnowledgeError(f"Milvus answered {code}. {said}".strip())
        return document.get("data")


def _mark(description: object) -> dict[str, Any] | None:
    """Return what our own description says; nothing of others'."""
    try:
        own = orjson.loads(str(description))[MARK]
    except (ValueError, KeyError, TypeError):
        return None
    return own if isinstance(own, dict) else None


def _made(shape: Shape) -> dict[str, Any]:
    """Return what makes a collection of ours."""
    mark = {MARK: {"version": VERSION, "model": shape.model, "dimension": shape.dimension}}
    counting = {
        "name": WORDS,
        "type": "BM25",
        "description": orjson.dumps(mark).decode(),
        "inputFieldNames": [WORDS],
        "outputFieldNames": [COUNTED],
    }
    text = {"max_length": LONGEST_TEXT}
    fields = [
        {**_field("id", "VarChar", max_length=64), "isPrimary": True},
        _field("document", "VarChar", **text),
        _field("digest", "VarChar", max_length=128),
        _field("number", "Int64"),
        _field("parts", "Int64"),
        _field("content", "VarChar", **text),
        _field("metadata", "JSON"),
        # Words are our own, and only kept apart by the server.
        _field(WORDS, "VarChar", **text, enable_analyzer=True, analyzer_params={"tokenizer": "standard"}),
        _field(COUNTED, "SparseFloatVector"),
    ]  # fmt: skip
    indexes = [_index(COUNTED, "SPARSE_INVERTED_INDEX", "BM25")]
    if shape.dimension:
        fields.append(_field(VECTOR, "FloatVector", dim=shape.dimension))
        indexes.append(_index(VECTOR, "AUTOINDEX", "COSINE"))
    return {
        "schema": {"fields": fields, "functions": [counting]},
        "indexParams": indexes,
        # Who takes documents in has to see what has just been written.
        "params": {"consistencyLevel": "Strong"},
    }


def _field(name: str, kind: str, **params: Any) -> dict[str, Any]:
    return {"fieldName": name, "dataType": kind, "elementTypeParams": params}


def _index(field: str, kind: str, metric: str) -> dict[str, Any]:
    return {"fieldName": field, "indexName": field, "indexType": kind, "metricType": metric}


def _row(document: str, digest: str, chunk: Chunk, count: int) -> dict[str, Any]:
    row = {
        "id": uuid.uuid5(uuid.NAMESPACE_URL, f"{document}#{digest}#{chunk.number}").hex,
        "document": document,
        "digest": digest,
        "number": chunk.number,
        "parts": count,
        "content": chunk.content,
        "metadata": dict(chunk.metadata),
        WORDS: _text(chunk.words),
    }
    return row if chunk.vector is None else {**row, VECTOR: [*chunk.vector]}


def _text(words: Sequence[str]) -> str:
    """Return words as a text that every tokenizer takes apart in the same way: one of numbers."""
    return " ".join(f"{zlib.crc32(word.encode()):x}" for word in words)[:LONGEST_TEXT]


def _bound(value: str | float, values: dict[str, Any]) -> str:
    """Return the name of a value in the text of a condition."""
    name = f"v{len(values)}"
    values[name] = value
    return f"{{{name}}}"


def _negated(text: str | bool) -> str | bool:
    return f"not {text}" if isinstance(text, str) else not text


def _joined(word: str, parts: Sequence[str | bool]) -> str | bool:
    """Join conditions by `and` or `or`; what decides it alone, or is not needed, is no part of the text."""
    decides = word == "or"
    if any(part is decides for part in parts):
        return decides
    texts = [part for part in parts if isinstance(part, str)]
    return f"({f' {word} '.join(texts)})" if texts else not decides
