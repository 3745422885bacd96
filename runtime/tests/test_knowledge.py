"""Documents: taken in, cut, found by words and by vectors, filtered, cited."""

import io
import json
import os
import subprocess
import sys
import zipfile
import zlib
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from fleetform_runtime.cli import main
from fleetform_runtime.knowledge import Chunk, KnowledgeError, MismatchError, Shape
from fleetform_runtime.knowledge.chunks import SIZE, cut
from fleetform_runtime.knowledge.embedded import RANKED, Embedded
from fleetform_runtime.knowledge.embeddings import OpenAiEmbedder
from fleetform_runtime.knowledge.ingest import Document, Ingest, found
from fleetform_runtime.knowledge.ingest import cut as passages
from fleetform_runtime.knowledge.readers import UnreadableDocumentError, read
from fleetform_runtime.knowledge.search import Searcher
from fleetform_runtime.knowledge.words import asked, indexed
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.knowledge import Comparison, EmbeddedStore, Embedding, Not, Search
from runtime.tests.harness import BASE, serving

pytestmark = pytest.mark.anyio
TEXTS = {
    "faq/refunds.md": "---\ncategory: faq\nyear: 2024\n---\n# Refunds\n\nA refund takes five days. 환불은 5일 걸립니다.",
    "faq/japan.md": "---\ncategory: faq\nyear: 2020\n---\n# 返金\n\n返金は五日かかります。退款政策。",
    "manual/shipping.md": "---\ncategory: manual\n---\n# Shipping\n\nParcels ship on Mondays. นโยบายการจัดส่ง",
    "odd.md": '---\ncategory: it\'s "so" \\ 한국\n---\n# Odd\n\nA refund of odd things.',
}


def store(tmp_path, name="docs"):
    return Embedded(EmbeddedStore(type="embedded", path=str(tmp_path / "db"), collection=name))


def documents(texts=TEXTS):
    return [Document(name, text.encode()) for name, text in texts.items()]


async def sources(searcher, question, *conditions):
    answer = await searcher.find(question, conditions)
    return [passage.source for passage in answer.passages]


KEYWORD = Search(mode="keyword")


@pytest.mark.parametrize(
    ("question", "source"),
    [
        ("how long do refunds take?", "faq/refunds.md"),
        ("환불", "faq/refunds.md"),
        ("환불이", "faq/refunds.md"),
        ("返金", "faq/japan.md"),
        ("退款", "faq/japan.md"),
        ("การจัดส่ง", "manual/shipping.md"),
        ("shipped parcel", "manual/shipping.md"),
    ],
)
async def test_words_of_many_scripts_are_found(question, source, tmp_path):
    await Ingest(place := store(tmp_path)).run(documents())
    assert source in await sources(Searcher(place, KEYWORD), question)
    await place.close()


async def test_frequent_words_decide_nothing_where_rarer_ones_find_enough(tmp_path):
    place = store(tmp_path)
    await place.create(Shape(None, None))
    chunks = [
        Chunk(number, "", ["usual", f"w{number}"] + ["half"] * (number % 2), {}, None)
        for number in range(RANKED + 2)
    ]
    await place.replace("a.md", "digest", chunks)
    for words, ids in (
        (["usual", "w7"], ["a.md#7"]),
        (["w9", "usual", "w3"], ["a.md#3", "a.md#9"]),
        (["usual", "nowhere"], ["a.md#0", "a.md#2", "a.md#4"]),
        (["usual", "half"], ["a.md#1", "a.md#3", "a.md#5"]),
    ):
        passages = await place.matching(words, None, None, 3)
        assert sorted(passage.id for passage in passages) == ids
    await place.close()


@given(st.text(st.characters(max_codepoint=127)))
def test_plain_text_has_the_same_words_as_beside_other_scripts(text):
    assert indexed(text) == indexed(f"{text} 환")[:-1]


