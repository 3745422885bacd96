"""A table of PostgreSQL: vectors by the extension pgvector, words by an index of arrays, ranked by BM25."""

import json
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import asyncpg

from fleetform_runtime.knowledge import Chunk, KnowledgeError, Passage, Shape, Vector
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.knowledge import AllOf, Comparison, Condition, Not, PgvectorStore
from fleetform_runtime.sections.memory import PostgresMemory
from fleetform_runtime.store import StoreError
from fleetform_runtime.store.postgres.client import PostgresClient

T = TypeVar("T")
VERSION = 1
MARK = "fleetform"
"""Member of a table's comment that says that it is ours, and how it was made."""
MOST_INDEXED = 2_000
"""Dimensions that an index of pgvector has; longer vectors are compared one by one."""
_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), obj_description(a.attrelid, 'pg_class')
FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped"""
_TABLE = """
CREATE TABLE {table} (
  document text NOT NULL, number integer NOT NULL, digest text NOT NULL,
  content text NOT NULL, metadata jsonb NOT NULL, words text[] NOT NULL{vector},
  PRIMARY KEY (document, number));
CREATE INDEX ON {table} USING gin (words);
"""
# What FTS5 of SQLite ranks by, so that the embedded store and this one answer alike.
_MATCHING = """
WITH asked AS (
  SELECT term, (SELECT count(*) FROM {table} WHERE words @> ARRAY[term]) AS has
  FROM unnest($1::text[]) AS term),
