"""What every store of documents does alike: SQLite, a real PostgreSQL with pgvector, engines of Qdrant and Milvus."""

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest

from fleetform_runtime.knowledge import (
    Chunk,
    KnowledgeError,
    MismatchError,
    Shape,
    build,
    milvus,
)
from fleetform_runtime.knowledge.ingest import Document, Ingest
from fleetform_runtime.knowledge.search import Searcher
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.knowledge import (
    AllOf,
    AnyOf,
    Comparison,
    Not,
    Search,
)
from runtime.tests.collections_of import BACKENDS, KEY, UNTRANSACTIONAL, Place

pytestmark = pytest.mark.anyio
MODEL = "test axes"


@pytest.fixture(params=BACKENDS)
def place(request, tmp_path):
    return Place(request.param, tmp_path, request)


@pytest.fixture
def table(request, tmp_path):
    return Place("pgvector", tmp_path, request)


def chunk(number, text, vector=(1.0, 0.0), /, **metadata):
    return Chunk(number, text, text.split(), metadata, list(vector) if vector else None)


@asynccontextmanager
async def filled(place, chunks, dimension=2):
    """Yield a store with a document for each chunk, named by its number."""
    async with place.store() as store:
        await store.create(Shape(MODEL, dimension))
        await store.describe()
        for one in chunks:
            await store.replace(f"d{one.number}", "1", [one])
        yield store


async def everything(store, where=None, limit=50):
    """Return the numbers of what both searches find, which is the same where all vectors are."""
    near = await store.nearest([1.0, 0.5], where, limit)
    same = await store.matching(["x"], None, where, limit)
    numbers = {int(passage.source[1:]) for passage in near}
    assert {int(passage.source[1:]) for passage in same} == numbers
    return numbers


# -- conditions -------------------------------------------------------------------------------------

VALUES = [
    "faq", "", " ", "FAQ", "faq ", "it's", '"', "'", "\\", '" or 1==1', "' OR '1'='1", "x' --", "%", "_", "$1", "{}", "[]", "null",
    "true", "1", "\n", "한국", "e\u0301", "\u00e9", "😀", "a\x00", "\\x00", "a" * 4096,
    0, 1, -1, 1.0, 1.5, 2**53, 1e300, 1e-300, True, False,
]  # fmt: skip
"""Values that something could take for another one, or for more than a value."""