@pytest.mark.parametrize(
    "question", ['"', "NEAR(a b)", "a*", "^x", "' OR 1=1", "\\", "()", "!!", "text:refund"]
)
async def test_no_question_is_an_error(question, tmp_path):
    await Ingest(place := store(tmp_path)).run(documents())
    await Searcher(place, KEYWORD).find(question, [])
    await place.close()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("manual", set()),
        ("faq", {"faq/refunds.md"}),
        ('it\'s "so" \\ 한국', {"odd.md"}),
        ('" or 1==1', set()),
        ("' OR '1'='1", set()),
        ("\\", set()),
        ("", set()),
        (1, set()),
        (True, set()),
    ],
)
async def test_a_condition_lets_nothing_else_through(value, expected, tmp_path):
    await Ingest(place := store(tmp_path)).run(documents())
    condition = Comparison(field="category", op="==", value=value)
    assert {*await sources(Searcher(place, KEYWORD), "refund", condition)} == expected
    everything = {"faq/refunds.md", "odd.md"}
    other = Comparison(field="category", op="!=", value=value)
    for opposite in (other, Not(not_=condition)):
        got = await sources(Searcher(place, KEYWORD), "refund", opposite)
        assert {*got} == everything - expected
    await place.close()


async def test_numbers_are_compared_with_numbers_alone(tmp_path):
    await Ingest(place := store(tmp_path)).run(documents())
    new = Search(mode="keyword", filter=Comparison(field="year", op=">=", value=2024))
    assert await sources(Searcher(place, new), "refund 返金") == ["faq/refunds.md"]
    odd = Search(mode="keyword", filter=Comparison(field="category", op=">=", value=0))
    assert await sources(Searcher(place, odd), "refund 返金") == []
    await place.close()


async def test_unchanged_documents_are_left_alone_and_gone_ones_go_when_asked(tmp_path):
    place = store(tmp_path)
    assert (await Ingest(place).run(documents())).added == 4
    again = await Ingest(place).run(documents())
    assert (again.unchanged, again.passages) == (4, 0)
    changed = {**TEXTS, "odd.md": "# Odd\n\nNothing of the kind."}
    report = await Ingest(place).run(documents(changed))
    assert (report.changed, report.unchanged) == (1, 3)
    assert await sources(Searcher(place, KEYWORD), "refund") == ["faq/refunds.md"]
    fewer = {name: text for name, text in changed.items() if name != "faq/refunds.md"}
    assert (await Ingest(place).run(documents(fewer))).removed == 0
    assert (await Ingest(place).run(documents(fewer), prune=True)).removed == 1
    assert await sources(Searcher(place, KEYWORD), "refund") == []
    await place.close()


async def test_an_unreadable_document_is_told_of_and_keeps_nothing_else_out(tmp_path):
    place = store(tmp_path)
    broken = [Document("a.pdf", b"no"), Document("b.md", b"\xff\xff"), *documents()]
    report = await Ingest(place).run(broken)
    assert report.added == 4
    assert [line.partition(":")[0] for line in report.failed] == ["a.pdf", "b.md"]
    await place.close()


async def test_a_search_by_words_is_scored_by_the_share_of_them(tmp_path):
    await Ingest(place := store(tmp_path)).run(documents())
    found = await Searcher(place, KEYWORD).find("which refund for these moons", [])
    assert {passage.score for passage in found.passages} == {0.5}
    found = await Searcher(place, KEYWORD).find("refunds", [])
    assert {passage.score for passage in found.passages} == {1.0}
    await place.close()


KILLED = """
import asyncio, json, os, signal, sys
from pathlib import Path
from fleetform_runtime.knowledge import embedded
from fleetform_runtime.knowledge.ingest import Document, Ingest
from fleetform_runtime.knowledge.search import Searcher
from fleetform_runtime.sections.knowledge import EmbeddedStore, Search

folder, opened = sys.argv[1], embedded._opened

def texts(word, count):
    return [Document("a.md", "\\n\\n".join(f"# {n}\\n\\nrefund {word}" for n in range(count)).encode())]

def store():
    return embedded.Embedded(EmbeddedStore(type="embedded", path=folder, collection="docs"))

async def take(word, count):
    await Ingest(store()).run(texts(word, count))

async def words():
    found = await Searcher(store(), Search(mode="keyword", top_k=20)).find("refund", [])
    print(json.dumps(sorted(passage.content.split()[-1] for passage in found.passages)), flush=True)

def child(work):
    number = os.fork()
    if not number:
        asyncio.run(work)
        os._exit(0)
    work.close()
    return os.waitpid(number, 0)[1]

def dying(at):
    def made(path):
        connection, left = opened(path), [at]
        def told(statement):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
        connection.set_trace_callback(told)
        return connection
    return made

at = 0
while True:
    at += 1
    embedded._opened = opened
    assert child(take("old", 3)) == 0
    embedded._opened = dying(at)
    ended = child(take("new", 4))
    embedded._opened = opened
    child(words())
    if not ended:
        break
"""


