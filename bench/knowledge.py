"""Processor time of what documents and memories cost: `python bench/knowledge.py`.

Searches in an embedded collection of 10,000 passages (384 dimensions, 100 words each) and comparisons with 200
memories of 1,536 dimensions, as an agent does them; and what compacting a conversation of 400 messages and about 300,000
characters costs beside its summary. Passages, words and vectors are made by a fixed seed; the embedding
is not counted. Rounds are interleaved, and the figures are medians of the process's own time.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

from fleetform_runtime.knowledge import Chunk, Shape
from fleetform_runtime.knowledge.embedded import Embedded
from fleetform_runtime.knowledge.search import Searcher
from fleetform_runtime.memories.ranking import by_meaning, by_words
from fleetform_runtime.memories.vectors import quantised
from fleetform_runtime.messages import Assistant, Message, ToolCall, ToolResult, ToolResults, User
from fleetform_runtime.models import sizes
from fleetform_runtime.runs import compaction
from fleetform_runtime.sections.knowledge import Comparison, EmbeddedStore, Embedding, Search
from fleetform_runtime.store import Memory

ROUNDS = 25
PASSAGES, DIMENSION, LENGTH = 10_000, 384, 100
MEMORIES, LONG = 200, 1_536
TURNS = 100
CHANCE = random.Random(7)
NUMBERS = numpy.random.default_rng(7)
WORDS = [f"word{number}" for number in range(5_000)]
OFTEN = [1 / (rank + 20) for rank in range(len(WORDS))]
"""As the words of a language that tell something: the most frequent one is a word in a hundred."""


class Known:
    """An embedding that answers at once."""

    async def documents(self, texts: Sequence[str]) -> list[list[float]]:
        """Return any vectors."""
        return [list(NUMBERS.standard_normal(DIMENSION)) for _ in texts]

    async def question(self, text: str) -> list[float]:
        """Return any vector."""
        return list(NUMBERS.standard_normal(DIMENSION))

    async def close(self) -> None:
        """Close nothing."""


def text() -> str:
    """Return a passage of words of which few are frequent."""
    return " ".join(CHANCE.choices(WORDS, OFTEN, k=LENGTH))


async def filled(folder: str) -> Embedded:
    """Return a collection of all passages."""
    store = Embedded(EmbeddedStore(type="embedded", path=folder, collection="bench"))
    await store.create(Shape("vllm m", DIMENSION))
    for document in range(PASSAGES // 100):
        vectors = NUMBERS.standard_normal((100, DIMENSION))
        contents = [text() for _ in range(100)]
        kind = ("faq", "manual")[document % 2]
        chunks = [
            Chunk(number, content, content.split(), {"kind": kind}, list(vector))
            for number, (content, vector) in enumerate(zip(contents, vectors, strict=True))
        ]
        await store.replace(f"{document}.md", "digest", chunks)
    return store


async def searches() -> dict[str, float]:
    """Return milliseconds of processor time of each way to search."""
    embedding = Embedding.model_validate(
        {"provider": "vllm", "name": "m", "endpoint": "http://127.0.0.1:9/v1"}
    )
    spent: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = await filled(folder)
        condition = Comparison(field="kind", op="==", value="faq")
        for turn in range(ROUNDS + 1):
            for mode in ("keyword", "vector", "hybrid"):
                searcher = Searcher(store, Search(mode=mode), Known(), embedding)
                for name, conditions in (
                    (mode, []),
                    (f"{mode}, half of them filtered", [condition]),
                ):
                    began = time.process_time()
                    await searcher.find(" ".join(text().split()[:8]), conditions)
                    if turn:  # the first round reads the vectors
                        spent.setdefault(name, []).append((time.process_time() - began) * 1_000)
        await store.close()
    return {name: statistics.median(times) for name, times in spent.items()}


def memories() -> dict[str, float]:
    """Return milliseconds of processor time of comparing a question with a user's memories."""
    held = [
        Memory(
            id=str(number),
            text=text()[:200],
            model="m",
            vector=quantised(list(NUMBERS.standard_normal(LONG))),
        )
        for number in range(MEMORIES)
    ]
    question, asked = quantised(list(NUMBERS.standard_normal(LONG))), text()[:200]
    spent: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, work in (
            ("memories by meaning", lambda: by_meaning(held, question)),
            ("memories by words", lambda: by_words(held, asked)),
        ):
            began = time.process_time()
            work()
            spent.setdefault(name, []).append((time.process_time() - began) * 1_000)
    return {name: statistics.median(times) for name, times in spent.items()}


def conversation() -> list[Message]:
    """Return a long conversation: a hundred turns, each with a call whose result has some 2,000 characters."""
    found: list[Message] = []
    for turn in range(TURNS):
        call = ToolCall(f"c{turn}", "search", '{"query": "what is it"}')
        found += [
            User(text()[:400]),
            Assistant(calls=[call]),
            ToolResults([ToolResult(call.id, call.name, " ".join(text() for _ in range(3)))]),
            Assistant(text()),
        ]
    return found


def compaction_of_its_own() -> dict[str, float]:
    """Return milliseconds of processor time of compaction, beside that of the model that summarises."""
    messages = conversation()
    whole = sum(map(sizes.of_message, messages))

    def looked() -> None:
        sum(map(sizes.of_message, compaction.shown(messages, compaction.View())))

    def compacted() -> None:
        view = compaction.View(cut=compaction.old_results(messages))
        counts = [sizes.of_message(message) for message in compaction.shown(messages, view)]
        place = compaction.boundary(messages, counts, view, whole // 4, whole // 2)
        assert place is not None
        compaction.shown(messages, replace(view, start=place))

    spent: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, work in (
            ("a look at a conversation before a request", looked),
            ("its compaction, without the summary", compacted),
        ):
            began = time.process_time()
            work()
            spent.setdefault(name, []).append((time.process_time() - began) * 1_000)
    return {name: statistics.median(times) for name, times in spent.items()}


def main() -> None:
    """Print a table."""
    print("| what | processor time, ms |\n|---|--:|")
    for name, found in {**asyncio.run(searches()), **memories(), **compaction_of_its_own()}.items():
        print(f"| {name} | {found:.1f} |")


if __name__ == "__main__":
    main()
