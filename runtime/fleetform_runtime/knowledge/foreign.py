"""Turns texts into vectors by models of Bedrock and Google, through pydantic-ai."""

import asyncio
from typing import Any

from pydantic_ai import exceptions
from pydantic_ai.embeddings import EmbeddingModel
from pydantic_ai.embeddings.settings import EmbeddingSettings

from fleetform_runtime.knowledge import KnowledgeError, Vector
from fleetform_runtime.knowledge.embeddings import LONGEST_PAUSE, InBatches, Spent
from fleetform_runtime.models import libraries
from fleetform_runtime.models.libraries import Close, ForKey
from fleetform_runtime.net.pauses import pause
from fleetform_runtime.secrets import SecretMissingError, Secrets
from fleetform_runtime.sections.knowledge import Embedding


class ForeignEmbedder(InBatches):
    """Asks a model of the library, which is made again when its key has changed.

    Questions and passages are told apart as the provider wants it: by Google's task type, by Cohere's input type.
    """

    def __init__(self, settings: Embedding, secrets: Secrets, spent: Spent) -> None:
        super().__init__(settings, spent)
        # The limits that the providers' pages name: Cohere's models take 96, Gemini's API 100, and Vertex AI one text
        # for the models that are called like this.
        alone = settings.project is not None and settings.name.startswith("gemini-embedding")
        self.most = 1 if alone else 96
        self._library = ForKey(settings.api_key, secrets, self._model)

    async def close(self) -> None:
        """Close the library's connections."""
        await self._library.close()

    async def _asked(self, texts: list[str], *, is_question: bool) -> tuple[list[Vector], object]:
        tries = self._settings.retries + 1
        for attempt in range(tries):
            try:
                return await self._embedded(texts, is_question=is_question)
            except exceptions.ModelAPIError as failed:
                error = libraries.failure(failed, told=False)
            wait = pause(attempt, error.retry_after, LONGEST_PAUSE)
            if attempt + 1 == tries or not error.retryable or wait is None:
                raise KnowledgeError(f"the embedding model: {error}") from None
            await asyncio.sleep(wait)
        raise AssertionError("a loop of at least one try")  # pragma: no cover

    async def _embedded(
        self, texts: list[str], *, is_question: bool
    ) -> tuple[list[Vector], object]:
        settings = EmbeddingSettings()
        if self._settings.dimension is not None:
            settings["dimensions"] = self._settings.dimension
        seconds = self._settings.timeouts.request_seconds
        try:
            async with asyncio.timeout(seconds):
                found = await (await self._library.current()).embed(
                    texts, input_type="query" if is_question else "document", settings=settings
                )
        except TimeoutError:
            raise KnowledgeError(f"the embedding model: no answer within {seconds:g} s") from None
        except exceptions.ModelAPIError:
            raise
        except SecretMissingError as error:
            raise KnowledgeError(f"the embedding model: {error}") from None
        except Exception as error:
            # The underlying libraries may raise anything: botocore has its own exception hierarchy.
            what = f"{type(error).__name__}: {error}"
            raise KnowledgeError(f"the embedding model: {what}") from None
        return [
            [float(value) for value in row] for row in found.embeddings
        ], found.usage.input_tokens

    def _model(self, key: str | None) -> tuple[EmbeddingModel, Close]:
        settings = self._settings
        provider, close = libraries.provider(settings, key)
        return MAKERS[settings.provider](settings.name, provider), close


def _google(name: str, provider: Any) -> EmbeddingModel:
    from pydantic_ai.embeddings.google import GoogleEmbeddingModel  # noqa: PLC0415

    return GoogleEmbeddingModel(name, provider=provider)


def _bedrock(name: str, provider: Any) -> EmbeddingModel:
    from pydantic_ai.embeddings.bedrock import BedrockEmbeddingModel  # noqa: PLC0415

    return BedrockEmbeddingModel(name, provider=provider)


MAKERS = {"google": _google, "bedrock": _bedrock}