@pytest.mark.proof
def test_a_replacement_that_is_killed_at_any_statement_leaves_the_old_or_the_new(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "db")],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(seen) > 15
    assert all(found in (["old"] * 3, ["new"] * 4) for found in seen)
    assert seen[-1] == ["new"] * 4, "the one that was not killed"


# -- vectors --------------------------------------------------------------------------------------

AXES = ("refund", "parcel", "odd", "cash")


def vector(text):
    """A text's counts of four words; money back means a refund."""
    plain = text.lower().replace("money back", "refund")
    return [plain.count(word) + 0.01 for word in AXES]


@asynccontextmanager
async def embedding(make=vector, **more):
    calls = []

    async def answer(request):
        body = await request.json()
        calls.append(body["input"])
        rows = [{"index": n, "embedding": make(text)} for n, text in enumerate(body["input"])]
        return web.json_response({"data": rows[::-1], "usage": {"prompt_tokens": 7}})

    app = web.Application()
    app.router.add_post("/v1/embeddings", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    settings = {"provider": "vllm", "name": "axes", "endpoint": f"http://127.0.0.1:{port}", **more}
    try:
        yield Embedding.model_validate_json(json.dumps(settings)), calls
    finally:
        await runner.cleanup()


async def test_meaning_is_found_where_no_word_is_the_same(tmp_path):
    place = store(tmp_path)
    async with embedding(dimension=4) as (settings, calls):
        embedder = OpenAiEmbedder(settings, Secrets({}))
        await Ingest(place, embedder, settings).run(documents())
        count = len(calls)
        await Ingest(place, embedder, settings).run(documents())
        assert len(calls) == count, "unchanged documents are not embedded again"
        for mode in ("vector", "hybrid"):
            search = Searcher(place, Search(mode=mode), embedder, settings)
            assert (await sources(search, "my money back"))[0] == "faq/refunds.md"
        strict = Search(mode="hybrid", score_threshold=0.99)
        answer = await Searcher(place, strict, embedder, settings).find("cash", [])
        assert answer.passages == []
        assert 0 < answer.best_below < 0.99
        condition = Comparison(field="category", op="==", value="manual")
        search = Searcher(place, Search(mode="hybrid"), embedder, settings)
        assert await sources(search, "my money back", condition) == ["manual/shipping.md"]
        await embedder.close()
    await place.close()


async def test_a_rare_condition_finds_what_is_last_of_all(tmp_path):
    place = store(tmp_path)
    many = [
        Document(f"{number}.md", f"refund refund {'refund' if number < 250 else 'odd'}".encode())
        for number in range(300)
    ]
    rare = Document("rare.md", b"---\ncategory: rare\n---\nparcel and one refund among other words")
    async with embedding(dimension=4) as (settings, _):
        embedder = OpenAiEmbedder(settings, Secrets({}))
        await Ingest(place, embedder, settings).run([*many, rare])
        condition = Comparison(field="category", op="==", value="rare")
        for mode in ("keyword", "vector", "hybrid"):
            search = Searcher(place, Search(mode=mode), embedder, settings)
            assert await sources(search, "refund", condition) == ["rare.md"]
            assert "rare.md" not in await sources(search, "refund")
        await embedder.close()
    await place.close()


@pytest.mark.parametrize("change", [{"name": "other"}, {"provider": "ollama"}, {"dimension": 8}])
async def test_vectors_of_another_model_are_refused_by_name(change, tmp_path):
    place = store(tmp_path)
    async with embedding() as (settings, _):
        embedder = OpenAiEmbedder(settings, Secrets({}))
        await Ingest(place, embedder, settings).run(documents())
        other = settings.model_copy(update=change)
        with pytest.raises(MismatchError, match="the collection holds vectors of"):
            await Ingest(place, embedder, other).run(documents())
        with pytest.raises(MismatchError, match="the collection holds vectors of"):
            await Searcher(place, Search(mode="hybrid"), embedder, other).find("x", [])
        await embedder.close()
    await place.close()


async def test_an_embedding_that_fails_is_asked_again_and_then_said(tmp_path):
    place = store(tmp_path)
    states = [503, 200, 400]

    def make(text):
        state = states.pop(0) if states else 200
        if state != 200:
            raise {503: web.HTTPServiceUnavailable, 400: web.HTTPBadRequest}[state]
        return vector(text)

    async with embedding(make=make) as (settings, calls):
        embedder = OpenAiEmbedder(settings, Secrets({}))
        one = [Document("a.md", b"refund")]
        assert (await Ingest(place, embedder, settings).run(one)).added == 1
        assert len(calls) == 2
        search = Searcher(place, Search(mode="hybrid"), embedder, settings)
        with pytest.raises(KnowledgeError, match="the embedding model answered 400"):
            await search.find("refund", [])
        assert await sources(search, "refund") == ["a.md"]
        await embedder.close()
    await place.close()


# -- formats --------------------------------------------------------------------------------------


def docx(body):
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{space}">{body}</w:document>')
    return data.getvalue()


def pdf(*pages):
    """A PDF with a compressed page for each text, in a font whose codes mean something else on the page."""
    known = sorted({mark for text in pages for mark in text})
    codes = "".join(f"<{n:04x}> <{ord(mark):04x}>\n" for n, mark in enumerate(known, 1))
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def\n"
        "1 begincodespacerange <0000> <ffff> endcodespacerange\n"
        f"{len(known)} beginbfchar\n{codes}endbfchar endcmap end end"
    )
    kids = " ".join(f"{6 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /Identity-H /DescendantFonts [4 0 R] /ToUnicode 5 0 R >>",
        b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /X /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>",
        _stream(cmap),
    ]
    for n, text in enumerate(pages):
        shown = "".join(f"{known.index(mark) + 1:04x}" for mark in text)
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {7 + 2 * n} 0 R /Resources << /Font << /F 3 0 R >> >> >>".encode()
        )
        objects.append(_stream(f"BT /F 12 Tf 50 700 Td <{shown}> Tj ET"))
    data, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    rows = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n{rows}trailer << /Size {len(places) + 1} /Root 1 0 R >>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + end.encode()