def alike(left, right):
    """Whether two values are one: truth values are no numbers, numbers of one size are."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def sort_of(value):
    return "bool" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def kept(value):
    return value.replace("\x00", "") if isinstance(value, str) else value


async def test_equal_is_what_is_equal_whatever_the_value(place):
    chunks = [chunk(n, "x", kind=kept(value)) for n, value in enumerate(VALUES)]
    chunks.append(chunk(len(VALUES), "x"))
    async with filled(place, chunks) as store:
        numbers = range(len(chunks))
        for value in VALUES:
            expected = {n for n, other in enumerate(VALUES) if alike(kept(other), value)}
            for field, found in (("kind", expected), ("absent", set())):
                for op, right in (("==", found), ("!=", {*numbers} - found)):
                    where = Comparison(field=field, op=op, value=value)
                    assert await everything(store, where) == right, (op, value)


@pytest.mark.parametrize("op", ["<", "<=", ">", ">="])
async def test_only_values_of_one_sort_have_an_order(place, op):
    values = [value for value in VALUES if value == kept(value)]
    compared = {"<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__"}[op]
    async with filled(
        place, [chunk(n, "x", kind=value) for n, value in enumerate(values)]
    ) as store:
        for value in ("faq", "b", 1, 0.5, -2, "한", True, "\\"):
            expected = {
                n for n, other in enumerate(values)
                if sort_of(other) == sort_of(value) and getattr(_key(other), compared)(_key(value)) is True
            }  # fmt: skip
            where = Comparison(field="kind", op=op, value=value)
            if place.kind == "qdrant" and sort_of(value) != "number":
                with pytest.raises(KnowledgeError, match="an order of numbers alone"):
                    await everything(store, where)
            else:
                assert await everything(store, where) == expected, (op, value)


def _key(value):
    return value.encode() if isinstance(value, str) else float(value)


@pytest.mark.parametrize(
    "field", ["a", "a.b", "a-b", "A", "content", "document", "vector", "select", "a" * 128]
)
async def test_a_member_may_have_any_name(place, field):
    chunks = [
        chunk(0, "x", **{field: "yes"}),
        chunk(1, "x", **{field: "no"}),
        chunk(2, "x", other=7),
    ]
    async with filled(place, chunks) as store:
        assert await everything(store, Comparison(field=field, op="==", value="yes")) == {0}


async def test_conditions_may_be_put_together(place):
    one, two, three = (Comparison(field="n", op="==", value=n) for n in (1, 2, 3))
    cases = [
        (AnyOf(any=(one, two)), {1, 2}),
        (AllOf(all=(one, two)), set()),
        (Not(not_=AnyOf(any=(one, two))), {0, 3, 4}),
        (AllOf(all=(Not(not_=one), AnyOf(any=(one, three)))), {3}),
        (AnyOf(any=(AllOf(all=(one,)), Not(not_=Not(not_=two)))), {1, 2}),
    ]
    async with filled(place, [chunk(n, "x", n=n) for n in range(4)] + [chunk(4, "x")]) as store:
        for where, expected in cases:
            assert await everything(store, where) == expected


async def test_all_rows_of_a_rare_kind_are_found_among_many(place):
    async with place.store() as store:
        await store.create(Shape(MODEL, 2))
        await store.describe()
        many = [chunk(n, "x", (1.0, n / 1000), rare=n % 100 == 7) for n in range(1000)]
        await store.replace("d0", "1", many)
        where = Comparison(field="rare", op="==", value=True)
        found = await store.nearest([1.0, 0.0], where, 10)
        assert [passage.id for passage in found] == [f"d0#{n}" for n in range(7, 1000, 100)]


# -- searches ---------------------------------------------------------------------------------------


async def test_vectors_are_ranked_by_their_cosine(place):
    vectors = [(3.0, 0.0), (1.0, 1.0), (0.0, 2.0), (-1.0, 0.0)]
    async with filled(place, [chunk(n, "x", v) for n, v in enumerate(vectors)]) as store:
        found = await store.nearest([2.0, 0.0], None, 3)
        assert [passage.source for passage in found] == ["d0", "d1", "d2"]
        assert [passage.score for passage in found] == pytest.approx([1.0, 0.5**0.5, 0.0], abs=1e-6)
        both = await store.matching(["x"], [2.0, 0.0], None, 4)
        assert sorted(passage.score for passage in both) == pytest.approx(
            [-1.0, 0.0, 0.5**0.5, 1.0], abs=1e-6
        )


async def test_words_are_ranked_by_how_rare_and_how_many_they_are(place):
    texts = [
        "common common",
        "common rare",
        "common rare rare",
        "common",
        *["common filler text"] * 6,
    ]
    async with filled(place, [chunk(n, text) for n, text in enumerate(texts)]) as store:
        found = await store.matching(["common", "rare"], None, None, 3)
        assert [passage.source for passage in found][:2] == ["d2", "d1"]
        assert await store.matching(["nothing"], None, None, 3) == []
        assert await store.matching([], None, None, 3) == []


async def test_what_has_the_words_is_found_however_far_its_vector_is(place):
    chunks = [chunk(n, "common", (1.0, n / 100)) for n in range(30)]
    async with filled(place, [*chunks, chunk(30, "common rare", (-1.0, 0.0))]) as store:
        (found,) = await store.matching(["rare"], [1.0, 0.0], None, 3)
        assert (found.source, found.score) == ("d30", pytest.approx(-1.0))


@pytest.mark.parametrize("word", ["'", '"', "a' OR 1=1", "\\", "*", "$1", ":*", "&", "!", "한국"])
async def test_a_word_is_a_word(place, word):
    async with filled(place, [chunk(0, "x"), chunk(1, "y")]) as store:
        assert await store.matching([word], None, None, 3) == []


async def test_a_passage_comes_back_as_it_was(place):
    text = "Grüße 한국\n\n```\n'x' \\ \"\n``` 😀"
    metadata = {"a": "1", "n": 1, "f": 1.5, "t": True, "q": "'\"\\", "source": "here.md"}
    async with place.store() as store:
        await store.create(Shape(MODEL, 2))
        await store.describe()
        await store.replace('it\'s/한 "x".md', "1", [Chunk(0, text, ["x"], metadata, [1.0, 0.0])])
        (found,) = await store.nearest([1.0, 0.0], None, 5)
        assert (found.content, found.metadata) == (text, metadata)
        assert found.source == 'it\'s/한 "x".md'
        assert await store.documents() == {found.source: "1"}
        await store.remove([found.source])
        assert await store.nearest([1.0, 0.0], None, 5) == []


# -- documents --------------------------------------------------------------------------------------


class Axes:
    """An embedding without a model: the counts of two letters."""

    def __init__(self):
        self.asked = 0

    async def documents(self, texts):
        self.asked += len(texts)
        return [[text.count("a") + 0.01, text.count("b") + 0.01] for text in texts]

    async def question(self, text):
        return (await self.documents([text]))[0]

    async def close(self):
        pass


@pytest.mark.parametrize("embedder", [None, Axes])
async def test_documents_are_replaced_and_removed_in_whole(place, embedder):
    def documents(**texts):
        return [Document(f"{name}.md", text.encode()) for name, text in texts.items()]

    made = embedder() if embedder else None
    async with place.store() as store:
        assert await store.describe() is None
        assert await Searcher(store, Search(mode="keyword")).find("x", []) is None
        first = await Ingest(store, made).run(documents(one="# a\n\naaa\n\n# b\n\nbbb", two="ab"))
        assert (first.added, first.passages) == (2, 3)
        asked = made.asked if made else 0
        again = await Ingest(store, made).run(documents(one="# a\n\naaa\n\n# b\n\nbbb", two="ab"))
        assert (again.unchanged, made.asked if made else 0) == (2, asked)
        changed = await Ingest(store, made).run(documents(one="ccc"), prune=True)
        assert (changed.changed, changed.removed) == (1, 1)
        assert {*await store.documents()} == {"one.md"}
    async with place.store() as store:
        answer = await Searcher(store, Search(mode="keyword")).find("aaa ccc bbb ab", [])
        assert [passage.content for passage in answer.passages] == ["ccc"]


async def test_a_collection_says_what_made_it(place):
    async with place.store() as store:
        await store.create(Shape(MODEL, 3))
    async with place.store() as store:
        assert await store.describe() == Shape(MODEL, 3)


async def test_two_at_once_take_the_same_documents_in(place):
    async def take(text):
        async with place.store() as store:
            await Ingest(store).run([Document("a.md", text.encode())])

    await take("first")
    await asyncio.gather(*(take(f"word{n}") for n in range(4)))
    question = "word0 word1 word2 word3 first"
    async with place.store() as store:
        answer = await Searcher(store, Search(mode="keyword")).find(question, [])
        # Without transactions each may leave the others' passages, but nobody leaves none.
        assert 1 <= len(answer.passages) <= (4 if place.kind in UNTRANSACTIONAL else 1)
    await take("first")
    async with place.store() as store:
        answer = await Searcher(store, Search(mode="keyword")).find(question, [])
        assert [passage.content for passage in answer.passages] == ["first"]


@pytest.mark.proof
@pytest.mark.parametrize("kind", UNTRANSACTIONAL)
async def test_a_replacement_that_breaks_off_anywhere_leaves_something_and_is_made_up_for(
    kind, request, tmp_path
):
    place = Place(kind, tmp_path, request)

    async def found():
        async with place.store() as store:
            answer = await Searcher(store, Search(mode="keyword", top_k=20)).find("x", [])
            return [passage.content.split()[-1] for passage in answer.passages]

    async def take(word, left=1_000):
        async with place.store() as store:
            asked = store._asked

            async def breaking(*arguments, **more):
                nonlocal left
                left -= 1
                if left < 0:
                    raise KnowledgeError("killed")
                return await asked(*arguments, **more)

            store._asked = breaking
            text = "".join(f"# {n}\n\nx {word}\n\n" for n in range(3))
            await Ingest(store).run([Document("a.md", text.encode())])

    await take("old")
    for left in range(1_000):
        try:
            await take("new", left)
        except KnowledgeError:
            seen = await found()
            assert seen.count("old") == 3 or seen.count("new") == 3, left
            await take("old")
            assert await found() == ["old"] * 3
        else:
            break
    assert left > 4
    assert await found() == ["new"] * 3


# -- collections of others ----------------------------------------------------------------------------

FIELDS = {"id": "uid", "content": "body", "vector": "embedding", "source": "url"}


async def _made(table, *statements):
    port = table.settings().port
    connection = await asyncpg.connect(
        host="127.0.0.1", port=port, user="agent", database="postgres"
    )
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("url text, kind text, year int", "'https://x/1', 'faq', 2024"),
        ("metadata jsonb", """'{"url": "https://x/1", "kind": "faq", "year": 2024}'"""),
    ],
)
async def test_a_table_of_others_is_searched_by_its_own_names_and_left_as_it_is(
    table, columns, values
):
    await _made(
        table,
        "CREATE EXTENSION IF NOT EXISTS vector",
        f"CREATE TABLE {table.name} (uid int, body text, embedding vector(2), {columns})",
        f"INSERT INTO {table.name} VALUES (1, 'text', '[1,0]', {values}), (2, 'none', NULL, {values})",
    )
    async with table.store(fields=FIELDS) as store:
        assert await store.describe() == Shape("", 2, words=False, ours=False)
        year = Comparison(field="year", op=">", value=2000)
        (found,) = await store.nearest([1.0, 0.0], year, 5)
        assert (found.id, found.content, found.source) == ("1", "text", "https://x/1")
        assert found.metadata["kind"] == "faq"
        assert "embedding" not in found.metadata
        no = AnyOf(
            any=(
                Comparison(field="kind", op="==", value="x"),
                Comparison(field="no", op="==", value=1),
            )
        )
        assert await store.nearest([1.0, 0.0], no, 5) == []
        with pytest.raises(MismatchError, match="is filled by others"):
            await Ingest(store).run([Document("a.md", b"x")])
        with pytest.raises(MismatchError, match="by vectors alone"):
            await Searcher(store, Search(mode="keyword")).find("x", [])
    async with table.store() as store:
        with pytest.raises(
            KnowledgeError, match=r"no column id: `fields\.id` says which one it is"
        ):
            await store.describe()


@pytest.mark.parametrize(
    ("vectors", "fields"),
    [
        ({"size": 2, "distance": "Dot"}, {"content": "body", "source": "url"}),
        ({"embedding": {"size": 2, "distance": "Cosine"}}, FIELDS),
    ],
)
@pytest.mark.parametrize("is_flat", [True, False])
@pytest.mark.proof
async def test_a_collection_of_others_in_qdrant_is_searched_and_left_as_it_is(
    vectors, fields, is_flat, request, tmp_path
):
    place = Place("qdrant", tmp_path, request)
    about = {"url": "https://x/1", "kind": "faq", "year": 2024}
    payload = {"body": "text", **(about if is_flat else {"metadata": about})}
    vector = [1.0, 0.0] if "size" in vectors else {"embedding": [1.0, 0.0]}
    async with place.store(fields=fields) as store:
        await store._asked("PUT", "", {"vectors": vectors})
        await store._put([{"id": 7, "vector": vector, "payload": payload}])
        assert await store.describe() == Shape("", 2, words=False, ours=False)
        year = Comparison(field="year", op=">", value=2000)
        (found,) = await store.nearest([1.0, 0.0], year, 5)
        assert (found.id, found.content, found.source) == ("7", "text", "https://x/1")
        assert found.metadata["kind"] == "faq"
        no = Comparison(field="kind", op="!=", value="faq")
        assert await store.nearest([1.0, 0.0], no, 5) == []
        with pytest.raises(MismatchError, match="is filled by others"):
            await Ingest(store).run([Document("a.md", b"x")])
        with pytest.raises(MismatchError, match="by vectors alone"):
            await Searcher(store, Search(mode="keyword")).find("x", [])


@pytest.mark.proof
async def test_what_cannot_be_searched_in_qdrant_is_said(request, tmp_path):
    place = Place("qdrant", tmp_path, request)
    async with place.store() as store:
        await store._asked("PUT", "", {"vectors": {"a": {"size": 2, "distance": "Cosine"}}})
        with pytest.raises(
            KnowledgeError, match=r"no vector vector: `fields\.vector` names one of a"
        ):
            await store.describe()
    place = Place("qdrant", tmp_path, request)
    async with place.store() as store:
        await store._asked("PUT", "", {"vectors": {"size": 2, "distance": "Euclid"}})
        with pytest.raises(KnowledgeError, match="compares vectors by Euclid"):
            await store.describe()
    store = build.store(place.settings(), Secrets({"KEY": "another"}))
    with pytest.raises(KnowledgeError, match=r"Qdrant answered 401\..*API key"):
        await store.describe()
    await store.close()
    other = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    store = build.store(place.settings(port=port), Secrets({"KEY": KEY}))
    with pytest.raises(KnowledgeError, match=r"127\.0\.0\.1: "):
        await store.describe()
    await store.close()
    other.close()


# -- collections of others, in Milvus -------------------------------------------------------------------


def _column(name, kind="VarChar", /, **more):
    params = {"VarChar": {"max_length": 99}, "FloatVector": {"dim": 2}}.get(kind, {})
    return {"fieldName": name, "dataType": kind, "elementTypeParams": params, **more}


def _index(field, metric="COSINE"):
    return {
        "fieldName": field,
        "indexName": f"of_{field}",
        "indexType": "AUTOINDEX",
        "metricType": metric,
    }


async def _milvus(store, columns, rows, indexes, **schema):
    """Make a collection of somebody else's."""
    body = {"schema": {"fields": columns, **schema}, "indexParams": indexes}
    await store._asked("/collections/create", body)
    for _ in range(2):
        await store._asked("/collections/get_load_state", {})
    await store._asked("/entities/upsert", {"data": rows})


