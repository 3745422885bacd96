"""The store that needs no server: one SQLite file for each collection, vectors compared one by one."""

import asyncio
import json
import sqlite3
import threading
from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from fleetform_runtime.knowledge import Chunk, KnowledgeError, Passage, Shape, Vector
from fleetform_runtime.sections.knowledge import (
    AllOf,
    Comparison,
    Condition,
    EmbeddedStore,
    Not,
)

T = TypeVar("T")
BUSY_SECONDS = 10.0
FIRST_LOOK = 200
"""Passages that are compared with a condition at first; each time that they are too few, four times as many."""
RANKED = 2_000
"""Passages that are ranked by words: where frequent words would bring more, rarer ones decide alone."""
VERSION = 1
_TABLES = """
CREATE TABLE collection (version INTEGER, model TEXT, dimension INTEGER);
CREATE TABLE document (name TEXT PRIMARY KEY, digest TEXT NOT NULL);
CREATE TABLE chunk (
  id INTEGER PRIMARY KEY, document TEXT NOT NULL, number INTEGER NOT NULL,
  content TEXT NOT NULL, metadata TEXT NOT NULL, vector BLOB);
CREATE INDEX chunk_document ON chunk (document);
CREATE VIRTUAL TABLE words USING fts5(text, tokenize = "unicode61 remove_diacritics 0");
"""
_FREQUENCIES = "CREATE VIRTUAL TABLE temp.frequency USING fts5vocab(main, words, row)"
_MEMBER = "json_extract(chunk.metadata, ?)"


