"""Which memories fit a text, by their meaning or by their words."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from fleetform_runtime.knowledge import words
from fleetform_runtime.memories.vectors import cosines
from fleetform_runtime.store import Memory

LONGEST_QUESTION = 2_000
"""Characters of a question that count."""


class Ranked(NamedTuple):
    """A memory and how well it fits: a cosine, or the share of the text's words that it has."""

    memory: Memory
    score: float


def by_meaning(memories: Sequence[Memory], question: bytes) -> list[Ranked]:
    """Return memories with vectors of the question's model, best first."""
    scores = cosines(question, [memory.vector for memory in memories])
    return ordered([Ranked(*pair) for pair in zip(memories, scores, strict=True)])


def by_words(memories: Sequence[Memory], question: str) -> list[Ranked]:
    """Return memories, those first that have most of a text's words; rare words count more."""
    asked = words.asked(question[:LONGEST_QUESTION])
    held = [set(words.indexed(memory.text)) for memory in memories]
    common = Counter(word for one in held for word in one)
    weights = {word: math.log(1 + len(held) / common[word]) for word in asked if word in common}
    whole = sum(weights.values()) + sum(word not in weights for word in asked)
    return ordered(
        [
            Ranked(memory, sum(weights.get(word, 0.0) for word in asked if word in has) / whole)
            if whole
            else Ranked(memory, 0.0)
            for memory, has in zip(memories, held, strict=True)
        ]
    )


def ordered(found: list[Ranked]) -> list[Ranked]:
    """Return what fits best first; of equals what was used more, and later."""
    return sorted(
        found, key=lambda one: (-one.score, -one.memory.hits, -one.memory.used, one.memory.id)
    )


def is_same(left: str, right: str) -> bool:
    """Whether two texts have the same words."""
    return words.indexed(left) == words.indexed(right)


def has_all(text: str, question: str) -> bool:
    """Whether a text has all telling words of a question."""
    asked = words.asked(question)
    return bool(asked) and set(asked) <= set(words.indexed(text))