ABOUT = {"url": "https://x/1", "kind": "faq", "year": 2024, "share": 0.5, "is_new": True}
SCALARS = [
    _column("url"),
    _column("kind", nullable=True),
    _column("year", "Int64"),
    _column("share", "Double"),
    _column("is_new", "Bool"),
]


@pytest.mark.parametrize(
    ("columns", "row", "is_dynamic"),
    [
        (SCALARS, ABOUT, False),
        ([_column("metadata", "JSON")], {"metadata": ABOUT}, False),
        ([], ABOUT, True),
    ],
)
@pytest.mark.proof
async def test_a_collection_of_others_in_milvus_is_searched_and_left_as_it_is(
    columns, row, is_dynamic, request, tmp_path
):
    place = Place("milvus", tmp_path, request)
    async with place.store(fields=FIELDS) as store:
        key = _column("uid", "Int64", isPrimary=True)
        vectors = [_column("first", "FloatVector"), _column("embedding", "FloatVector")]
        more = {"first": [0.0, 1.0], "embedding": [1.0, 0.0]}
        await _milvus(
            store,
            [key, _column("body"), *vectors, *columns],
            [{"uid": 7, "body": "text", **more, **row}],
            [_index("first", "L2"), _index("embedding")],
            enableDynamicField=is_dynamic,
        )
        assert await store.describe() == Shape("", 2, words=False, ours=False)
        (found,) = await store.nearest([1.0, 0.0], None, 5)
        assert (found.id, found.content, found.source) == ("7", "text", "https://x/1")
        assert found.score == pytest.approx(1.0)
        assert {name: found.metadata[name] for name in ABOUT} == ABOUT
        assert not {"embedding", "first", "distance"} & found.metadata.keys()
        for field, op, value, holds in CASES:
            where = Comparison(field=field, op=op, value=value)
            for condition, expected in ((where, holds), (Not(not_=where), not holds)):
                seen = await store.nearest([1.0, 0.0], condition, 5)
                assert bool(seen) is expected, condition
        here, away = (Comparison(field=field, op="!=", value="x") for field in ("kind", "no"))
        either, year = AnyOf(any=(away, here)), Comparison(field="year", op=">", value=2000)
        for condition in (either, AllOf(all=(either, year)), AnyOf(any=(Not(not_=either), year))):
            assert len(await store.nearest([1.0, 0.0], condition, 5)) == 1, condition
        with pytest.raises(MismatchError, match="is filled by others"):
            await Ingest(store).run([Document("a.md", b"x")])
        with pytest.raises(MismatchError, match="by vectors alone"):
            await Searcher(store, Search(mode="keyword")).find("x", [])


