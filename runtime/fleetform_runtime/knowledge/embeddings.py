"""Turns texts into vectors, by OpenAI's protocol: in batches, with retries, counted."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import orjson

from fleetform_runtime.knowledge import KnowledgeError, Vector
from fleetform_runtime.models import sizes
from fleetform_runtime.models.chat_completions import auth, url
from fleetform_runtime.net import NetError, again
from fleetform_runtime.net.build import client
from fleetform_runtime.net.client import Answer
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.knowledge import Embedding

LARGEST_ANSWER = 128 * 1024 * 1024
LONGEST_PAUSE = 30.0
SHOWN_OF_AN_ERROR = 500
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


class OpenAiEmbedder:
    """Asks `POST /embeddings`."""

    def __init__(self, settings: Embedding, secrets: Secrets, spent: Spent = _untold) -> None:
        self._settings = settings
        self._spent = spent
        self._url = url(settings, "embeddings")
        self._client = client(
            self._url,
            secrets,
            headers=settings.headers,
            auth=auth(settings),
            tls=settings.tls,
            connect_seconds=settings.timeouts.connect_seconds,
        )

    async def documents(self, texts: Sequence[str]) -> list[Vector]:
        """Ask for one batch after the other."""
        size = self._settings.batch_size
        found: list[Vector] = []
        for start in range(0, len(texts), size):
            prefix = self._settings.document_prefix
            batch = [prefix + text for text in texts[start : start + size]]
            found += await self._asked(batch)
        return found

    async def question(self, text: str) -> Vector:
        """Ask for one vector."""
        return (await self._asked([self._settings.query_prefix + text]))[0]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _asked(self, texts: list[str]) -> list[Vector]:
        settings = self._settings
        body: dict[str, Any] = {"model": settings.name, "input": texts, "encoding_format": "float"}
        # Models of a fixed length refuse to be asked for one, even for their own.
        if settings.dimension is not None and "text-embedding-3" in settings.name:
            body["dimensions"] = settings.dimension
        answer = await self._sent(orjson.dumps(body))
        vectors = self._read(answer, len(texts))
        self._count(answer, texts)
        return vectors

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

    def _read(self, answer: Answer, count: int) -> list[Vector]:
        if not 200 <= answer.status < 300:
            said = " ".join((answer.text() or "").split())[:SHOWN_OF_AN_ERROR]
            raise KnowledgeError(f"the embedding model answered {answer.status}. {said}".strip())
        try:
            rows = orjson.loads(answer.body)["data"]
            found = {
                int(row.get("index", place)): row["embedding"] for place, row in enumerate(rows)
            }
            vectors: list[Vector] = [
                [float(value) for value in found[place]] for place in range(count)
            ]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise KnowledgeError("the embedding model did not answer with vectors") from None
        for vector in vectors:
            self._check(vector)
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

    def _count(self, answer: Answer, texts: list[str]) -> None:
        usage = orjson.loads(answer.body).get("usage")
        tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        if not isinstance(tokens, int) or tokens <= 0:
            tokens = sum(map(sizes.tokens, texts))
        prices = self._settings.pricing
        self._spent(tokens, tokens * prices.input_per_million / 1_000_000 if prices else None)
