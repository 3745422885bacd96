"""Whether searches find what answers a question: a fixed corpus, a small real model, every store."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from fleetform_runtime.knowledge.embeddings import OpenAiEmbedder
from fleetform_runtime.knowledge.ingest import Document, Ingest
from fleetform_runtime.knowledge.search import Searcher
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.knowledge import Embedding, Search
from runtime.tests.collections_of import BACKENDS, Place
from tests.tools import tool

pytestmark = [pytest.mark.anyio, pytest.mark.proof]
HERE = Path(__file__).parent
CORPUS = dict(
    re.findall(r"^# (\S+)\n(.*?)(?=\n# |\Z)", (HERE / "relevance.md").read_text(), re.M | re.S)
)
QUESTIONS = {
    "How long does it take until I get my money back?": "refunds",
    "Until when may I send an item back?": "returns",
    "My toaster stopped working after a year, who repairs it?": "warranty",
    "When will my parcel arrive?": "shipping-times",
    "What do I pay for the delivery of a sofa?": "shipping-costs",
    "Are there import duties for orders to Switzerland?": "customs",
    "I caught the flu, what must I do?": "sick-leave",
    "I need the tax number of my company on the bill": "invoices",
    "How do I keep thieves out even if they know my secret word?": "two-factor",
    "How do I get rid of the newsletter?": "newsletter",
    "At what time can I come by and buy something?": "opening-hours",
    "How much vacation do I get?": "holidays-of-staff",
    "I lost my laptop on the train, whom do I tell?": "security-incidents",
    "How long are the copies of our databases kept?": "backups",
    "Where can I put my car?": "parking",
    "환불은 언제": "환불",
    "제주도 배송": "배송",
    "회원탈퇴 신청": "회원탈퇴",
    "세금계산서": "영수증",
    "무료 주차": "주차",
}  # fmt: skip
"""Each with the one document that answers it, by a person; a quarter have hardly a word in common with it."""


@pytest.fixture(scope="module")
def model():
    """Yield the settings of an embedding by all-MiniLM-L6-v2."""
    with subprocess.Popen(
        [tool("minilm"), HERE / "minilm_server.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        port = int(process.stdout.readline())
        settings = {
            "provider": "vllm",
            "name": "all-MiniLM-L6-v2",
            "endpoint": f"http://127.0.0.1:{port}/v1",
        }
        yield Embedding.model_validate_json(json.dumps(settings))
        process.stdin.close()


class Shuffled(OpenAiEmbedder):
    """Gives every passage the vector of another one."""

    async def documents(self, texts):
        half = len(texts) // 2
        found = await super().documents(texts)
        return [*found[half:], *found[:half]]


async def answers(store, mode, embedder, model):
    """Return the first five documents for each question."""
    search = Search(mode=mode, top_k=5)
    searcher = Searcher(store, search, embedder, model)
    return {
        question: [
            one.source.removesuffix(".md") for one in (await searcher.find(question, [])).passages
        ]
        for question in QUESTIONS
    }


def hits(found):
    return sum(QUESTIONS[question] in documents for question, documents in found.items())


def whole():
    return [Document(f"{name}.md", text.encode()) for name, text in CORPUS.items()]


@pytest.mark.parametrize("kind", BACKENDS)
async def test_what_answers_a_question_is_among_the_first_five(kind, model, request, tmp_path):
    embedder = OpenAiEmbedder(model, Secrets({}))
    alike = Place("embedded", tmp_path, request)
    async with Place(kind, tmp_path, request).store() as store, alike.store() as other:
        await Ingest(store, embedder, model).run(whole())
        found = {
            mode: await answers(store, mode, embedder, model)
            for mode in ("hybrid", "vector", "keyword")
        }
        if kind != "embedded":
            await Ingest(other, embedder, model).run(whole())
            assert found["vector"] == await answers(other, "vector", embedder, model)
    await embedder.close()
    counted = {mode: hits(one) for mode, one in found.items()}
    assert counted["hybrid"] >= 18, counted
    assert counted["keyword"] >= 14, counted


async def test_it_is_the_vectors_that_find(model, request, tmp_path):
    """With each passage's vector at another passage, hardly anything is found."""
    embedder = Shuffled(model.model_copy(update={"batch_size": 64}), Secrets({}))
    async with Place("embedded", tmp_path, request).store() as store:
        ingest = Ingest(store, embedder, model)
        joined = json.dumps([{"text": text, "name": name} for name, text in CORPUS.items()])
        await ingest.run([Document("all.json", joined.encode())])
        searcher = Searcher(store, Search(mode="vector"), embedder, model)
        count = 0
        for question, name in QUESTIONS.items():
            passages = (await searcher.find(question, [])).passages
            count += any(one.metadata["name"] == name for one in passages)
    await embedder.close()
    assert count <= 10, count
