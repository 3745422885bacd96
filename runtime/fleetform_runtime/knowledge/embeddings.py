"""Turns texts into vectors, in batches, with retries, counted; OpenAI's protocol is spoken here."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import orjson

from fleetform_runtime.knowledge import KnowledgeError, Vector, shown
from fleetform_runtime.models import sizes
from fleetform_runtime.models.chat_completions import auth, url
from fleetform_runtime.net import NetError, again
from fleetform_runtime.net.build import client
from fleetform_runtime.net.client import Answer
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.knowledge import Embedding

LARGEST_ANSWER = 128 * 1024 * 1024
LONGEST_PAUSE = 30.0
RETRYABLE = frozenset((408, 409, 429))


class Embedder(Protocol):
    """Turns texts into vectors; both may raise a KnowledgeError."""

    async def documents(self, texts: Sequence[str]) -> list[Vector]:
        """Return the vectors of passages, in their order."""
        ...

    async def question(self, text: str) -> Vector:
        """Return the vector of a question."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


Spent = Callable[[int, float | None], None]
"""Told of the tokens of each request, and of their price if it is known."""


def _untold(tokens: int, usd: float | None) -> None:
    """Tell nobody."""


class InBatches(ABC):
    """What all embedders have in common: batches, prefixes, a look at each vector, and who is told of the tokens."""

    most = 2_048
    """Texts that the provider takes in one request."""

    def __init__(self, settings: Embedding, spent: Spent = _untold) -> None:
        self._settings = settings
        self._spent = spent

    async def documents(self, texts: Sequence[str]) -> list[Vector]:
        """Ask for one batch after the other."""
        size = min(self._settings.batch_size, self.most)
        found: list[Vector] = []
        for start in range(0, len(texts), size):
            prefix = self._settings.document_prefix
            batch = [prefix + text for text in texts[start : start + size]]
            found += await self._vectors(batch, is_question=False)
        return found

    async def question(self, text: str) -> Vector:
        """Ask for one vector."""
        asked = [self._settings.query_prefix + text]
        return (await self._vectors(asked, is_question=True))[0]

    @abstractmethod
    async def close(self) -> None:
        """Close connections."""

    @abstractmethod
    async def _asked(self, texts: list[str], *, is_question: bool) -> tuple[list[Vector], object]:
        """Return the vectors of some texts, and how many tokens the provider says that they have."""

    async def _vectors(self, texts: list[str], *, is_question: bool) -> list[Vector]:
        vectors, tokens = await self._asked(texts, is_question=is_question)
        if len(vectors) != len(texts):
            what = f"{len(vectors)} vectors for {len(texts)} texts"
            raise KnowledgeError(f"the embedding model answered with {what}")
        for vector in vectors:
            self._check(vector)
        self._count(tokens, texts)
        return vectors

    def _check(self, vector: Vector) -> None:
        wanted = self._settings.dimension
        if not vector or (wanted is not None and len(vector) != wanted):
            raise KnowledgeError(
                f"{self._settings.name} answers with {len(vector)} dimensions, not {wanted}"
            )
        if not all(map(math.isfinite, vector)) or not any(vector):
            raise KnowledgeError(
                f"{self._settings.name} answers with a vector that has no direction"
            )

    def _count(self, tokens: object, texts: list[str]) -> None:
        if not isinstance(tokens, int) or tokens <= 0:
            tokens = sum(map(sizes.tokens, texts))
        prices = self._settings.pricing
        self._spent(tokens, tokens * prices.input_per_million / 1_000_000 if prices else None)


class OpenAiEmbedder(InBatches):
    """Asks `POST /embeddings`."""

    def __init__(self, settings: Embedding, secrets: Secrets, spent: Spent = _untold) -> None:
        super().__init__(settings, spent)
        self._url = url(settings, "embeddings")
        self._client = client(
            self._url,
            secrets,
            headers=settings.headers,
            auth=auth(settings),
            tls=settings.tls,
            connect_seconds=settings.timeouts.connect_seconds,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _asked(self, texts: list[str], *, is_question: bool) -> tuple[list[Vector], object]:
        del is_question
        settings = self._settings
        body: dict[str, Any] = {"model": settings.name, "input": texts, "encoding_format": "float"}
        # Models of a fixed length refuse to be asked for one, even for their own.
        if settings.dimension is not None and "text-embedding-3" in settings.name:
            body["dimensions"] = settings.dimension
        answer = await self._sent(orjson.dumps(body))
        if not 200 <= answer.status < 300:
            said = shown(answer.text())
            raise KnowledgeError(f"the embedding model answered {answer.status}. {said}".strip())
        return _read(answer.body, len(texts))

    async def _sent(self, body: bytes) -> Answer:
        settings = self._settings
        try:
            return await again.sent(
                lambda: self._client.send(
                    "POST",
                    self._url,
                    seconds=settings.timeouts.request_seconds,
                    most=LARGEST_ANSWER,
                    headers={"Content-Type": "application/json"},
                    body=body,
                ),
                settings.retries + 1,
                lambda status: status in RETRYABLE or status >= 500,
                longest=LONGEST_PAUSE,
            )
        except NetError as error:
            raise KnowledgeError(f"the embedding model: {error}") from None


def _read(body: bytes, count: int) -> tuple[list[Vector], object]:
    """Return the vectors of an answer in the order of their texts, and the tokens of all."""
    try:
        found = orjson.loads(body)
        rows = {int(row.get("index", n)): row["embedding"] for n, row in enumerate(found["data"])}
        vectors: list[Vector] = [[float(value) for value in rows[place]] for place in range(count)]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KnowledgeError("the embedding model did not answer with vectors") from None
    usage = found.get("usage")
    return vectors, usage.get("prompt_tokens") if isinstance(usage, dict) else None