CASES = [
    ("kind", "==", "faq", True), ("kind", "==", "FAQ", False), ("kind", "!=", "faq", False), ("kind", "<", "g", True),
    ("kind", "==", 1, False), ("kind", "!=", 1, True), ("kind", ">", 1, False), ("kind", "==", '" or 1==1', False),
    ("year", "==", 2024, True), ("year", "==", 2024.0, True), ("year", "==", 2024.5, False), ("year", ">", 2023.5, True),
    ("year", ">=", 2024.5, False), ("year", "<", 2024.5, True), ("year", "<=", 2023.5, False), ("year", "==", "2024", False),
    ("year", "==", True, False), ("share", "==", 0.5, True), ("share", "<", 1, True), ("share", ">", 0.75, False),
    ("is_new", "==", True, True), ("is_new", "!=", True, False), ("is_new", ">", False, True), ("is_new", ">=", True, True),
    ("is_new", "<", False, False), ("is_new", "<=", True, True), ("is_new", "==", 1, False),
    ("no", "==", "x", False), ("no", "!=", "x", True), ("no", "<", 1, False), ("a.b", "==", "x", False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), [("kind", "VarChar"), ("metadata", "JSON")])
@pytest.mark.proof
async def test_what_is_empty_in_milvus_matches_nothing(name, kind, request, tmp_path):
    place = Place("milvus", tmp_path, request)
    columns = [_column("id", isPrimary=True), _column("content"), _column("vector", "FloatVector")]
    async with place.store() as store:
        await _milvus(
            store,
            [*columns, _column(name, kind, nullable=True)],
            [{"id": "a", "content": "x", "vector": [1.0, 0.0], name: None}],
            [_index("vector", "IP")],
        )
        await store.describe()
        for op, holds in (("==", False), ("!=", True), ("<", False)):
            where = Comparison(field="kind", op=op, value="x")
            assert bool(await store.nearest([1.0, 0.0], where, 5)) is holds
        (found,) = await store.nearest([1.0, 0.0], None, 5)
        assert (found.id, found.source, found.metadata) == ("a", "a", {})


