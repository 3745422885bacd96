"""Chooses the store and the embedding that a specification asks for; what it does not ask for is not imported."""

from fleetform_runtime.knowledge import Vectors
from fleetform_runtime.knowledge.embeddings import Embedder, OpenAiEmbedder, Spent
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.knowledge import (
    EmbeddedStore,
    Embedding,
    MilvusStore,
    QdrantStore,
    VectorStore,
)


def store(settings: VectorStore, secrets: Secrets) -> Vectors:
    """Return a collection; nothing is opened yet."""
    if isinstance(settings, EmbeddedStore):
        from fleetform_runtime.knowledge.embedded import Embedded  # noqa: PLC0415

        return Embedded(settings)
    if isinstance(settings, QdrantStore):
        from fleetform_runtime.knowledge.qdrant import Qdrant  # noqa: PLC0415

        return Qdrant(settings, secrets)
    if isinstance(settings, MilvusStore):
        from fleetform_runtime.knowledge.milvus import Milvus  # noqa: PLC0415

        return Milvus(settings, secrets)
    from fleetform_runtime.knowledge.pgvector import Pgvector  # noqa: PLC0415

    return Pgvector(settings, secrets)


def embedder(settings: Embedding | None, secrets: Secrets, spent: Spent) -> Embedder | None:
    """Return what turns texts into vectors, if anything does; extras are imported only here.

    Raises:
        ImportError: the image lacks the provider's extra.
    """
    if settings is None:
        return None
    if settings.facts.module:
        from fleetform_runtime.knowledge.foreign import ForeignEmbedder  # noqa: PLC0415

        return ForeignEmbedder(settings, secrets, spent)
    return OpenAiEmbedder(settings, secrets, spent)
