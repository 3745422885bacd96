"""Searches in documents: which parameter is the question, how passages are found, whose key is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetform.models.model_config import ModelSettings
    from fleetform.models.tool import Retrieval, ToolSpec
    from fleetform.resolve.references import Uses


def question(spec: ToolSpec) -> str:
    """Return the parameter that says what to look for; empty if none can be it."""
    names = [item.name for item in spec.parameters if item.type == "string" and not item.enum]
    if not spec.parameters or "query" in names:
        return "query"
    needed = [item.name for item in spec.parameters if item.required and item.name in names]
    return next(iter(needed or names), "")


def mode(retrieval: Retrieval) -> str:
    """Return how a search finds passages."""
    return retrieval.search.mode or ("hybrid" if retrieval.embedding else "keyword")


def embedding_model(uses: Uses, retrieval: Retrieval) -> ModelSettings | None:
    """Return the agent's model of the provider of the vectors, whose endpoint and key are theirs by default."""
    wanted = retrieval.embedding
    models = (uses.model, *(model for _, model in (*uses.models, *uses.fallbacks)))
    return next(
        (model for model in models if model and wanted and model.provider == wanted.provider), None
    )