@pytest.mark.parametrize(
    ("columns", "metric", "message"),
    [
        (
            [_column("a", "FloatVector")],
            "COSINE",
            r"no vector vector: `fields\.vector` names one of a",
        ),
        (
            [_column("vector", "FloatVector")],
            "COSINE",
            r"no field content: `fields\.content` says which one it is",
        ),
        ([_column("content"), _column("vector", "FloatVector")], "L2", "compares vectors by L2"),
    ],
)
@pytest.mark.proof
async def test_what_cannot_be_searched_in_milvus_is_said(
    columns, metric, message, request, tmp_path
):
    place = Place("milvus", tmp_path, request)
    async with place.store() as store:
        vector = columns[-1]["fieldName"]
        key = _column("id", isPrimary=True)
        row = {"id": "a", **{one["fieldName"]: "x" for one in columns}, vector: [1.0, 0.0]}
        await _milvus(store, [key, *columns], [row], [_index(vector, metric)])
        with pytest.raises(KnowledgeError, match=message):
            await store.describe()


@pytest.mark.proof
async def test_a_milvus_that_refuses_is_said(request, tmp_path):
    place = Place("milvus", tmp_path, request)
    store = build.store(place.settings(), Secrets({"KEY": "another"}))
    with pytest.raises(KnowledgeError, match=r"Milvus answered 1800\. user hasn't authenticated"):
        await store.describe()
    await store.close()
    async with place.store(database="another") as store:
        with pytest.raises(KnowledgeError, match=r"Milvus answered 800\. database not found"):
            await store.describe()
    async with place.store() as store:
        store._url += "/another"
        with pytest.raises(KnowledgeError, match=r"answered 404, and not as Milvus does"):
            await store.describe()