class Embedded:
    """One file; everything happens in threads, and one operation at a time."""

    def __init__(self, settings: EmbeddedStore) -> None:
        self._path = Path(settings.path) / f"{settings.collection}.sqlite"
        self._connection: sqlite3.Connection | None = None
        self._matrix: tuple[int, Any, Any] | None = None
        self._lock = threading.Lock()

    # -- the collection ----------------------------------------------------------------------------

    async def describe(self) -> Shape | None:
        """Return the collection's shape."""
        return await self._do(self._described) if self._path.is_file() else None

    async def create(self, shape: Shape) -> None:
        """Create the file."""

        def work(connection: sqlite3.Connection) -> None:
            if self._described(connection) is None:
                with connection:
                    connection.executescript(f"BEGIN IMMEDIATE; {_TABLES}")
                    values = (VERSION, shape.model, shape.dimension)
                    connection.execute("INSERT INTO collection VALUES (?, ?, ?)", values)

        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KnowledgeError(f"{self._path.parent}: {error.strerror}") from None
        await self._do(work)

    @staticmethod
    def _described(connection: sqlite3.Connection) -> Shape | None:
        found = "SELECT count(*) FROM sqlite_master WHERE name = 'collection'"
        if not connection.execute(found).fetchone()[0]:
            return None
        row = connection.execute("SELECT model, dimension FROM collection").fetchone()
        return Shape(*row) if row else None

    # -- searches ----------------------------------------------------------------------------------

    async def nearest(self, vector: Vector, where: Condition | None, limit: int) -> list[Passage]:
        """Compare all vectors."""

        def work(connection: sqlite3.Connection) -> list[Passage]:
            import numpy  # noqa: PLC0415 - an extra, and a library that few agents need

            ids, matrix = self._vectors(connection)
            if not len(ids):
                return []
            scores = matrix @ _unit(vector)
            best = numpy.argsort(-scores, kind="stable")
            ordered = ((int(ids[place]), float(scores[place])) for place in best)
            return _passages(connection, _first(connection, ordered, where, limit))

        return await self._do(work)

    async def matching(
        self, words: Sequence[str], vector: Vector | None, where: Condition | None, limit: int
    ) -> list[Passage]:
        """Ask the full-text index."""

        def work(connection: sqlite3.Connection) -> list[Passage]:
            telling = _telling(connection, words)
            asked = " OR ".join('"' + word.replace('"', '""') + '"' for word in telling)
            ordered = connection.execute(
                "SELECT rowid, -rank FROM words WHERE words MATCH ? ORDER BY rank, rowid", (asked,)
            )
            found = _first(connection, ordered, where, limit)
            if vector is not None and found:
                found = self._cosines(connection, [*found], _unit(vector))
            return _passages(connection, found)

        return await self._do(work) if words else []

    def _cosines(
        self, connection: sqlite3.Connection, numbers: list[int], unit: Any
    ) -> dict[int, float]:
        """Return the cosines of those passages that have a vector, in their order."""
        import numpy  # noqa: PLC0415

        ids, matrix = self._vectors(connection)
        places = numpy.searchsorted(ids, numbers)
        return {
            number: float(matrix[place] @ unit)
            for number, place in zip(numbers, places, strict=True)
            if place < len(ids) and ids[place] == number
        }

    def _vectors(self, connection: sqlite3.Connection) -> tuple[Any, Any]:
        """Return the ids and the unit vectors, which are read again when the file changes."""
        import numpy  # noqa: PLC0415

        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if self._matrix is None or self._matrix[0] != version:
            rows = connection.execute(
                "SELECT id, vector FROM chunk WHERE vector IS NOT NULL ORDER BY id"
            ).fetchall()
            ids = numpy.fromiter((row[0] for row in rows), dtype=numpy.int64, count=len(rows))
            flat = numpy.frombuffer(b"".join(row[1] for row in rows), dtype="<f4")
            self._matrix = (version, ids, flat.reshape(len(rows), -1 if rows else 1))
        return self._matrix[1], self._matrix[2]

    # -- documents ---------------------------------------------------------------------------------

    async def documents(self) -> dict[str, str]:
        """Return the documents."""
        return await self._do(
            lambda connection: dict(connection.execute("SELECT name, digest FROM document"))
        )

    async def replace(self, document: str, digest: str, chunks: Sequence[Chunk]) -> None:
        """Keep a document, in one transaction."""

        def work(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                _drop(connection, [document])
                for chunk in chunks:
                    metadata = json.dumps(dict(chunk.metadata), ensure_ascii=False)
                    vector = None if chunk.vector is None else _packed(chunk.vector)
                    row = connection.execute(
                        "INSERT INTO chunk (document, number, content, metadata, vector)"
                        " VALUES (?, ?, ?, ?, ?)",
                        (document, chunk.number, chunk.content, metadata, vector),
                    )
                    connection.execute(
                        "INSERT INTO words (rowid, text) VALUES (?, ?)",
                        (row.lastrowid, " ".join(chunk.words)),
                    )
                connection.execute("INSERT INTO document VALUES (?, ?)", (document, digest))
            self._matrix = None

        await self._do(work)

    async def remove(self, documents: Collection[str]) -> None:
        """Remove documents."""

        def work(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                _drop(connection, documents)
            self._matrix = None

        await self._do(work)

    async def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # -- threads -----------------------------------------------------------------------------------

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def guarded() -> T:
            with self._lock:
                if self._connection is None:
                    self._connection = _opened(self._path)
                return work(self._connection)

        try:
            return await asyncio.to_thread(guarded)
        except sqlite3.Error as error:
            raise KnowledgeError(f"{self._path.name}: {error}") from None


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


def _telling(connection: sqlite3.Connection, words: Sequence[str]) -> list[str]:
    """Return words without the most frequent ones, as soon as rarer ones bring enough passages to rank.

    A word that half of all passages have says next to nothing, and to rank them for it takes longer than all else.
    What the index has cut into several words has no frequency of its own, and stays.
    """
    if not connection.execute("SELECT 1 FROM temp.sqlite_master").fetchone():
        connection.execute(_FREQUENCIES)
    rows = connection.execute(
        "SELECT term, doc FROM temp.frequency WHERE term IN (SELECT value FROM json_each(?))",
        (json.dumps(words),),
    )
    dropped, total = set[str](), 0
    for word, passages in sorted(rows, key=lambda row: row[1]):
        if total and total + passages > RANKED:
            dropped.add(word)
        total += passages
    return [word for word in words if word not in dropped]


def _drop(connection: sqlite3.Connection, documents: Iterable[str]) -> None:
    for name in documents:
        connection.execute(
            "DELETE FROM words WHERE rowid IN (SELECT id FROM chunk WHERE document = ?)", (name,)
        )
        connection.execute("DELETE FROM chunk WHERE document = ?", (name,))
        connection.execute("DELETE FROM document WHERE name = ?", (name,))


def _unit(vector: Vector) -> Any:
    import numpy  # noqa: PLC0415

    found = numpy.asarray(vector, dtype=numpy.float32)
    size = float(numpy.linalg.norm(found))
    return found / size if size else found


def _packed(vector: Vector) -> bytes:
    """Return a unit vector as little-endian floats."""
    size = sum(value * value for value in vector) ** 0.5 or 1.0
    return array("f", [value / size for value in vector]).tobytes()


def _first(
    connection: sqlite3.Connection,
    ordered: Iterable[tuple[int, float]],
    where: Condition | None,
    limit: int,
) -> dict[int, float]:
    """Return the first passages that match a condition: it is slow to compare, and most often few have to be."""
    rest, found, size = iter(ordered), dict[int, float](), FIRST_LOOK
    text, values = sql(where) if where is not None else ("", [])
    while len(found) < limit and (batch := list(islice(rest, size if text else limit))):
        if text:
            asked = (json.dumps([number for number, _ in batch]), *values)
            rows = connection.execute(
                f"SELECT id FROM chunk WHERE id IN (SELECT value FROM json_each(?)) AND {text}",  # noqa: S608
                asked,
            )
            kept = {row[0] for row in rows}
            batch = [one for one in batch if one[0] in kept]
        found |= batch[: limit - len(found)]
        size *= 4
    return found


def _passages(connection: sqlite3.Connection, scores: dict[int, float]) -> list[Passage]:
    marks = ",".join("?" * len(scores))
    rows = connection.execute(
        f"SELECT id, document, number, content, metadata FROM chunk WHERE id IN ({marks})",  # noqa: S608
        list(scores),
    )
    found = {row[0]: row for row in rows}
    return [
        Passage(
            id=f"{found[number][1]}#{found[number][2]}",
            content=found[number][3],
            metadata=json.loads(found[number][4]),
            source=found[number][1],
            score=score,
        )
        for number, score in scores.items()
        if number in found
    ]


# -- conditions ------------------------------------------------------------------------------------

_ONE_TYPE = {
    bool: ("true", "false"),
    int: ("integer", "real"),
    float: ("integer", "real"),
    str: ("text",),
}


def sql(where: Condition) -> tuple[str, list[Any]]:
    """Return a condition as SQL, and the values that are bound to it."""
    if isinstance(where, Comparison):
        return _comparison(where)
    if isinstance(where, Not):
        text, values = sql(where.not_)
        return f"NOT ({text})", values
    parts = [sql(part) for part in (where.all if isinstance(where, AllOf) else where.any)]
    word = " AND " if isinstance(where, AllOf) else " OR "
    return f"({word.join(text for text, _ in parts)})", [value for _, own in parts for value in own]


def _comparison(where: Comparison) -> tuple[str, list[Any]]:
    """Compare values of one type alone: SQLite would find any text larger than any number."""
    path = f'$."{where.field}"'
    types = ", ".join(f"'{name}'" for name in _ONE_TYPE[type(where.value)])
    fits = f"coalesce(json_type(chunk.metadata, ?) IN ({types}), 0)"
    compared = f"{_MEMBER} {'=' if where.op in ('==', '!=') else where.op} ?"
    text = f"({fits} AND {compared})"
    return (f"NOT {text}" if where.op == "!=" else text), [path, path, where.value]
