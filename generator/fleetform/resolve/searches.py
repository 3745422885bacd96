"""Searches in documents: which parameter is the question, how passages are found, whose key is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetform.names import fit
from fleetform.resolve.switches import unserved

if TYPE_CHECKING:
    from fleetform.models.agent import Knowledge, ToolUse
    from fleetform.models.model_config import ModelSettings
    from fleetform.models.tool import Retrieval, ToolSpec
    from fleetform.resolve import Resolved
    from fleetform.resolve.references import Uses

LONGEST = 43
"""Characters of the name of what takes documents in: a hash follows, and a CronJob's name has 52 at most."""


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


def taker(agent: str) -> str:
    """Return the name of the workload that takes documents in for an agent."""
    return fit(agent, "-knowledge", LONGEST)


def searched(uses: Uses) -> list[tuple[ToolUse, Resolved[ToolSpec]]]:
    """Return the retrieval tools of an agent that the runtime serves."""
    return [
        (use, tool)
        for use, tool in uses.tools
        if tool.spec.type == "retrieval" and not unserved(tool.spec)
    ]


def filled(knowledge: Knowledge, uses: Uses) -> tuple[ToolUse, Resolved[ToolSpec]] | None:
    """Return the tool whose collection holds an agent's documents, None if that is not clear."""
    found = [(use, tool) for use, tool in searched(uses) if knowledge.tool in (None, use.name)]
    return found[0] if len(found) == 1 else None


def embedding_model(uses: Uses, retrieval: Retrieval) -> ModelSettings | None:
    """Return the agent's model of the provider of the vectors, whose endpoint and key are theirs by default."""
    wanted = retrieval.embedding
    models = (uses.model, *(model for _, model in (*uses.models, *uses.fallbacks)))
    return next(
        (model for model in models if model and wanted and model.provider == wanted.provider), None
    )