def _stream(text):
    packed = zlib.compress(text.encode())
    return b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed)


async def test_the_pages_of_a_pdf_are_found_and_named(tmp_path):
    place = store(tmp_path)
    manual = pdf("Parcels ship on Mondays.", "환불은 5일 걸립니다.")
    report = await Ingest(place).run([Document("manual.pdf", manual)])
    assert report.failed == []
    for question, page in (("parcel", 1), ("환불", 2)):
        first, *rest = (await Searcher(place, KEYWORD).find(question, [])).passages
        assert (first.metadata["page"], rest) == (page, [])
    await place.close()


NAMES = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
BOX = "<w:txbxContent><w:p><w:r><w:t>Boxed</w:t></w:r></w:p></w:txbxContent>"
WORD = (
    '<w:body><w:p><w:pPr><w:pStyle w:val="Heading2"/></w:pPr><w:r><w:t>Refunds</w:t></w:r></w:p>'
    '<w:p><w:r><w:t xml:space="preserve">They take </w:t></w:r><w:ins><w:r><w:t>five</w:t></w:r></w:ins>'
    "<w:del><w:r><w:delText>nine</w:delText></w:r></w:del><w:r><w:t> days.</w:t><w:br/><w:t>At most.</w:t></w:r></w:p>"
    f"<w:p><w:r><mc:AlternateContent {NAMES}><mc:Choice>{BOX}</mc:Choice><mc:Fallback>{BOX}</mc:Fallback>"
    "</mc:AlternateContent></w:r></w:p>"
    "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>Cell</w:t></w:r></w:p></w:tc></w:tr></w:tbl></w:body>"
)


def test_a_word_document_says_what_word_shows():
    (part,) = read("a.docx", docx(WORD))
    expected = "## Refunds\n\nThey take five days.\nAt most.\n\nBoxed\n\nCell"
    assert part.text == expected


TITLE = '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Top</w:t></w:r></w:p>'