@pytest.mark.proof
async def test_more_passages_than_milvus_returns_at_once_are_all_known(
    request, tmp_path, monkeypatch
):
    monkeypatch.setattr(milvus, "MOST_ROWS", 10)
    place = Place("milvus", tmp_path, request)
    async with place.store() as store:
        await store.create(Shape(MODEL, 2))
        await store.replace("long", "1", [chunk(n, "x") for n in range(25)])
        await store.replace("short", "1", [chunk(0, "x")])
        assert await store.documents() == {"long": "1", "short": "1"}
        await store.replace("long", "2", [])
        assert await store.documents() == {"short": "1"}


async def test_a_role_that_may_not_make_the_extension_is_told_who_may(table):
    await _made(
        table, "CREATE ROLE plain LOGIN", "CREATE DATABASE plain OWNER plain",
    )  # fmt: skip
    async with table.store(database="plain", username="plain") as store:
        with pytest.raises(KnowledgeError, match="an administrator runs `CREATE EXTENSION vector`"):
            await store.create(Shape(MODEL, 2))
        await store.create(Shape())  # words need no extension
        await store.replace("a", "1", [Chunk(0, "x", ["x"], {})])
        assert len(await store.matching(["x"], None, None, 1)) == 1


async def test_a_server_that_is_away_is_said(table):
    async with table.store() as store:
        await store.create(Shape(MODEL, 2))
    made = table.settings().model_copy(update={"port": 1})
    store = build.store(made, Secrets({}))
    with pytest.raises(KnowledgeError, match=r"127\.0\.0\.1: "):
        await store.describe()
    await store.close()