whole AS (SELECT count(*)::float8 AS has, greatest(avg(cardinality(words)), 1)::float8 AS length FROM {table})
SELECT {columns}, {score} AS score
FROM {table} AS c CROSS JOIN whole
WHERE c.words && $1::text[] AND {where}
ORDER BY (
  SELECT sum(
    greatest(ln((whole.has - asked.has + 0.5) / (asked.has + 0.5)), 1e-6)
    * f.times * 2.2 / (f.times + 1.2 * (0.25 + 0.75 * cardinality(c.words) / whole.length)))
  FROM asked CROSS JOIN LATERAL (
    SELECT count(*)::float8 AS times FROM unnest(c.words) AS word WHERE word = asked.term) AS f
) DESC, c.document, c.number
LIMIT {limit}"""


class Pgvector:
    """One table: our own, or one that others fill, which is only searched."""

    def __init__(self, settings: PgvectorStore, secrets: Secrets) -> None:
        self._settings = settings
        self._table = ".".join(f'"{part}"' for part in settings.collection.split("."))
        self._columns: dict[str, str] = {}
        self._is_ours = False
        shared = (
            "host",
            "port",
            "database",
            "username",
            "password",
            "tls",
            "pool_size",
            "timeouts",
        )
        given = {name: getattr(settings, name) for name in shared}
        memory = PostgresMemory.model_construct(type="postgres", **given)
        self._client = PostgresClient(memory, secrets, _nothing)

    # -- the collection ----------------------------------------------------------------------------

    async def describe(self) -> Shape | None:
        """Return the table's shape."""

        async def work(connection: Any) -> Shape | None:
            rows = await connection.fetch(_COLUMNS, self._table)
            self._columns = {row[0]: row[1] for row in rows}
            return self._described(rows[0][2]) if rows else None

        return await self._do(work)

    def _described(self, comment: str | None) -> Shape:
        own = _mark(comment)
        self._is_ours = own is not None
        if own is not None:
            return Shape(str(own.get("model", "")), int(own.get("dimension", 0)))
        fields = self._settings.fields
        for role in ("id", "content", "vector"):
            if getattr(fields, role) not in self._columns:
                raise KnowledgeError(
                    f"the table {self._settings.collection} has no column {getattr(fields, role)}:"
                    f" `fields.{role}` says which one it is"
                )
        size = re.search(r"vec(?:tor)?\((\d+)\)", self._columns[fields.vector])
        return Shape("", int(size[1]) if size else 0, words=False, ours=False)

    async def create(self, shape: Shape) -> None:
        """Create the table, in one transaction."""

        async def work(connection: Any) -> None:
            async with connection.transaction():
                await self._lock(connection)
                if await connection.fetchval("SELECT to_regclass($1)", self._table) is None:
                    await self._make(connection, shape)

        await self._do(work)
        await self.describe()

    async def _make(self, connection: Any, shape: Shape) -> None:
        schema, _, _ = self._table.rpartition(".")
        if schema and await connection.fetchval("SELECT to_regnamespace($1)", schema) is None:
            await connection.execute(f"CREATE SCHEMA {schema}")
        vector = ""
        if shape.dimension:
            await self._extend(connection)
            vector = f", vector vector({shape.dimension})"
        await connection.execute(_TABLE.format(table=self._table, vector=vector))
        if 0 < shape.dimension <= MOST_INDEXED:
            await connection.execute(
                f"CREATE INDEX ON {self._table} USING hnsw (vector vector_cosine_ops)"
            )
        mark = {MARK: VERSION, "model": shape.model, "dimension": shape.dimension}
        text = await connection.fetchval("SELECT quote_literal($1)", json.dumps(mark))
        await connection.execute(f"COMMENT ON TABLE {self._table} IS {text}")

    async def _extend(self, connection: Any) -> None:
        try:
            async with connection.transaction():
                await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        except (asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError) as error:
            raise KnowledgeError(
                f"the database {self._settings.database} lacks the extension pgvector ({error}):"
                " an administrator runs `CREATE EXTENSION vector` in it"
            ) from None

    # -- searches ----------------------------------------------------------------------------------

    async def nearest(self, vector: Vector, where: Condition | None, limit: int) -> list[Passage]:
        """Ask the index; it goes on until enough rows match, however few do."""
        values: list[Any] = [_text(vector)]
        name = "vector" if self._is_ours else self._settings.fields.vector
        distance = f'c."{name}" <=> $1::text::vector'
        condition = self._condition(where, values)
        values.append(limit)
        statement = (
            f"SELECT {self._selected()}, 1 - ({distance}) AS score FROM {self._table} AS c"  # noqa: S608
            f' WHERE c."{name}" IS NOT NULL AND {condition} ORDER BY {distance} LIMIT ${len(values)}'
        )
        return await self._found(statement, values)

    async def matching(
        self, words: Sequence[str], vector: Vector | None, where: Condition | None, limit: int
    ) -> list[Passage]:
        """Ask the index of words."""
        if not words:
            return []
        values: list[Any] = [[*words]]
        score = "0::float8"
        if vector is not None:
            values.append(_text(vector))
            score = "1 - (c.vector <=> $2::text::vector)"
        condition = self._condition(where, values)
        values.append(limit)
        statement = _MATCHING.format(
            table=self._table,
            columns=self._selected(),
            score=score,
            where=condition,
            limit=f"${len(values)}",
        )
        return await self._found(statement, values)

    async def _found(self, statement: str, values: list[Any]) -> list[Passage]:
        async def work(connection: Any) -> list[Any]:
            async with connection.transaction(readonly=True):
                # For this transaction alone: behind a pooler the next one may have another connection.
                await connection.execute("SET LOCAL hnsw.iterative_scan = 'strict_order'")
                return list(await connection.fetch(statement, *values))

        return [self._passage(row) for row in await self._do(work)]

    def _selected(self) -> str:
        """Return id, source, content and metadata as columns of a statement."""
        if self._is_ours:
            return "c.document || '#' || c.number AS id, c.document AS source, c.content AS content, c.metadata AS metadata"
        fields = self._settings.fields
        metadata = (
            f'to_jsonb(c."{fields.metadata}")'
            if fields.metadata in self._columns
            else f"to_jsonb(c) - '{fields.vector}' - '{fields.content}'"
        )
        return (
            f'c."{fields.id}"::text AS id, NULL AS source, c."{fields.content}" AS content,'
            f" {metadata} AS metadata"
        )

    def _passage(self, row: Any) -> Passage:
        metadata = json.loads(row["metadata"]) if row["metadata"] else {}
        metadata = metadata if isinstance(metadata, dict) else {}
        source = row["source"] or metadata.get(self._settings.fields.source) or row["id"]
        return Passage(row["id"], row["content"] or "", metadata, str(source), float(row["score"]))

    # -- conditions --------------------------------------------------------------------------------

    def _condition(self, where: Condition | None, values: list[Any]) -> str:
        """Return a condition as SQL; its names and values are added to those that are bound."""
        if where is None:
            return "true"
        if isinstance(where, Comparison):
            return self._comparison(where, values)
        if isinstance(where, Not):
            return f"NOT ({self._condition(where.not_, values)})"
        parts = where.all if isinstance(where, AllOf) else where.any
        word = " AND " if isinstance(where, AllOf) else " OR "
        return f"({word.join(self._condition(part, values) for part in parts)})"

    def _comparison(self, where: Comparison, values: list[Any]) -> str:
        """Compare values of one type alone; text by its bytes, as the embedded store does."""
        value = where.value
        if "\x00" in str(value):  # which no text in PostgreSQL has
            return "true" if where.op == "!=" else "false"
        member = self._member(where.field, values)
        # bool before int: in Python it is one.
        if isinstance(value, bool):
            kind, cast, sort = "boolean", "boolean", ""
        elif isinstance(value, str):
            kind, cast, sort = "string", "text", ' COLLATE "C"'
        else:
            kind, cast, sort = "number", "numeric", ""
        values.append(str(value).lower() if kind == "boolean" else str(value))
        op = "=" if where.op in ("==", "!=") else where.op
        compared = f"({member} #>> '{{}}')::{cast}{sort} {op} ${len(values)}::text::{cast}"
        text = f"(CASE WHEN jsonb_typeof({member}) = '{kind}' THEN {compared} ELSE false END)"
        return f"NOT {text}" if where.op == "!=" else text

    def _member(self, name: str, values: list[Any]) -> str:
        """Return a member of the metadata, or a column of a table that keeps it in columns."""
        own = "metadata" if self._is_ours else self._settings.fields.metadata
        if own in self._columns:
            values.append(name)
            return f'(to_jsonb(c."{own}") -> ${len(values)}::text)'
        return f'to_jsonb(c."{name}")' if name in self._columns else "NULL::jsonb"

    # -- documents ---------------------------------------------------------------------------------

    async def documents(self) -> dict[str, str]:
        """Return the documents."""

        async def work(connection: Any) -> dict[str, str]:
            statement = f"SELECT document, min(digest) FROM {self._table} GROUP BY document"  # noqa: S608
            return {row[0]: row[1] for row in await connection.fetch(statement)}

        return await self._do(work)

    async def replace(self, document: str, digest: str, chunks: Sequence[Chunk]) -> None:
        """Keep a document, in one transaction."""
        has_vectors = any(chunk.vector is not None for chunk in chunks)
        more = (", vector", ", $7::text::vector") if has_vectors else ("", "")
        statement = (
            f"INSERT INTO {self._table} (document, number, digest, content, metadata, words{more[0]})"  # noqa: S608
            f" VALUES ($1, $2, $3, $4, $5::text::jsonb, $6{more[1]})"
        )
        rows = [
            (
                *(document, chunk.number, digest, chunk.content),
                *(json.dumps(dict(chunk.metadata), ensure_ascii=False), [*chunk.words]),
                *([_text(chunk.vector)] if chunk.vector is not None else []),
            )
            for chunk in chunks
        ]

        async def work(connection: Any) -> None:
            async with connection.transaction():
                await self._lock(connection)
                await self._drop(connection, [document])
                await connection.executemany(statement, rows)

        await self._do(work)

    async def remove(self, documents: Collection[str]) -> None:
        """Remove documents, in one transaction."""

        async def work(connection: Any) -> None:
            async with connection.transaction():
                await self._lock(connection)
                await self._drop(connection, documents)

        await self._do(work)

    async def close(self) -> None:
        """Close the pool."""
        await self._client.close()

    async def _drop(self, connection: Any, documents: Collection[str]) -> None:
        statement = f"DELETE FROM {self._table} WHERE document = ANY($1::text[])"  # noqa: S608
        await connection.execute(statement, [*documents])

    async def _lock(self, connection: Any) -> None:
        """Let one writer after the other into a table, until its transaction ends."""
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", self._table
        )

    async def _do(self, work: Callable[[Any], Awaitable[T]]) -> T:
        try:
            return await self._client.do(work)
        except StoreError as error:
            raise KnowledgeError(f"{self._settings.host}: {error}") from None


async def _nothing(connection: Any) -> None:
    """Make no tables: a collection is made by taking documents in."""
    del connection


def _text(vector: Vector) -> str:
    return f"[{','.join(map(repr, map(float, vector)))}]"


def _mark(comment: str | None) -> Mapping[str, Any] | None:
    try:
        found = json.loads(comment or "")
    except ValueError:
        return None
    return found if isinstance(found, dict) and MARK in found else None