@pytest.mark.parametrize(
    ("name", "data", "text", "metadata"),
    [
        ("a.txt", b"# not a heading", "# not a heading", {}),
        ("a.md", b"---\nx: 1\ny: yes\nlist: [a]\n---\nbody", "body", {"x": 1, "y": "yes", "list": "[a]"}),
        ("a.html", b"<title>T</title><script>no</script><h2>Head</h2><p>One<br>two", "## Head\n\nOne\ntwo", {"title": "T"}),
        ("a.json", b'[{"content": "c", "kind": "k", "metadata": {"n": 2}}]', "c", {"kind": "k", "n": 2}),
        ("a.jsonl", b'{"q": "a", "n": 1}\n', "q: a\nn: 1", {"q": "a", "n": 1}),
        ("a.csv", b"text;kind\nhello;faq\n", "hello", {"kind": "faq"}),
        ("a.docx", docx(TITLE + "<w:p><w:r><w:t>Body</w:t></w:r></w:p>"), "# Top\n\nBody", {}),
    ],
)  # fmt: skip
def test_each_format_is_read(name, data, text, metadata):
    part = read(name, data)[0]
    assert part.text.strip() == text
    assert part.metadata == metadata


async def test_zero_bytes_and_halves_of_characters_are_not_kept(tmp_path):
    data = rb'{"content": "refund \ud800 \u0000 x", "kind": "a\udfff\u0000"}'
    (part,) = read("a.json", data)
    assert (part.text, part.metadata) == ("refund ?  x", {"kind": "a?"})
    place = store(tmp_path)
    assert (await Ingest(place).run([Document("a.json", data)])).added == 1
    await place.close()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.exe", b""), ("a.md", b"\xff"), ("a.json", b"{"), ("a.json", b"[" * 100_000), ("a.docx", b"no"),
        ("a.docx", docx("<!DOCTYPE x>")), ("a.pdf", b"%PDF-1.4 no"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said(name, data):
    with pytest.raises(UnreadableDocumentError):
        read(name, data)


def test_passages_follow_headings_and_keep_code_whole():
    code = "```\n" + "x = 1\n" * 150 + "```"
    pieces = cut(f"# A\n\nintro\n\n## B\n\n{code}\n\n{'One sentence more. ' * 120}\n\n# C\n\nend")
    assert [piece.headings for piece in pieces][:2] == [("A",), ("A", "B")]
    assert pieces[-1].content == "C\n\nend"
    assert any(code in piece.text for piece in pieces)
    assert all(len(piece.text) <= SIZE + 200 for piece in pieces if "```" not in piece.text)


def test_a_heading_that_nothing_stands_below_is_a_passage():
    pieces = cut("# A\n## Open on Mondays\n## B\ntext\n# \n# C\n\n```\nx\n```\n# D")
    assert [(piece.headings, piece.text) for piece in pieces] == [
        (("A",), "Open on Mondays"),
        (("A", "B"), "text"),
        (("C",), "```\nx\n```"),
        ((), "D"),
    ]


@pytest.mark.parametrize(
    ("name", "data", "content"),
    [
        ("a.json", b'{"question": "Who leads?", "answer": "Ms Quill"}', "Who leads?\n\nMs Quill"),
        ("a.csv", b"title,text\nRefunds,Five days\n", "Refunds\n\nFive days"),
        ("a.html", b"<title>Refund\npolicy</title><p>Five days", "Refund policy\n\nFive days"),
        ("a.html", b"<title>Shop</title><h1>Refunds</h1>Five days", "Shop > Refunds\n\nFive days"),
        ("a.html", b"<title>REFUNDS</title><h1>Refunds</h1>Five days", "Refunds\n\nFive days"),
        ("a.md", b"---\ntitle: Warranty\n---\nTwo years.", "Warranty\n\nTwo years."),
        ("a.md", b"---\ntitle: 7\n---\nTwo years.", "Two years."),
        ("a.json", b'{"name": "Anvil", "price": 10}', "name: Anvil\nprice: 10"),
    ],
)
def test_what_a_text_is_called_is_searched_with_it(name, data, content):
    assert [chunk.content for chunk in passages(Document(name, data))] == [content]


def test_words_are_cut_alike_in_documents_and_questions():
    assert asked("Refunds, refunded") == ["refund"]
    assert indexed("Café 환불은") == ["caf", "환불", "불은"]
    assert asked("the what") == ["the", "what"]
    assert asked("where does this parcel go") == ["parcel", "go"]


def test_a_folder_gives_away_nothing_outside(tmp_path):
    (tmp_path / "secret.md").write_text("no")
    folder = tmp_path / "docs"
    (folder / ".hidden").mkdir(parents=True)
    (folder / ".hidden/a.md").write_text("no")
    (folder / "link.md").symlink_to(tmp_path / "secret.md")
    (folder / "a.md").write_text("yes")
    (folder / "a.bin").write_bytes(b"no")
    (folder / os.fsdecode(b"\xff.md")).write_bytes(b"no")
    got = [*found([str(folder)])]
    assert [one.name for one in got if isinstance(one, Document)] == ["a.md"]
    assert got[1:] == ["link.md: it is a link out of the folder", "?.md: its name is not UTF-8"]


def test_of_two_documents_of_one_name_the_second_is_told_of(tmp_path):
    for folder in ("e1", "e2"):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "deep/a.md").write_text(folder)
    (tmp_path / "a.md").write_text("alone")
    first, second = str(tmp_path / "e1"), str(tmp_path / "e2")
    got = [*found([first, second, str(tmp_path / "a.md")])]
    assert [(one.name, one.data) for one in got if isinstance(one, Document)] == [
        ("deep/a.md", b"e1"),
        ("a.md", b"alone"),
    ]
    assert [one for one in got if isinstance(one, str)] == [
        f"deep/a.md: it is in {first} and in {second}: name the folder above both, or rename one"
    ]
    assert len([*found([first, first])]) == 2


def test_no_document_says_where_it_is_from():
    text = b"---\nsource: evil.md\nfolder: /etc\nteam: red\n---\n# Title\n\nText of it.\n"
    (passage,) = passages(Document("docs/a.md", text))
    told = {key: passage.metadata[key] for key in ("source", "folder", "heading", "team")}
    assert told == {"source": "docs/a.md", "folder": "docs", "heading": "Title", "team": "red"}


# -- an agent -------------------------------------------------------------------------------------


def tool(tmp_path, **more):
    return {
        "type": "retrieval",
        "name": "kb",
        "description": "Searches.",
        "knowledge": {
            "store": {"type": "embedded", "path": str(tmp_path / "db"), "collection": "docs"},
            "search": {"mode": "keyword"},
        },
        "parameters": [
            {"name": "query", "type": "string", "required": True},
            {
                "name": "category",
                "type": "string",
                "enum": ["faq", "manual", "all"],
                "default": "all",
            },
        ],
        **more,
    }


async def test_an_agent_answers_from_documents_with_citations(tmp_path):
    place = store(tmp_path)
    await Ingest(place).run(documents())
    await place.close()
    async with serving(tools=[tool(tmp_path)]) as client:
        events = await client.events("/chat", {"message": 'call kb {"query": "환불"}'})
        cited = next(event.data for event in events if event.type == "citations")
        assert cited["citations"][0]["source"] == "faq/refunds.md"
        assert cited["citations"][0]["heading"] == "Refunds"
        end = next(event.data for event in events if event.type == "tool_end")
        path = f"/sessions/{events[0].data['session_id']}/messages"
        results = (await client.get(path)).json["messages"][2]["results"]
        assert results[0]["citations"] == cited["citations"]
        passage = json.loads(end["content"])[0]
        assert {*passage} == {"content", "score", "metadata", "source"}
        answer = await client.chat('call kb {"query": "refund", "category": "manual"}')
        assert answer["output"] == "kb: No passage matches."
        answer = await client.chat('call kb {"query": "refund", "category": "x\' OR 1=1"}')
        assert "The arguments are invalid" in answer["output"]


async def test_without_documents_the_model_is_told(tmp_path):
    async with serving(tools=[tool(tmp_path)]) as client:
        answer = await client.chat('call kb {"query": "refund"}')
        assert answer["output"] == "kb: There are no documents yet: nothing was ingested."


def test_the_command_takes_documents_in(tmp_path, capsys):
    config = tmp_path / "agent.json"
    config.write_text(json.dumps(BASE | {"tools": [tool(tmp_path)]}))
    (tmp_path / "a.md").write_text("# A\n\nText")
    assert main(["ingest", "--config", str(config), str(tmp_path / "a.md")]) == 0
    assert capsys.readouterr().out.startswith("docs: 1 added, 0 changed")
    assert main(["ingest", "--config", str(config), "nowhere"]) == 2
    assert main(["ingest", "--config", str(config), "--tool", "no", str(tmp_path)]) == 2
    config.write_text(json.dumps(BASE))
    assert main(["ingest", "--config", str(config), str(tmp_path)]) == 2
